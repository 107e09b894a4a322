"""Where can a growing Markdown text be cut, so that what stands before the cut is finished?

An answer is published as several outputs: finished blocks stay as they are, and only the tail is
drawn again. A table, a list, a fence or a formula is never cut. What spans blocks is knowingly
lost at a cut: a reference like `[1]` whose definition comes in a later output stays literal text,
and so do footnotes; an ordered list that goes on after a paragraph keeps its own number.
"""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["split"]

_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
_LIST_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")


def split(text: str, at_least: int) -> tuple[str, str]:
    """The shortest finished run of blocks of `at_least` characters, and the rest of `text`.

    The run is "" while there is none; run and rest together are always `text`. A cut stands at a
    blank line outside fences and display formulas, before a line that can't belong to what came
    before it. It depends on nothing that comes later, so it is the same however `text` arrived.
    """
    state = _Open()
    start = 0
    lines = text.split("\n")
    for line, following in pairwise(lines):
        start += len(line) + 1
        state.read(line)
        is_between_blocks = not line.strip() and not state.inside
        if start >= at_least and is_between_blocks and _starts_afresh(following):
            return text[:start], text[start:]
    return "", text


def _starts_afresh(line: str) -> bool:
    """Whether `line`, of which perhaps only the start is there, begins a new block for certain."""
    if not line or line[0].isspace() or _LIST_ITEM.match(line):
        return False
    # "1", "12." and "-" may be list items when the next character arrives.
    return not re.fullmatch(r"\d{1,9}[.)]?|[-*+]", line)


class _Open:
    """What is still open after the lines read so far: a fence, a display formula, or nothing."""

    def __init__(self) -> None:
        self.fence = ""
        self.formula = ""

    @property
    def inside(self) -> bool:
        return bool(self.fence or self.formula)

    def read(self, line: str) -> None:
        if self.fence:
            mark = line.strip().lstrip("> \t")
            if mark.startswith(self.fence) and not mark.strip(self.fence[0]):
                self.fence = ""
        elif not self.formula and (opened := _FENCE.match(line)):
            self.fence = opened.group(1)
        else:
            self._read_formulas(line)

    def _read_formulas(self, line: str) -> None:
        for mark in re.findall(r"\\\\|\$\$|\\\[|\\\]", re.sub(r"(`+)[^`]+\1", "", line)):
            if self.formula:
                self.formula = "" if mark == self.formula else self.formula
            else:
                self.formula = {"$$": "$$", r"\[": r"\]"}.get(mark, "")
