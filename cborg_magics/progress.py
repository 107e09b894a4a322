"""How far has an answer come? What was heard of it so far, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cborg_magics import tokens
from cborg_magics.errors import Interrupted
from cborg_magics.exchange import Outcome, Reasoning, Request, Text, Usage

if TYPE_CHECKING:
    from cborg_magics.providers.client import Answer

LOOP_STRIDE = 40  # characters between two looks for a loop


@dataclass
class Progress:
    """What has been heard of one answer so far, and when."""

    request: Request
    answer: Answer

    def __post_init__(self) -> None:
        self.started = datetime.now(timezone.utc)
        self.sent = False  # is a request with the service, which may charge for it?
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.first_text: float | None = None
        self.looped = False
        self._clock = time.monotonic()
        self._unchecked = 0

    def seconds(self) -> float:
        return time.monotonic() - self._clock

    def hear(self, piece: Text | Reasoning) -> None:
        if isinstance(piece, Reasoning):
            self.reasoning.append(piece.text)
            return
        if self.first_text is None:
            self.first_text = self.seconds()
        self.text.append(piece.text)
        self._unchecked += len(piece.text)

    def loops(self, looping: Callable[[str], bool] | None) -> bool:
        if looping and self._unchecked >= LOOP_STRIDE:
            self._unchecked = 0
            self.looped = looping("".join(self.text)[-1000:])
        return self.looped

    @property
    def finish_reason(self) -> str | None:
        return "loop" if self.looped else self.answer.finish_reason

    def counted(self) -> Usage:
        """Tokens as far as they can be told from what was sent and seen: four bytes each,
        or one for each piece where that is more. High rather than low."""
        sent = tokens.of_messages(self.request.messages)
        seen = tokens.of_text("".join(self.text) + "".join(self.reasoning))
        return Usage(sent, max(seen, self.answer.pieces), counted=False)

    def outcome(self, problem: BaseException | None) -> Outcome:
        """How the call ended, if `problem` ended it."""
        if problem is None:
            return Outcome.COMPLETED
        if isinstance(problem, KeyboardInterrupt):
            return Outcome.INTERRUPTED
        return Outcome.BROKEN if self.answer.pieces else Outcome.FAILED


def error_name(problem: BaseException | None) -> str | None:
    """The class of what went wrong, as the user sees it."""
    if isinstance(problem, KeyboardInterrupt):
        return Interrupted.__name__
    return type(problem).__name__ if problem else None
