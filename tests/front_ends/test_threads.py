"""What becomes of a conversation when cells are run, run again, stopped and forgotten?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KEY
from tests.front_ends.kernel import Kernel, Run, clean_environment, kernel
from tests.services.answers import HANG, chat_stream, refusal, usage
from tests.services.faults import FaultServer

CHAT = "/chat/completions"


class Talk:
    """A kernel whose cells have ids, and the service that it asks."""

    def __init__(self, running: Kernel, server: FaultServer) -> None:
        self.kernel, self.server = running, server

    def run(self, cell: str, code: str, **more: Any) -> Run:
        return self.kernel.run(code, cell=cell, **more)

    def ask(self, cell: str, question: str, answer: str = "", **more: Any) -> Run:
        self.server.script(CHAT, chat_stream(answer or question.upper(), usage=usage(1, 1)))
        return self.run(cell, f"%%chat\n{question}", **more)

    @property
    def sent(self) -> list[str]:
        """The texts of the last request."""
        body = self.server.requests_to(CHAT)[-1].body
        return [message["content"] for message in body["messages"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    with FaultServer() as server:
        settings = {
            "LITELLM_API_KEY": KEY,
            "LITELLM_BASE_URL": server.url,
            "CBORG_MODEL": "test-model",
            "CBORG_MAX_WAIT": "0.01",
        }
        home = tmp_path_factory.mktemp("talk")
        with kernel(clean_environment(home, **settings)) as made:
            yield Talk(made, server)


@pytest.fixture
def talk(running: Talk) -> Talk:
    """Nothing was said yet, and nobody has undone anything."""
    running.kernel.run("%unload_ext cborg_magics\n%load_ext cborg_magics")
    return running


def test_the_badge_says_which_turn_of_which_thread(talk: Talk) -> None:
    assert talk.ask("A", "a").badge.endswith("turn 1 of main")
    assert talk.ask("B", "b").badge.endswith("turn 2 of main")
    assert talk.sent == ["a", "A", "b"]


def test_a_cell_run_again_is_asked_after_what_stands_before_it(talk: Talk) -> None:
    for cell in "abc":
        talk.ask(cell.upper(), cell)
    badge = talk.ask("B", "b2").badge
    assert talk.sent == ["a", "A", "b2"]
    assert badge.endswith("turn 2 of main again, 1 later turn dropped (%chat --undo)")
    talk.ask("D", "d")
    assert talk.sent == ["a", "A", "b2", "B2", "d"]


def test_run_all_on_a_fresh_kernel_makes_the_same_thread(talk: Talk) -> None:
    def run_all() -> list[str]:
        for cell in "abcd":
            talk.ask(cell.upper(), cell)
        return talk.sent

    first = run_all()
    assert run_all() == first, "and in the same kernel too"
    talk.kernel.run("%unload_ext cborg_magics\n%load_ext cborg_magics")
    assert run_all() == first


def test_several_calls_of_one_cell_append_and_are_replaced_together(talk: Talk) -> None:
    loop = "for n in range(3):\n    %chat why\n"
    talk.run("A", loop)
    talk.ask("B", "b")
    assert talk.sent == ["why", "ok"] * 3 + ["b"]
    talk.run("A", loop)
    assert talk.sent == ["why", "ok"] * 2 + ["why"]


def test_without_cell_ids_turns_append(talk: Talk) -> None:
    for _ in range(3):
        talk.kernel.run("%chat again")
    assert talk.sent == ["again", "ok"] * 2 + ["again"]


def stop(run: Run) -> bool:
    return any("half" in text for text in run.plain)


def test_a_run_again_that_is_stopped_keeps_the_old_turn(talk: Talk) -> None:
    talk.ask("A", "a")
    talk.server.script(CHAT, chat_stream("half ", HANG))
    run = talk.run("A", "%%chat\na2", interrupt_when=stop)
    assert run.badge.endswith("not in main: the cell's earlier answer stands there")
    talk.ask("B", "b")
    assert talk.sent == ["a", "A", "b"]


def test_a_run_again_that_fails_keeps_the_old_turn(talk: Talk) -> None:
    talk.ask("A", "a")
    talk.server.script(CHAT, refusal(400, "invalid_request_error", "no"))
    assert talk.run("A", "%%chat\na2").status == "error"
    talk.ask("B", "b")
    assert talk.sent == ["a", "A", "b"]


def test_a_first_run_that_is_stopped_leaves_no_question_without_an_answer(talk: Talk) -> None:
    talk.server.script(CHAT, chat_stream("half ", HANG))
    assert talk.run("A", "%%chat\na", interrupt_when=stop).badge.endswith("turn 1 of main")
    talk.server.script(CHAT, refusal(400, "invalid_request_error", "no"))
    talk.run("B", "%%chat\nb")
    talk.ask("C", "c")
    assert talk.sent == ["a", "half ", "c"]


def test_a_thread_of_its_own_for_one_cell(talk: Talk) -> None:
    talk.ask("A", "a")
    talk.run("B", "%%chat -t side\nb")
    assert talk.sent == ["b"]
    assert talk.run("C", "%%chat -t side\nc").badge.endswith("turn 2 of side")
    talk.ask("D", "d")
    assert talk.sent == ["a", "A", "d"]
    assert talk.run("E", "%chat --threads").plain == ["main · 2 turns · a\nside · 2 turns · b"]


def test_once_neither_reads_nor_writes(talk: Talk) -> None:
    talk.ask("A", "a")
    run = talk.run("B", "%%chat --once\nb")
    assert talk.sent == ["b"]
    assert "of main" not in run.badge
    talk.ask("C", "c")
    assert talk.sent == ["a", "A", "c"]


def test_undo_and_forget(talk: Talk) -> None:
    for cell in "abc":
        talk.ask(cell.upper(), cell)
    talk.ask("A", "a2")
    assert talk.run("U", "%chat --undo").plain == ["main has 3 turns again; 1 newer turn made way."]
    assert talk.run("U", "%chat --forget").plain == [
        "main is forgotten, 3 turns; %chat --undo brings it back."
    ]
    assert talk.run("U", "%chat --forget").error_lines == [
        "BadOption: %chat: there is no thread 'main'.",
        "Nothing was said yet in this kernel.",
    ]
    assert talk.run("U", "%chat --undo").plain == ["main has 3 turns again."]
    talk.ask("D", "d")
    assert talk.sent == ["a", "A", "b", "B", "c", "C", "d"]
    assert "BadOption" in talk.run("U", "%chat --undo").error_lines[0]


def test_show_draws_a_thread_again_and_asks_nothing(talk: Talk) -> None:
    talk.ask("A", "a <b>question</b>", "**bold**")
    talk.ask("B", "b")
    asked = len(talk.server.requests_to(CHAT))
    run = talk.run("C", "%chat --show")
    assert len(talk.server.requests_to(CHAT)) == asked
    html = "".join(o["data"].get("text/html", "") for o in run.outputs)
    assert "a &lt;b&gt;question&lt;/b&gt;" in html
    assert [o["data"]["text/markdown"] for o in run.outputs if "text/markdown" in o["data"]] == [
        "**bold**",
        "B",
    ]
    assert "main, turn 2" in html
    assert "1 token in, 1 out" in run.badge
    assert talk.run("C", "%chat --show nowhere").error_lines == [
        "BadOption: %chat: there is no thread 'nowhere'.",
        "There is main.",
    ]


@pytest.mark.parametrize("suffix", ["md", "ipynb"])
def test_a_thread_is_written_to_a_file_and_never_over_another(
    talk: Talk, tmp_path: Path, suffix: str
) -> None:
    talk.ask("A", "What <b>is</b> it?", "It **is**.")
    file, other = tmp_path / f"talk.{suffix}", tmp_path / f"mine.{suffix}"
    other.write_text("dear to me")
    for _ in range(2):
        run = talk.run("B", f"%chat --export {file}")
        assert run.plain == [f"1 turn of main in {file}."]
    text = file.read_text(encoding="utf-8")
    assert "What <b>is</b> it?" in text
    assert "It **is**." in text
    assert talk.run("B", f"%chat --export {other}").error_lines == [
        f"BadOption: {other} is there already.",
        "Name another file, or delete it.",
    ]
    assert other.read_text() == "dear to me"
    assert "neither .md nor .ipynb" in talk.run("B", "%chat --export talk.pdf").error_lines[0]


def test_what_was_left_out_of_a_long_thread_is_said(talk: Talk) -> None:
    talk.kernel.run("import os; os.environ['CBORG_CONTEXT_TOKENS'] = '1000'")
    try:
        long = "word " * 200
        for cell in "ABCDEF":
            run = talk.ask(cell, f"{cell} {long}")
        assert any(line.startswith("Not sent: the ") for line in run.plain)
        assert not talk.sent[0].startswith("A")
        assert talk.sent[-1] == f"F {long}"
    finally:
        talk.kernel.run("del os.environ['CBORG_CONTEXT_TOKENS']")


def test_a_person_may_call_the_session_from_python(talk: Talk, tmp_path: Path) -> None:
    talk.server.script(CHAT, chat_stream("yes", usage=usage(1, 1)))
    code = "import cborg_magics; r = cborg_magics.Session.from_environment().chat('really?')"
    talk.run("A", code)
    assert talk.kernel.value("r.text, r.thread, r.joined.turn").strip() == "yes main 1"
