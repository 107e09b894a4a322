"""What can every test ask for? A shell, an environment of its own, real services."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cborg_magics.session import Session
from tests.services.faults import FaultServer

pytest_plugins = ["tests.services.fixtures"]

# A shell starts what runs in its background with Ctrl-C ignored; many tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

OURS = ("CBORG_", "LITELLM_", "LLMBASE_", "OPENAI_")
KEY = "sk-test-2f9c81d4ab07e6"  # no real one; every test may search for it


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, and none of the developer's settings."""
    for name in list(os.environ):
        if name.startswith(OURS) and not name.startswith("CBORG_TEST"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # IPython warns of a foreign one
    folder = tmp_path / "cborg"
    monkeypatch.setenv("CBORG_HOME", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return folder


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Any]:
    """A real IPython shell, as in a terminal, with the extension loaded."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(ipython_dir=str(tmp_path / "ipython"))
    shell.run_line_magic("load_ext", "cborg_magics")
    yield shell
    shell.run_line_magic("unload_ext", "cborg_magics")
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def service(faults: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """The server that follows a script, as the LiteLLM proxy of the environment."""
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", faults.url)
    monkeypatch.setenv("CBORG_MODEL", "test-model")
    return faults


@pytest.fixture
def session(service: FaultServer) -> Iterator[Session]:
    """A session with that service."""
    with Session.from_environment() as session:
        yield session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: begun last, it would keep one process while the others idle."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/workshop/"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where processes share the tests by files (`-n 2 --dist loadfile`), one has the whole hub."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/hub" if nodeid.startswith("tests/hub/") else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Where CBORG_TESTS=all, nothing may be skipped: a skip counts as a failure."""
    report = yield
    if report.skipped and os.environ.get("CBORG_TESTS") == "all":
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report
