"""When does Ctrl-C have to wait? While a charge is written down, or an output drawn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
