"""Which servers can a test ask for?

`proxy`: the real LiteLLM, without a database. `database_proxy`: with users, keys and spend.
`faults`: a server that follows a script. The first two start once for all tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.build import NEEDED, Build, database_possible
from tests.services.encoder import Encoder
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy

BUILD = "run `python -m tests.services.build` first"


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """The real LiteLLM proxy, without a database."""
    build = Build()
    if not build.has_proxy():
        pytest.skip(BUILD)
    with Proxy(build) as running:
        yield running


@pytest.fixture(scope="session")
def database_proxy() -> Iterator[Proxy]:
    """The real LiteLLM proxy, with users, keys and spend."""
    build = Build()
    if not database_possible():
        pytest.skip(f"install {NEEDED}, then {BUILD}")
    if not build.has_database():
        pytest.skip(BUILD)
    with Proxy(build, database=True) as running:
        yield running


@pytest.fixture
def faults() -> Iterator[FaultServer]:
    """A server that follows a script."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    """A server that makes vectors, and counts what it is asked."""
    with Encoder() as server:
        yield server
