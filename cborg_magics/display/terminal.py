"""What does a terminal see? The text as it comes, and the badge as one line."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TextIO

from cborg_magics.display import wording
from cborg_magics.exchange import Asking, Event, Reasoning, Reply, Text, Waiting

# A model's text must not move the cursor, colour the screen or set the window's title.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CLEAR_LINE = "\r\x1b[2K"


class TerminalView:
    """One call, shown as plain text."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._passing = False  # is a line on screen that must go?
        self._thinking = False
        self._column = 0

    def event(self, event: Event) -> None:
        """Hear what happens."""
        if isinstance(event, Text):
            if self._thinking:
                self._say("\n\n")
                self._thinking = False
            self._say(event.text)
        elif isinstance(event, Reasoning):
            if not self._thinking:
                self._say("Reasoning: ")
                self._thinking = True
            self._say(event.text)
        elif isinstance(event, Waiting):
            self._pass(wording.waiting(event))
        elif isinstance(event, Asking):
            self._pass(f"asking {event.model}")

    def finish(self, reply: Reply | None) -> None:
        """The badge, on a line of its own."""
        self._clear()
        if reply is not None:
            lead = "\n" if self._column else ""
            words = f"[{wording.DOT.join(wording.badge(reply))}]"
            self._out.write(f"{lead}{fitting(words, self._out)}\n")
            self._out.flush()

    def _say(self, text: str) -> None:
        self._clear()
        text = _CONTROLS.sub("", text)
        if text:
            self._out.write(text)
            self._out.flush()
            self._column = len(text.rpartition("\n")[2]) + (0 if "\n" in text else self._column)

    def _pass(self, words: str) -> None:
        """A line that the next one replaces; only where the screen can do that."""
        if self._live:
            self._out.write(_CLEAR_LINE + words)
            self._out.flush()
            self._passing = True

    def _clear(self) -> None:
        if self._passing:
            self._out.write(_CLEAR_LINE)
            self._passing = False


def fitting(line: str, out: TextIO) -> str:
    """A line that is broken between words where the screen is too narrow for it."""
    if not out.isatty():
        return line
    wide = max(shutil.get_terminal_size().columns - 1, 20)
    return textwrap.fill(line, wide, break_long_words=False, break_on_hyphens=False)
