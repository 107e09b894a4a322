"""When does Ctrl-C have to wait? While a charge is written down, or an output drawn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Ctrl-C waits until the block is done; the list tells if it was pressed meanwhile.

    For a few milliseconds' work. Only the main thread can be interrupted at all.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class Hold:
    """Ctrl-C waits while `with hold:` lasts, and is heard when it ends."""

    def __init__(self, otherwise: Any) -> None:
        self._otherwise = otherwise  # what Ctrl-C does while nothing holds it
        self._holding = self._pressed = False

    def __enter__(self) -> None:
        self._holding = True

    def __exit__(self, *_: object) -> None:
        self._holding = False
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt

    def hear(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._pressed = True
        elif callable(self._otherwise):
            self._otherwise(number, frame)


@contextmanager
def holding() -> Iterator[Hold]:
    """A `Hold` for many short blocks: `uninterrupted` for each token would slow the answer."""
    before = signal.getsignal(signal.SIGINT)
    hold = Hold(before)
    if threading.current_thread() is not threading.main_thread():
        yield hold
        return
    signal.signal(signal.SIGINT, hold.hear)
    try:
        yield hold
    finally:
        signal.signal(signal.SIGINT, before)
