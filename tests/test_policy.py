"""What an administrator has locked, a cell does not change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cborg_magics import policy
from cborg_magics.errors import BadSetting, NotAllowed
from cborg_magics.exchange import Location
from cborg_magics.policy import Policy, check
from cborg_magics.settings import Settings
from tests.front_ends.kernel import Run, clean_environment, kernel
from tests.services.faults import FaultServer

NOWHERE = Path("/no/such/policy.env")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a policy, which the owner of this process administers."""
    monkeypatch.setattr(policy, "OWNER", os.getuid())
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    return folder / "policy.env"


def written(file: Path, text: str, mode: int = 0o644) -> Policy:
    file.write_text(text)
    file.chmod(mode)
    return policy.read({}, {}, file)


def test_a_file_locks_what_it_sets(file: Path) -> None:
    rules = written(file, "# class of 2026\n\nCBORG_BUDGET_DAY = 2.00\nCBORG_MODEL='lbl/x'\n")
    settings = Settings.read({"CBORG_BUDGET_DAY": "99", "CBORG_MAX_TOKENS": "7"}, rules)
    assert str(settings.budget_day) == "2.00"
    assert (settings.model, settings.max_tokens) == ("lbl/x", 7)
    assert {"CBORG_BUDGET_DAY", "CBORG_MODEL"} < settings.locked


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_ignored_with_a_line(file: Path, mode: int) -> None:
    rules = written(file, "CBORG_BUDGET=0", mode)
    assert rules.values == {}
    assert rules.notes == (f"{file} is ignored: others than root can write {file}.",)


def test_a_file_in_a_folder_that_others_can_write_is_ignored_too(file: Path) -> None:
    file.parent.chmod(0o777)
    assert "is ignored" in written(file, "CBORG_BUDGET=0").notes[0]


def test_a_file_of_somebody_else_is_ignored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "OWNER", os.getuid() + 1)
    assert written(file, "CBORG_BUDGET=0").values == {}


@pytest.mark.parametrize(
    "text",
    [
        "CBORG_BUDGET",
        "CBORG_BUDGET: 1",
        "CBORG_BUGDET=1",
        "CBORG_BUDGET=five",
        "export CBORG_MODEL=x",
    ],
)
def test_a_malformed_policy_is_an_error_at_the_first_call(file: Path, text: str) -> None:
    rules = written(file, text)
    with pytest.raises(BadSetting) as caught:
        Settings.read({}, rules)
    assert "administrator" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_policy_that_is_no_text_or_cannot_be_read_is_one_too(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    assert policy.read({}, {}, file).problem
    file.unlink()
    file.mkdir()
    assert policy.read({}, {}, file).problem


def test_no_policy_is_no_policy() -> None:
    assert policy.read({"CBORG_BUDGET": "1"}, {}, NOWHERE) == Policy()


def test_the_first_environment_locks_what_it_names() -> None:
    first = {"CBORG_LOCKED": "CBORG_BUDGET_DAY, CBORG_SYSTEM", "CBORG_BUDGET_DAY": "2"}
    rules = policy.read(first, {}, NOWHERE)
    assert rules.ignored(first) == []
    later = {"CBORG_BUDGET_DAY": "99", "CBORG_SYSTEM": "hi", "CBORG_LOCKED": ""}
    settings = Settings.read(later, rules)
    assert (str(settings.budget_day), settings.system) == ("2", None)
    assert rules.ignored(later) == [
        "CBORG_BUDGET_DAY is locked by an administrator; the change is ignored.",
        "CBORG_SYSTEM is locked by an administrator; the change is ignored.",
    ]
    assert rules.ignored({}) == rules.ignored(later)[:1], "to take it out is a change as well"


def test_what_the_process_began_with_comes_before_what_a_cell_has_set() -> None:
    start = {"CBORG_LOCKED": "CBORG_BUDGET_DAY", "CBORG_BUDGET_DAY": "2"}
    cell = {"CBORG_LOCKED": "", "CBORG_BUDGET_DAY": "99"}
    assert policy.read(cell, start, NOWHERE).values["CBORG_BUDGET_DAY"] == "2"


def test_the_file_comes_before_the_environment(file: Path) -> None:
    file.write_text("CBORG_MODEL=file\n")
    environ = {"CBORG_LOCKED": "CBORG_MODEL", "CBORG_MODEL": "environment"}
    assert policy.read(environ, environ, file).values == {"CBORG_MODEL": "file"}


def test_with_a_cap_the_ledger_is_locked_too() -> None:
    first = {"CBORG_LOCKED": "CBORG_BUDGET", "CBORG_BUDGET": "2", "CBORG_HOME": "/here"}
    rules = policy.read(first, {}, NOWHERE)
    assert Settings.read({"CBORG_HOME": "/elsewhere"}, rules).home == Path("/here")


def test_no_key_shows_when_a_policy_is_printed() -> None:
    first = {"CBORG_LOCKED": "LITELLM_API_KEY", "LITELLM_API_KEY": "sk-secret-0123456"}
    rules = policy.read(first, {}, NOWHERE)
    assert "secret" not in repr(rules)
    assert "secret" not in "".join(rules.ignored({"LITELLM_API_KEY": "sk-secret-other"}))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("lbl/cborg-chat", True),
        ("openai/gpt-5", True),
        ("openai/gpt-5-pro", False),
        ("LBL/x", False),
    ],
)
def test_a_model_must_be_on_the_list(name: str, allowed: bool) -> None:
    settings = Settings.read({"CBORG_ALLOWED_MODELS": "lbl/*, openai/gpt-5"})
    if allowed:
        check(name, Location.UNKNOWN, settings)
        return
    with pytest.raises(NotAllowed) as caught:
        check(name, Location.UNKNOWN, settings)
    assert str(caught.value).splitlines() == [
        f"{name} is not among the models allowed here (CBORG_ALLOWED_MODELS).",
        "Allowed: lbl/*, openai/gpt-5.",
    ]


@pytest.mark.parametrize("location", Location)
def test_where_nothing_may_leave_the_place_must_be_proved(location: Location) -> None:
    settings = Settings.read({"CBORG_ON_PREM_ONLY": "1"})
    if location in (Location.HERE, Location.ON_PREMISES):
        check("m", location, settings)
    else:
        with pytest.raises(NotAllowed, match="not proved"):
            check("m", location, settings)


def test_one_list_holds_for_every_chat(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_ALLOWED_MODELS", "test-*")
    assert shell.run_cell("%chat hi").error_in_exec is None
    error = shell.run_cell("%chat -m gpt-5 hi").error_in_exec
    assert isinstance(error, NotAllowed)
    assert isinstance(shell.run_cell("%chat -m gpt-5 --dry-run hi").error_in_exec, NotAllowed)
    assert len(service.requests_to("/chat/completions")) == 1


# -- in a real kernel ----------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def told(run: Run) -> str:
    return "\n".join([*run.plain, *run.error_lines])


def test_a_cell_cannot_change_what_the_kernel_began_with(
    server: FaultServer, tmp_path: Path
) -> None:
    environ = clean_environment(
        tmp_path,
        LITELLM_API_KEY="sk-test",
        LITELLM_BASE_URL=server.url,
        CBORG_MODEL="m",
        CBORG_ALLOWED_MODELS="m",
        CBORG_LOCKED="CBORG_ALLOWED_MODELS",
    )
    with kernel(environ, load=False) as running:
        # before the extension is loaded, where the system remembers what a process began with
        early = (
            "import os; os.environ['CBORG_ALLOWED_MODELS'] = '*'; del os.environ['CBORG_LOCKED']"
        )
        running.run(early if Path("/proc/self/environ").exists() else "import os")
        running.run("%load_ext cborg_magics")
        running.run("os.environ['CBORG_ALLOWED_MODELS'] = 'other'; os.environ['CBORG_LOCKED'] = ''")
        running.run("%reload_ext cborg_magics")
        refused = running.run("%chat -m other hi")
        assert "NotAllowed: other is not among the models" in told(refused)
        assert told(refused).count("CBORG_ALLOWED_MODELS is locked by an administrator") == 1
        answered = running.run("%chat hi")
        assert answered.status == "ok"
        assert "locked" not in told(answered), "it is said once"
    assert len(server.requests_to("/chat/completions")) == 1


def test_a_malformed_policy_breaks_no_kernels_start(server: FaultServer, tmp_path: Path) -> None:
    environ = clean_environment(
        tmp_path,
        LITELLM_API_KEY="sk-test",
        LITELLM_BASE_URL=server.url,
        CBORG_LOCKED="CBORG_BUGDET",
    )
    with kernel(environ) as running:
        assert running.run("%chat?").status == "ok"
        error = running.run("%chat hi").error_lines
        assert error[0].startswith("BadSetting: the policy of this machine locks CBORG_BUGDET")
        assert len(error) == 2
    assert server.requests == []


def test_a_file_holds_in_a_process_of_its_own(file: Path) -> None:
    file.write_text("CBORG_ALLOWED_MODELS=lbl/*\n")
    code = f"""
import os
from pathlib import Path
from cborg_magics import policy
policy.FILE, policy.OWNER = Path({str(file)!r}), os.getuid()
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance().run_line_magic("load_ext", "cborg_magics")
policy.FILE = Path("/no/such")  # too late
from cborg_magics import Session
try:
    Session.from_environment().chat("hi")
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "NotAllowed smollm2-135m is not among the models allowed here" in ran.stdout


@pytest.mark.parametrize("name", ["XDG_DATA_HOME", "HOME"])
def test_with_a_cap_no_variable_moves_the_ledger(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CBORG_HOME", raising=False)
    rules = policy.read({"CBORG_LOCKED": "CBORG_BUDGET", "CBORG_BUDGET": "2"}, {}, NOWHERE)
    before = Settings.read({}, rules).home
    monkeypatch.setenv(name, str(tmp_path))
    assert Settings.read({}, rules).home == before
