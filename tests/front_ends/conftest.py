"""What do the tests of front ends share? One real JupyterLab, and a browser to look at it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one, or without playwright, the test is skipped."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("no playwright: pip install 'cborg_magics[test]'")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no browser: apt-get install chromium")


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """A JupyterLab for all tests; write notebooks into `lab.root`, then `lab.open(name)`."""
    from tests.front_ends.lab import JupyterLab  # playwright may be missing

    root = tmp_path_factory.mktemp("notebooks")
    with JupyterLab(root, chromium, home=tmp_path_factory.mktemp("home")) as running:
        yield running
