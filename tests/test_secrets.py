"""The key is nowhere: whatever happens, and wherever one looks."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cborg_magics.session import Session
from tests.conftest import KEY
from tests.front_ends.kernel import Run, clean_environment, kernel
from tests.services.answers import (
    CUT,
    DROP,
    HANG,
    SILENCE,
    Answer,
    chat_stream,
    cloudflare,
    json_answer,
    redirect,
    refusal,
    usage,
)
from tests.services.faults import FaultServer

CHAT = "/chat/completions"
ECHO = f"Received API Key = {KEY}, Authorization: Bearer {KEY}. Unable to find it."
BUDGET = f"Budget has been exceeded! Key={KEY} Current cost: 2, Max budget: 1"
NONSENSE = {"choices": [{"index": 0, "delta": None}]}
ASK = "%chat hi\n"
LISTENER_FAILS = (
    "from cborg_magics import Session\n"
    "Session.from_environment().chat('hi', on_event=lambda event: getattr(event, 'text', 0) / 2)\n"
)

# what the service does, and what is typed
CASES: dict[str, tuple[tuple[Answer, ...], str]] = {
    "an answer": ((chat_stream("fine", usage=usage(1, 1)),), ASK),
    "an answer that tells the key": ((chat_stream("fine", headers={"x-note": KEY}),), ASK),
    "the key is wrong and echoed": ((refusal(401, "token_not_found_in_db", ECHO),), ASK),
    "a refusal that echoes it": ((refusal(400, "invalid_request_error", ECHO),), ASK),
    "a refusal of another shape": ((json_answer({"detail": [{"msg": ECHO}]}, 422),), ASK),
    "a name for the error that is a key": ((refusal(400, KEY, "no", code=KEY),), ASK),
    "the budget is spent": ((refusal(422, "budget_exceeded", BUDGET),), ASK),
    "out of order": ((refusal(503, "internal_server_error", ECHO),), ASK),
    "a web page": ((cloudflare(403),), ASK),
    "sent elsewhere": ((redirect(f"http://127.0.0.1:9/?key={KEY}"),), ASK),
    "the line is closed": ((DROP,), ASK),
    "a stream that breaks": ((chat_stream("half", CUT),), ASK),
    "an error in a stream": ((chat_stream("half", {"error": {"message": ECHO}}),), ASK),
    "nonsense in a stream": ((chat_stream("half", NONSENSE),), ASK),
    "a listener that fails": ((chat_stream("half"),), LISTENER_FAILS),
    "a mistake in the line": ((), "%chat --modle x hi\n"),
}
# what is wrong with the environment
SETTINGS: dict[str, dict[str, str]] = {
    "two words in the key": {"LITELLM_API_KEY": f"{KEY} {KEY}"},
    "a key in the address": {"LITELLM_BASE_URL": f"https://user:{KEY}@example.org"},
    "another setting is malformed": {"CBORG_TEMPERATURE": "hot"},
    "nobody is there": {"LITELLM_BASE_URL": "http://127.0.0.1:9"},
    "no such host": {"LITELLM_BASE_URL": "https://no.such.host.invalid"},
    "a proxy that needs a package": {"HTTP_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": ""},
    "a proxy of no known kind": {"HTTP_PROXY": "ftp://127.0.0.1:9", "NO_PROXY": ""},
}


def assert_no_key(text: str) -> None:
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    for secret in (KEY, KEY.removeprefix("sk-test-")):
        at = plain.find(secret)
        assert at < 0, f"the key, after: {plain[max(0, at - 300) : at]}"


def files(folder: Path) -> str:
    """All that was written to disk."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in found)


@pytest.fixture
def verbose(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> Iterator[Callable[[str], Any]]:
    """Runs a cell with everything turned on that shows more, and looks everywhere afterwards."""
    monkeypatch.setenv("CBORG_DEBUG", "1")
    monkeypatch.setenv("CBORG_MAX_WAIT", "0.01")
    for name in ("ALL_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    shell.run_line_magic("xmode", "Verbose")

    def run(cell: str) -> Any:
        error = shell.run_cell(cell).error_in_exec
        if error:
            shell.run_cell("%tb\n")
            kind, trace = type(error), error.__traceback__
            print(shell.InteractiveTB.text(kind, error, trace))  # as a debugger would show it
            print(repr(error), vars(error))
        out, err = capsys.readouterr()
        assert_no_key(out + err)
        return error

    yield run
    assert_no_key(files(tmp_path))
    shell.run_line_magic("xmode", "Context")


@pytest.mark.parametrize("case", CASES)
def test_no_answer_of_a_service_brings_the_key_to_light(
    verbose: Callable[[str], Any], service: FaultServer, case: str
) -> None:
    answers, cell = CASES[case]
    service.script(CHAT, *answers)
    error = verbose(cell)
    assert (error is None) == case.startswith("an answer")


@pytest.mark.parametrize("case", SETTINGS)
def test_no_setting_brings_the_key_to_light(
    verbose: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    for name, value in SETTINGS[case].items():
        monkeypatch.setenv(name, value)
    assert verbose(ASK) is not None


@pytest.mark.parametrize("answer", [SILENCE, chat_stream("half", HANG)])
def test_ctrl_c_does_not_bring_the_key_to_light(
    verbose: Callable[[str], Any], service: FaultServer, answer: Answer
) -> None:
    service.script(CHAT, answer)
    me = threading.main_thread().ident
    assert me is not None

    def press() -> None:
        service.wait_for(CHAT)
        signal.pthread_kill(me, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    assert type(verbose(ASK)).__name__ == "Interrupted"
    presser.join()


def test_nothing_that_prints_itself_prints_the_key(service: FaultServer) -> None:
    session = Session.from_environment()
    reply = session.chat("hi")
    service.script(CHAT, refusal(401, "token_not_found_in_db", ECHO))
    with pytest.raises(Exception, match="does not accept the key") as caught:
        session.chat("hi")
    seen = [session, session.settings, session.service, session.client, session.client.sdk, reply]
    seen += [caught.value, session.conversation, session.ledger, session.ledger.rows()]
    seen += [session.catalogue(wait=10), session.client.answer, session.service.key]
    for thing in seen:
        assert_no_key(f"{thing!r} {thing!s}")
    assert KEY in str(service.requests_to(CHAT)[-1].headers), "it is sent, and nowhere else"


def test_the_debug_log_is_written_without_it_and_is_private(
    service: FaultServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_DEBUG", "1")
    service.script(CHAT, chat_stream("You sent ", KEY, "!"))
    reply = Session.from_environment().chat(f"My key is {KEY}, keep it.")
    assert reply.text == f"You sent {KEY}!", "what the user writes is the user's"
    log = home / "debug.log"
    assert "My key is [key], keep it." in log.read_text()
    assert_no_key(files(home))
    assert log.stat().st_mode & 0o077 == 0
    assert (home / "ledger.sqlite").stat().st_mode & 0o077 == 0


# -- in a real kernel, whose messages and saved notebook are searched --------------------------

LAST = """
import sys
print(get_ipython().InteractiveTB.text(sys.last_type, sys.last_value, sys.last_value.__traceback__))
"""
BROKEN_SCREEN = """
def broken(message):
    if 'text/markdown' in message['content']['data']:
        raise OSError("the screen is broken")
    return message
get_ipython().display_pub.register_hook(broken)
"""


def saved(run: Run) -> str:
    """The outputs as a notebook keeps them."""
    cell = nbformat.v4.new_code_cell("%chat hi")
    for output in run.outputs:
        fields = {name: value for name, value in output.items() if name != "display_id"}
        cell.outputs.append(nbformat.v4.new_output(**fields))
    return str(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))


def test_a_kernel_and_its_notebook_do_not_show_the_key(tmp_path: Path) -> None:
    settings = {"LITELLM_API_KEY": KEY, "CBORG_MODEL": "test-model", "CBORG_DEBUG": "1"}
    patience = {"CBORG_MAX_WAIT": "0.01", "NO_PROXY": "", "no_proxy": ""}
    with FaultServer() as service:
        environment = clean_environment(
            tmp_path, **settings, **patience, LITELLM_BASE_URL=service.url
        )
        with kernel(environment) as running:

            def look(run: Run, fails: bool) -> None:
                assert (run.status == "error") == fails
                assert_no_key(run.all_text)
                assert_no_key(saved(run))
                if fails:
                    again, frames = running.run("%tb"), running.run(LAST)
                    assert again.error
                    assert "Traceback (most recent call last)" in frames.all_text
                    assert_no_key(again.all_text + frames.all_text)

            running.run("%xmode Verbose")
            for case, (answers, cell) in CASES.items():
                service.script(CHAT, *answers)
                look(running.run(cell), fails=not case.startswith("an answer"))
            before = len(service.requests_to(CHAT))
            service.script(CHAT, SILENCE)
            look(
                running.run(
                    ASK, interrupt_when=lambda run: len(service.requests_to(CHAT)) > before
                ),
                fails=True,
            )
            running.run(BROKEN_SCREEN)
            look(running.run(ASK), fails=True)
            running.run("get_ipython().display_pub.unregister_hook(broken)")
            running.run("import os; os.environ['HTTP_PROXY'] = 'socks5://127.0.0.1:9'")
            running.run("%reload_ext cborg_magics")
            look(running.run(ASK), fails=True)
    assert_no_key(files(tmp_path))
