"""How does a report look? A short label, aligned facts; at the end what to mend, if anything."""

from __future__ import annotations

import queue
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from cborg_magics.errors import CborgError

WIDTH = 80  # columns
LABEL = 10

_T = TypeVar("_T")


class Urgency(IntEnum):
    """What comes first among what is to be mended."""

    NOTHING_WORKS = 0
    NO_ANSWER = 1
    NO_MONEY = 2
    NOT_SAFE = 3
    WRONG_MODEL = 4
    LESSER = 5


@dataclass(frozen=True)
class Mend:
    """Something that is not as it should be, in words that say what to do."""

    urgency: Urgency
    words: str

    @classmethod
    def of(cls, error: CborgError, urgency: Urgency = Urgency.NO_ANSWER) -> Mend:
        """What an error says, on one line."""
        return cls(urgency, " ".join(filter(None, (_sentence(error.what), error.do))))


Found = Iterator[str | Mend]
Check = Callable[[], Found]


def show(checks: Iterable[tuple[str, Check]], hide: Callable[[str], str]) -> int:
    """Print what the checks find, each as soon as it is known; 1 if there is something to mend.

    `hide` takes the keys out of a text.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows few characters
    mends: list[Mend] = []
    for label, check in checks:
        for fact in _careful(check):
            if isinstance(fact, Mend):
                mends.append(fact)
            else:
                _print(label, fact, hide)
                label = ""
    print()
    if not mends:
        print("All is well.")
        return 0
    print("To mend:" if len(mends) > 1 else "One thing to mend:")
    words = dict.fromkeys(mend.words for mend in sorted(mends, key=lambda each: each.urgency))
    for number, line in enumerate(words, 1):
        print(_wrapped(hide(line), f"{number:2}. ", 4), flush=True)
    return 1


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as aligned text.

    >>> columns([["today", "$0.02"], ["this month", "$1.20"]])
    ['today       $0.02', 'this month  $1.20']
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


class Later(Generic[_T]):
    """A value that is being made; nobody waits for it longer than `seconds` from now on."""

    def __init__(self, make: Callable[[], _T], seconds: float) -> None:
        self._made: queue.SimpleQueue[tuple[_T | None, Exception | None]] = queue.SimpleQueue()
        self._make, self._end = make, time.monotonic() + seconds
        threading.Thread(target=self._run, daemon=True).start()

    def get(self) -> _T:
        """The value, once. Raises what went wrong, or `TimeoutError`."""
        try:
            value, problem = self._made.get(timeout=max(self._end - time.monotonic(), 0.01))
        except queue.Empty:
            raise TimeoutError("this takes too long") from None
        if problem is not None:
            raise problem
        return value  # type: ignore[return-value]  # None only where _T is

    def _run(self) -> None:
        try:
            self._made.put((self._make(), None))
        except Exception as problem:  # noqa: BLE001 - raised where the value is wanted
            self._made.put((None, problem))


def _careful(check: Check) -> Found:
    """What a check finds; where it fails itself, that is a finding, and the others go on."""
    try:
        yield from check()
    except CborgError as error:
        yield textwrap.shorten(error.what, WIDTH - LABEL, placeholder=" …")  # whole below
        yield Mend.of(error)
    except Exception as error:  # noqa: BLE001 - a doctor must not faint
        words = " ".join(f"{type(error).__name__}: {error}".split())
        yield f"cannot be told: {words}"
        yield Mend(Urgency.LESSER, f"This could not be looked at: {words}.")


def _sentence(text: str) -> str:
    first, _, rest = text.partition(" ")
    text = f"{first.capitalize()} {rest}" if first.isalpha() and first.islower() else text
    return text if text.endswith((".", "?", ")")) else f"{text}."


def _print(label: str, text: str, hide: Callable[[str], str]) -> None:
    print(_wrapped(hide(text), f"{label:{LABEL}}", LABEL), flush=True)


def _wrapped(text: str, lead: str, indent: int) -> str:
    return textwrap.fill(
        "".join(each if each.isprintable() else " " for each in text),  # a service may say anything
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
