"""What does a notebook see? An answer that grows as Markdown, and a badge below it.

Finished blocks of Markdown become outputs of their own and are never redrawn;
only the tail is, ten times a second at most, less often as it grows. Redrawing
the whole for each token costs a browser minutes and loses half of the answer.
The outputs are, from above: reasoning (folded), blocks, tail, badge.

The badge is plain HTML also while it lives, replaced through its display id. A
widget would be left in the file as an error when the page is reloaded or the
kernel restarted in the middle of an answer; this reads "3.2 s so far".
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from html import escape
from typing import Any

from cborg_magics.display import live, wording
from cborg_magics.display.blocks import split
from cborg_magics.exchange import Asking, Event, Reasoning, Reply, Text, Waiting
from cborg_magics.harmless import harmless

BLOCK_CHARACTERS = 1500
MOST_BLOCKS = 30  # JupyterLab hides the outputs of a cell after the fiftieth
FRAME_SECONDS = 0.1
CHARACTERS_A_SECOND = 20_000  # a tail of 4,000 characters is redrawn five times a second

# No grey reads well on white and on black: without the theme's colour it is the text's own.
QUIET = (
    "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,inherit));font-family:var(--jp-ui-font-family,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.5"
)

UNBROKEN = 48  # characters: a longer part may go on in the next line, in a narrow window

Publish = Callable[..., object]


class NotebookView:
    """One call, shown in one cell. `publish` is the shell's own way to show data.

    `person`: is somebody there to watch? In a headless run nothing live is shown;
    the outputs that stay are the same.
    """

    def __init__(self, publish: Publish, *, person: bool) -> None:
        self._publish, self._person = publish, person
        self._model = ""
        self._waiting = ""
        self._reasoning = ""
        self._tail = ""  # what of the answer is not in a finished block yet
        self._blocks = 0
        self._pieces = 0
        self._writing_since = 0.0
        self._answering = False
        self._painted = 0.0
        self._growing: _Output | None = None
        self._badge: _Output | None = None
        self._ticker: live.Ticker | None = None
        self._drawn = True
        self._lock = threading.RLock()  # the ticker draws what came just before a silence

    def event(self, event: Event) -> None:
        """Hear what happens; called for each piece, so it does little."""
        with self._lock:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Text | Reasoning):
            self._waiting = ""
            self._pieces += 1
            if self._pieces == 1:
                self._writing_since = time.monotonic()
        if isinstance(event, Text):
            if not self._answering:
                self._begin_answer()
            self._tail += event.text
            self._drawn = False
            self._paint_if_due(len(self._tail))
        elif isinstance(event, Reasoning):
            self._reasoning += event.text
            if not self._answering:
                self._drawn = False
                self._paint_if_due(len(self._reasoning))
        elif isinstance(event, Waiting):
            self._waiting = wording.waiting(event)
            self._show_live()
        elif isinstance(event, Asking):
            self._model = event.model
            if self._person:
                self._ticker = live.Ticker(self._tick)
                self._badge = self._live_badge()

    def finish(self, reply: Reply | None) -> None:
        """Show all that came, and the badge of what it came to; None if nothing was asked."""
        if self._ticker:
            self._ticker.stop()
            self._ticker = None
        if reply is None:
            if self._badge:
                self._badge.show({"text/html": quiet("stopped"), "text/plain": "stopped"})
            return
        try:
            if self._answering:
                self._paint_answer()
            elif self._reasoning:
                self._paint_reasoning(is_open=False)
        finally:  # a live badge must not be left behind, whatever cannot be drawn
            (self._badge or _Output(self._publish)).show(badge(reply))

    # -- the answer ------------------------------------------------------------------------

    def _paint_if_due(self, length: int) -> None:
        if time.monotonic() - self._painted < max(FRAME_SECONDS, length / CHARACTERS_A_SECOND):
            return
        self._paint()
        self._painted = time.monotonic()

    def _paint(self) -> None:
        if self._answering:
            self._paint_answer()
        else:
            self._paint_reasoning(is_open=True)
        self._drawn = True

    def _paint_reasoning(self, *, is_open: bool) -> None:
        self._grow(thoughts(self._reasoning, is_open=is_open))

    def _begin_answer(self) -> None:
        if self._reasoning:
            self._paint_reasoning(is_open=False)
        self._growing, self._answering, self._painted = None, True, 0.0

    def _paint_answer(self) -> None:
        """Freeze what is finished, draw the tail."""
        while self._blocks < MOST_BLOCKS:
            finished, rest = split(self._tail, BLOCK_CHARACTERS * (1 + self._blocks // 10))
            if not finished or not rest.strip():
                break
            self._grow(markdown(finished))
            self._growing, self._tail = None, rest
            self._blocks += 1
        self._grow(markdown(self._tail))

    def _grow(self, data: dict[str, Any]) -> None:
        """Draw what grows. A new one takes the badge's place, and the badge moves below it."""
        if self._growing is not None:
            self._growing.show(data)
            return
        output = self._badge or _Output(self._publish)
        output.show(data)
        self._growing, self._badge = output, None
        if self._ticker:
            self._badge = self._live_badge()

    # -- the badge while it lives ----------------------------------------------------------

    def _live_badge(self) -> _Output:
        output = _Output(self._publish)
        output.show(self._live())
        return output

    def _live(self) -> dict[str, Any]:
        elapsed = self._ticker.elapsed if self._ticker else 0.0
        writing = time.monotonic() - self._writing_since
        words = self._waiting or wording.live(self._model, elapsed, self._pieces, writing)
        return {"text/html": quiet(words), "text/plain": words}

    def _show_live(self) -> None:
        if self._badge:
            self._badge.show(self._live())

    def _tick(self, elapsed: float) -> None:
        with self._lock:
            if not self._drawn and time.monotonic() - self._painted > live.TICK_SECONDS:
                self._paint()
            self._show_live()


class _Output:
    """One output of the cell: it appears when first shown, and is replaced from then on."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._transient = {"display_id": uuid.uuid4().hex}
        self._shown = False

    def show(self, data: dict[str, Any]) -> None:
        self._publish(data, transient=self._transient, update=self._shown)
        self._shown = True


def markdown(text: str) -> dict[str, Any]:
    """A piece of an answer: harmless where it is rendered, as it came where it is plain."""
    return {"text/markdown": harmless(text), "text/plain": text}


def thoughts(text: str, *, is_open: bool) -> dict[str, Any]:
    """A model's reasoning, folded away unless it is just being written."""
    style = f"{QUIET};white-space:pre-wrap;max-height:16em;overflow:auto;margin:0 0 0.5em 1em"
    html = (
        f"<details{' open' if is_open else ''}><summary style='{QUIET}'>Reasoning</summary>"
        f"<div style='{style}'>{literal(text)}</div></details>"
    )
    return {"text/html": html, "text/plain": f"Reasoning: {text}"}


def badge(reply: Reply) -> dict[str, Any]:
    """What a call came to, in one quiet line."""
    words = wording.DOT.join(wording.badge(reply))
    return {"text/html": quiet(words), "text/plain": words}


def quiet(words: str) -> str:
    """A line of small print in the theme's own colours."""
    return f"<div role='note' style='{QUIET}'>{flowing(words)}</div>"


def flowing(words: str) -> str:
    """Words as HTML; a narrow window breaks their line between the parts, not within one."""
    *parts, last = words.split(wording.DOT)
    if not parts:
        return literal(words)
    return " ".join([*(_unbroken(f"{part} ·") for part in parts), _unbroken(last)])


def _unbroken(part: str) -> str:
    said = literal(part)
    return said if len(part) > UNBROKEN else f"<span style='white-space:nowrap'>{said}</span>"


def literal(text: str) -> str:
    """Text as HTML that says just that. Two dollars in one piece would be taken for a formula,
    and so would what stands between `\\(` and `\\)`."""
    return escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")
