"""A turn belongs to its cell: a thread is always what a fresh Run All would make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cborg_magics.conversation import MAIN, Conversation, Run, Turn
from cborg_magics.exchange import Joined, Location, Message, Outcome, Reply
from cborg_magics.pricing import FREE

REPLY = Reply(
    text="",
    reasoning="",
    provider="test",
    host="here",
    model="m",
    served=None,
    location=Location.HERE,
    outcome=Outcome.COMPLETED,
    finish_reason="stop",
    usage=None,
    cost=FREE,
    started=datetime(2026, 1, 1, tzinfo=timezone.utc),
    first_text=None,
    seconds=0.0,
    call_id=None,
)


class Notebook:
    """Cells that ask; each run of a cell has a number of its own."""

    def __init__(self) -> None:
        self.talk = Conversation()
        self.runs = 0

    def ask(
        self,
        cell: str | None,
        *answers: str,
        thread: str = MAIN,
        outcome: Outcome = Outcome.COMPLETED,
        new: bool = False,
    ) -> Joined:
        """Run `cell` once; it asks for each answer in turn."""
        self.runs += 1
        run = Run(cell, str(self.runs)) if cell else None
        joined = Joined(thread, None)
        for answer in answers:
            self.talk.before(thread, run, new=new)
            reply = replace(REPLY, text=answer, outcome=outcome)
            joined = self.talk.join(thread, Turn(Message("user", "?"), reply, run, new))
        return joined

    def said(self, thread: str = MAIN) -> list[str]:
        return [turn.reply.text for turn in self.talk.turns(thread)]


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


def test_cells_run_one_after_the_other_make_a_conversation(notebook: Notebook) -> None:
    notebook.ask("A", "a")
    assert notebook.ask("B", "b") == Joined(MAIN, 2)
    assert notebook.said() == ["a", "b"]


def test_a_cell_run_again_replaces_its_turn_and_drops_the_later_ones(notebook: Notebook) -> None:
    for cell in "ABC":
        notebook.ask(cell, cell.lower())
    assert notebook.ask("B", "b2") == Joined(MAIN, 2, replaced=True, dropped=1)
    assert notebook.said() == ["a", "b2"]


def test_run_all_again_makes_the_same_thread(notebook: Notebook) -> None:
    for _ in range(2):
        for cell in "ABCD":
            notebook.ask(cell, cell, new=cell == "C")
    assert notebook.said() == ["C", "D"]
    notebook.ask("A", "A")
    assert notebook.said() == ["A"], "what came before --new is there when its cell is run again"


def test_several_calls_in_one_run_append_and_the_next_run_replaces_them(
    notebook: Notebook,
) -> None:
    notebook.ask("A", "a1", "a2", "a3")
    notebook.ask("B", "b")
    assert notebook.said() == ["a1", "a2", "a3", "b"]
    joined = notebook.ask("A", "x1", "x2")
    assert notebook.said() == ["x1", "x2"]
    assert joined == Joined(MAIN, 2)


def test_without_a_cell_turns_append(notebook: Notebook) -> None:
    for _ in range(3):
        notebook.ask(None, "a")
    assert notebook.said() == ["a", "a", "a"]


@pytest.mark.parametrize("outcome", [Outcome.INTERRUPTED, Outcome.BROKEN, Outcome.FAILED])
def test_a_run_again_that_ends_early_keeps_the_old_turn(
    notebook: Notebook, outcome: Outcome
) -> None:
    notebook.ask("A", "a")
    notebook.ask("B", "b")
    assert notebook.ask("A", "half", outcome=outcome) == Joined(MAIN, None)
    assert notebook.said() == ["a", "b"]


def test_a_partial_first_answer_is_a_turn_and_an_empty_one_is_none(notebook: Notebook) -> None:
    notebook.ask("A", "half", outcome=Outcome.INTERRUPTED)
    notebook.ask("B", "", outcome=Outcome.FAILED)
    assert notebook.said() == ["half"]
    notebook.ask("A", "whole")
    assert notebook.said() == ["whole"]


def test_a_question_is_asked_after_what_stands_before_its_cell(notebook: Notebook) -> None:
    for cell in "ABC":
        notebook.ask(cell, cell)
    before = notebook.talk.before(MAIN, Run("B", "new"))
    assert [turn.reply.text for turn in before] == ["A"]
    assert notebook.talk.before(MAIN, Run("B", "new"), new=True) == ()
    assert len(notebook.talk.before(MAIN, Run("D", "new"))) == 3


def test_new_hides_what_was_said_before(notebook: Notebook) -> None:
    notebook.ask("A", "a")
    assert notebook.ask("B", "b", new=True).turn == 1
    assert notebook.said() == ["b"]
    notebook.ask("C", "c")
    assert notebook.said() == ["b", "c"]


def test_threads_do_not_meet(notebook: Notebook) -> None:
    notebook.ask("A", "a")
    notebook.ask("B", "b", thread="side")
    notebook.ask("A", "a2")
    assert (notebook.said(), notebook.said("side")) == (["a2"], ["b"])
    assert notebook.talk.names() == [MAIN, "side"]


def test_undo_brings_back_what_a_run_again_dropped_step_by_step(notebook: Notebook) -> None:
    for cell in "ABC":
        notebook.ask(cell, cell)
    notebook.ask("B", "B2")
    notebook.ask("B", "B3")
    assert notebook.talk.undo() == (MAIN, 2, 1)
    assert notebook.said() == ["A", "B2"]
    assert notebook.talk.undo() == (MAIN, 3, 1)
    assert notebook.said() == ["A", "B", "C"]
    assert notebook.talk.undo() is None


def test_undo_brings_back_what_was_forgotten(notebook: Notebook) -> None:
    notebook.ask("A", "a", thread="side")
    assert notebook.talk.forget("side") == 1
    assert notebook.talk.names() == []
    assert notebook.talk.undo() == ("side", 1, 0)
    assert notebook.said("side") == ["a"]
    assert notebook.talk.forget("never") == 0


# -- any order of runs, re-runs, interrupts, forgets and undos, against ten lines --------------

Said = list[tuple[str, int, str]]  # cell, run, answer


class AnyOrder(RuleBasedStateMachine):
    """The ten lines: a list for each thread, cut where the cell stands, with a pile of copies."""

    def __init__(self) -> None:
        super().__init__()
        self.notebook = Notebook()
        self.threads: dict[str, Said] = {"main": [], "side": []}
        self.pile: list[tuple[str, Said]] = []
        self.count = 0

    def cut(self, thread: str, cell: str, run: int) -> Said:
        said = self.threads[thread]
        own = [n for n, (c, r, _) in enumerate(said) if c == cell and r != run]
        return said[: own[0]] if own else said

    @rule(
        thread=st.sampled_from(["main", "side"]),
        cell=st.sampled_from("ABCDE"),
        calls=st.lists(st.sampled_from(["whole", "partial", "failed"]), min_size=1, max_size=3),
    )
    def run_a_cell(self, thread: str, cell: str, calls: list[str]) -> None:
        self.notebook.runs += 1
        run = Run(cell, str(self.notebook.runs))
        for call in calls:
            self.count += 1
            answer = "" if call == "failed" else str(self.count)
            outcome = {"whole": Outcome.COMPLETED, "partial": Outcome.INTERRUPTED}
            reply = replace(REPLY, text=answer, outcome=outcome.get(call, Outcome.FAILED))
            before = self.notebook.talk.before(thread, run)
            kept = self.cut(thread, cell, self.notebook.runs)
            assert [turn.reply.text for turn in before] == [said[2] for said in kept]
            self.notebook.talk.join(thread, Turn(Message("user", "?"), reply, run))
            replaces = kept != self.threads[thread]
            if call == "whole" or (call == "partial" and not replaces):
                if replaces:
                    self.pile.append((thread, self.threads[thread]))
                self.threads[thread] = [*kept, (cell, self.notebook.runs, answer)]

    @rule(thread=st.sampled_from(["main", "side"]))
    def forget(self, thread: str) -> None:
        self.notebook.talk.forget(thread)
        if self.threads[thread]:
            self.pile.append((thread, self.threads[thread]))
            self.threads[thread] = []

    @rule()
    def undo(self) -> None:
        undone = self.notebook.talk.undo()
        assert (undone is None) == (not self.pile[-50:])
        if self.pile:
            thread, said = self.pile.pop()
            self.threads[thread] = said

    @invariant()
    def the_same_is_said(self) -> None:
        for thread, said in self.threads.items():
            assert self.notebook.said(thread) == [answer for _, _, answer in said]
            assert (thread in self.notebook.talk.names()) == bool(said)


TestAnyOrder: Any = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
