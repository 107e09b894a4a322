"""How far has it come? One line that is replaced, in a notebook as in a terminal."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any

from cborg_magics import display
from cborg_magics.display.live import Ticker
from cborg_magics.display.notebook import quiet

_CLEAR_LINE = "\r\x1b[2K"
_TRACK = "height:3px;max-width:24em;background:var(--jp-border-color2,#bbb);margin:4px 0"
_DONE = "height:3px;background:var(--jp-ui-font-color2,#666)"


class Bar:
    """A line of `words()`, and how much of `of` steps is `done()`; live where a person watches.

    Plain HTML, replaced through its display id: nothing of it is left once `finish` has
    put the result in its place.
    """

    def __init__(
        self, shell: Any, of: int, done: Callable[[], int], words: Callable[[float], str]
    ) -> None:
        self._shell, self._of, self._done, self._words = shell, max(of, 1), done, words
        self._transient = {"display_id": uuid.uuid4().hex}
        self._in_notebook = display.is_notebook(shell)
        live = display.has_person(shell) if self._in_notebook else sys.stdout.isatty()
        self._shown = False
        if live:
            self._show(0.0)
        self._ticker = Ticker(self._show) if live else None

    def finish(self, data: dict[str, Any]) -> None:
        """Put `data` in the line's place."""
        if self._ticker:
            self._ticker.stop()
        if self._in_notebook:
            self._publish(data)
        else:
            print(f"{_CLEAR_LINE if self._shown else ''}{data['text/plain']}")

    def _show(self, elapsed: float) -> None:
        words = self._words(elapsed)
        if not self._in_notebook:
            sys.stdout.write(_CLEAR_LINE + words)
            sys.stdout.flush()
            self._shown = True
            return
        part = 100 * self._done() / self._of
        drawn = f"<div style='{_TRACK}'><div style='{_DONE};width:{part:.1f}%'></div></div>"
        self._publish({"text/html": quiet(words) + drawn, "text/plain": words})

    def _publish(self, data: dict[str, Any]) -> None:
        self._shell.display_pub.publish(data, transient=self._transient, update=self._shown)
        self._shown = True
