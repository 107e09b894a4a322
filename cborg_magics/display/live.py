"""What does the badge show while an answer streams? (The only file that imports ipywidgets.)

One widget for the whole kernel, shown in each cell in turn: however many calls,
three comms. When a call ends, its output is replaced by plain HTML.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

TICK_SECONDS = 0.5

_widget: list[Any] = []


def mimebundle() -> dict[str, Any]:
    """The one widget, as an output."""
    shown = _the_widget()._repr_mimebundle_()
    return {**shown, "text/plain": ""}


def _the_widget() -> Any:
    if not _widget:
        import ipywidgets

        _widget.append(ipywidgets.HTML(layout={"margin": "0"}))
    return _widget[0]


class Ticker:
    """Rewrites the widget twice a second with the HTML that `words(elapsed seconds)` returns.

    A thread, so that seconds pass on screen also while the service is silent.
    """

    def __init__(self, words: Callable[[float], str]) -> None:
        self._words = words
        self._widget = _the_widget()  # made here: its comm belongs to the cell's own thread
        self._began = time.monotonic()
        self._over = False
        self._due = threading.Event()
        self._widget.value = words(0.0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop for good; nothing is written afterwards."""
        self._over = True
        self._due.set()
        self._thread.join()

    def hurry(self) -> None:
        """Rewrite now: what it says has changed."""
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait(TICK_SECONDS)
            self._due.clear()
            if self._over:
                return
            self._widget.value = self._words(time.monotonic() - self._began)
