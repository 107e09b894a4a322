"""What can a test of embeddings ask for? A service that makes vectors, set in the environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cborg_magics.session import Session
from tests.conftest import KEY
from tests.services.encoder import Encoder


@pytest.fixture
def vectors(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """The service of the environment."""
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    return encoder


@pytest.fixture
def here(vectors: Encoder) -> Iterator[Session]:
    """A session with that service, which is the process's one."""
    from cborg_magics import embeddings

    with Session.from_environment() as session:
        embeddings.session = lambda: session
        yield session
        embeddings.session = None
