"""How far has it come? One line that is replaced, in a notebook as in a terminal."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any

from cborg_magics import display
from cborg_magics.display.live import Ticker
from cborg_magics.display.notebook import quiet

_TRACK = "height:3px;max-width:24em;background:var(--jp-border-color2,#bbb);margin:4px 0"
_DONE = "height:3px;background:var(--jp-ui-font-color2,#808080)"
_LINE = "{bar:20} {desc}"  # tqdm's


class Bar:
    """A line of `words()`, and how much of `of()` steps is `done()`; live where a person watches,
    and only from the second `after` on.

    In a notebook plain HTML, replaced through its display id: nothing of it is left once
    `finish` has put the result in its place. In a terminal it is tqdm's.
    """

    def __init__(
        self,
        shell: Any,
        of: Callable[[], int],
        done: Callable[[], int],
        words: Callable[[float], str],
        *,
        after: float = 0.0,
    ) -> None:
        self._shell, self._of, self._done, self._words = shell, of, done, words
        self._after = after
        self._transient = {"display_id": uuid.uuid4().hex}
        self._in_notebook = display.is_notebook(shell)
        live = display.has_person(shell) if self._in_notebook else sys.stdout.isatty()
        self._shown = False
        self._line: Any = None  # of the terminal
        if live:
            self._show(0.0)
        self._ticker = Ticker(self._show) if live else None

    def finish(self, data: dict[str, Any]) -> None:
        """Put `data` in the line's place."""
        self._stop()
        if self._in_notebook:
            self._publish(data)
        else:
            print(data["text/plain"])

    def drop(self) -> None:
        """Take the line away."""
        self._stop()
        if self._shown and self._in_notebook:
            self._publish({"text/html": "", "text/plain": ""})

    def _stop(self) -> None:
        if self._ticker:
            self._ticker.stop()
        if self._line is not None:
            self._line.close()

    def _show(self, elapsed: float) -> None:
        if elapsed < self._after:
            return
        words, of = self._words(elapsed), max(self._of(), 1)
        if self._in_notebook:
            done = self._done()
            told = f"aria-label='progress' aria-valuemin='0' aria-valuemax='{of}'"
            drawn = (
                f"<div role='progressbar' {told} aria-valuenow='{done}' style='{_TRACK}'>"
                f"<div style='{_DONE};width:{100 * done / of:.1f}%'></div></div>"
            )
            self._publish({"text/html": quiet(words) + drawn, "text/plain": words})
            return
        if self._line is None:
            from tqdm import tqdm

            self._line = tqdm(
                total=of, file=sys.stdout, bar_format=_LINE, leave=False, dynamic_ncols=True
            )
        self._line.total, self._line.n = of, self._done()
        self._line.set_description_str(words)

    def _publish(self, data: dict[str, Any]) -> None:
        self._shell.display_pub.publish(data, transient=self._transient, update=self._shown)
        self._shown = True
