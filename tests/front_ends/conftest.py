"""What do the tests of front ends share? One real JupyterLab, and a browser to look at it.

Screenshots go to a temporary folder, or to the one that CBORG_TEST_PICTURES names.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.front_ends.everywhere import Ran
    from tests.front_ends.lab import JupyterLab
    from tests.front_ends.notebook7 import Notebook7


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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots go."""
    named = os.environ.get("CBORG_TEST_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def seven(lab: JupyterLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook7]:
    """A Notebook 7 for all tests, with a server of its own; the browser is that of `lab`."""
    from tests.front_ends.notebook7 import Notebook7

    root = tmp_path_factory.mktemp("seven")
    with Notebook7(lab, root, tmp_path_factory.mktemp("home7")) as running:
        yield running


@pytest.fixture(scope="session")
def ran(seven: Notebook7, tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Ran:
    """One notebook with all magics, run in Notebook 7 and saved."""
    from tests.front_ends import everywhere

    with everywhere.Service() as service:
        return everywhere.run(seven, service, tmp_path_factory.mktemp("spent"), pictures)
