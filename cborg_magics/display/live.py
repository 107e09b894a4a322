"""When is the badge rewritten while an answer streams? Twice a second, from a thread."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable

TICK_SECONDS = 0.5


class Ticker:
    """Calls `tick(elapsed seconds)` twice a second, also while the service is silent."""

    def __init__(self, tick: Callable[[float], object]) -> None:
        self._tick = tick
        self._began = time.monotonic()
        self._over = threading.Event()
        # What a thread shows belongs to the cell that the context names (ipykernel 7).
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), daemon=True)
        self._thread.start()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def stop(self) -> None:
        """Stop for good; nothing is written afterwards."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self._tick(self.elapsed)
