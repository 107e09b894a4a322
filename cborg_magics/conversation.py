"""What has been said so far?"""

from __future__ import annotations

from dataclasses import dataclass

from cborg_magics.exchange import Message


@dataclass(frozen=True)
class Turn:
    """A question and its answer; the answer may be partial."""

    question: str
    answer: str


class Conversation:
    """The turns of one running conversation, oldest first."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def messages(self, system: str | None, question: str) -> tuple[Message, ...]:
        """What to send to ask `question` now."""
        said = [
            message
            for turn in self.turns
            for message in (Message("user", turn.question), Message("assistant", turn.answer))
        ]
        opening = [Message("system", system)] if system else []
        return (*opening, *said, Message("user", question))

    def add(self, question: str, answer: str) -> None:
        """Remember a turn; without an answer there is none."""
        if answer:
            self.turns.append(Turn(question, answer))
