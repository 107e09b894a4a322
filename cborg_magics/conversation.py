"""What has been said so far? Threads of turns; a turn belongs to the cell that asked it.

Running a cell again replaces its turn and drops the turns after it, so that a
thread is always what a fresh Run All would make of it. Where no cell is known
(a terminal, plain Python) turns append.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from cborg_magics.exchange import Joined, Message, Outcome, Reply

MAIN = "main"
UNDOABLE = 50  # the newest re-runs and forgets that can be taken back


@dataclass(frozen=True)
class Run:
    """One run of one cell: the cell's id in the notebook, and what tells this run from others."""

    cell: str
    number: str


@dataclass(frozen=True)
class Turn:
    """A question and its answer, which may be partial. `opens`: what was said before is not
    sent with this question, nor with later ones."""

    question: Message
    reply: Reply
    run: Run | None = None
    opens: bool = False

    @property
    def messages(self) -> tuple[Message, Message]:
        """What is sent of it with later questions."""
        return self.question, Message("assistant", self.reply.text)


class Conversation:
    """All threads of one kernel, each a tuple of turns, oldest first."""

    def __init__(self) -> None:
        self._threads: dict[str, tuple[Turn, ...]] = {}
        self._undo: deque[tuple[str, tuple[Turn, ...]]] = deque(maxlen=UNDOABLE)
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The threads that hold something, in the order in which they began."""
        return list(self._threads)

    def turns(self, thread: str = MAIN) -> tuple[Turn, ...]:
        """What is said in `thread`, since it was last begun anew."""
        return _since_opened(self._threads.get(thread, ()))

    def before(self, thread: str, run: Run | None, *, new: bool = False) -> tuple[Turn, ...]:
        """The turns that a question in `thread`, asked by `run`, is asked after."""
        return () if new else _since_opened(self._earlier(thread, run))

    def join(self, thread: str, turn: Turn) -> Joined:
        """Add the turn, in the place of what earlier runs of its cell had put there.

        A turn without text never joins; a partial one only where it replaces nothing.
        """
        with self._lock:
            whole, earlier = self._threads.get(thread, ()), self._earlier(thread, turn.run)
            gone = whole[len(earlier) :]
            if not turn.reply.text or (gone and turn.reply.outcome is not Outcome.COMPLETED):
                return Joined(thread, None)
            if gone:
                self._undo.append((thread, whole))
            self._threads[thread] = (*earlier, turn)
            replaced = [old for old in gone if turn.run and _cell(old) == turn.run.cell]
            return Joined(thread, len(self.turns(thread)), bool(gone), len(gone) - len(replaced))

    def forget(self, thread: str = MAIN) -> int:
        """Drop a thread; `undo` brings it back. Gives how many turns it had."""
        with self._lock:
            turns = self._threads.pop(thread, ())
            if turns:
                self._undo.append((thread, turns))
            return len(_since_opened(turns))

    def undo(self) -> tuple[str, int, int] | None:
        """Bring a thread back to what it was before the last re-run or forget.

        Gives its name, how many turns it has now, and how many of those it had
        until now are gone; None if there is nothing to take back.
        """
        with self._lock:
            if not self._undo:
                return None
            thread, turns = self._undo.pop()
            gone = [turn for turn in self._threads.get(thread, ()) if turn not in turns]
            self._threads[thread] = turns
            return thread, len(_since_opened(turns)), len(gone)

    def _earlier(self, thread: str, run: Run | None) -> tuple[Turn, ...]:
        """All of the thread before what earlier runs of that cell said."""
        turns = self._threads.get(thread, ())
        if run is None:
            return turns
        for position, turn in enumerate(turns):
            if _cell(turn) == run.cell and turn.run != run:
                return turns[:position]
        return turns


def _cell(turn: Turn) -> str | None:
    return turn.run.cell if turn.run else None


def _since_opened(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    opening = max((n for n, turn in enumerate(turns) if turn.opens), default=0)
    return turns[opening:]
