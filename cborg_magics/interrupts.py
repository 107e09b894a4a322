"""When does Ctrl-C have to wait? While an output is drawn, and once an answer is being finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Hold:
    """Ctrl-C under our hand: it waits while `with hold:` lasts, and is heard when that ends.

    It is heard once. After that, and after `keep()`, a press is only noted in
    `pressed`: whoever presses twice must not lose the answer or its charge.
    """

    def __init__(self, otherwise: Any) -> None:
        self.pressed = False
        self._otherwise = otherwise  # what Ctrl-C does when nothing holds it
        self._drawing = self._kept = False

    def __enter__(self) -> None:
        self._drawing = True

    def __exit__(self, *_: object) -> None:
        self._drawing = False
        if self.pressed and not self._kept:
            self._kept, self.pressed = True, False
            raise KeyboardInterrupt

    def keep(self) -> None:
        """From now on Ctrl-C waits until the end."""
        self._kept = True

    def hear(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        if self._drawing or self._kept:
            self.pressed = True
        elif callable(self._otherwise):
            self._kept = True
            self._otherwise(number, frame)


@contextmanager
def holding() -> Iterator[Hold]:
    """A `Hold` over Ctrl-C for the length of a block. Only the main thread can be interrupted."""
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
