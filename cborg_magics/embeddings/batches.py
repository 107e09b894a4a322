"""What goes along in one request? Pieces of text, until a count or a number of tokens is full."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cborg_magics import tokens

MOST_TEXTS = 64
MOST_TOKENS = 32_768
MOST_BYTES = 8 * 1024 * 1024  # pictures, in the form they are sent in


class Batches:
    """Hands out the pieces that are still to be sent, to several threads.

    `pieces` are the texts, `wanted` the positions of those to send, `most` how many at once.
    """

    def __init__(
        self, pieces: Sequence[str], wanted: Sequence[int], most: int = MOST_TEXTS
    ) -> None:
        self._pieces, self._wanted, self._most = pieces, wanted, most
        self._next = 0
        self._lock = threading.Lock()

    def take(self) -> list[int]:
        """The next positions; empty when all are taken."""
        with self._lock:
            start, room, octets = self._next, MOST_TOKENS, MOST_BYTES
            for number in self._wanted[start : start + self._most]:
                piece = self._pieces[number]
                octets -= len(piece)
                room -= tokens.of_text(piece) if octets > 0 else 0
                if (room < 0 or octets < 0) and self._next > start:
                    break
                self._next += 1
            return list(self._wanted[start : self._next])

    def shrink(self, most: int) -> None:
        """From now on hand out so many at most: the service refused more."""
        with self._lock:
            self._most = max(1, min(self._most, most))


def requests(pieces: Sequence[str], wanted: Sequence[int], most: int = MOST_TEXTS) -> int:
    """How many requests that makes.

    >>> requests(["a", "b", "c"], [0, 1, 2], most=2)
    2
    """
    return sum(1 for _ in iter(Batches(pieces, wanted, most).take, []))
