"""Which passages was an answer made from? A table below it, folded away, with their scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cborg_magics.display import tables, wording
from cborg_magics.display.notebook import QUIET, literal
from cborg_magics.display.tables import Column
from cborg_magics.exchange import Passage

IN_HTML, IN_TEXT = 1000, 80  # characters of a passage that are shown
COLUMNS = (Column("score", right=True), Column("label"), Column("passage"))
_SCROLLED = "max-height:24em;overflow:auto;margin:0 0 0.5em 1em"
# They would move a terminal's cursor, or turn the direction of what follows them.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def folded(name: str, passages: Sequence[Passage]) -> dict[str, Any]:
    """What tells which passages of what is called `name` were sent."""
    table = tables.html(COLUMNS, _rows(passages, IN_HTML))
    html = (
        f"<details><summary style='{QUIET}'>{literal(_title(name, passages))}</summary>"
        f"<div style='{_SCROLLED}'>{table}</div></details>"
    )
    return {"text/html": html, "text/plain": _plain(name, passages)}


def _plain(name: str, passages: Sequence[Passage]) -> str:
    return tables.plain(COLUMNS, _rows(passages, IN_TEXT), _title(name, passages))


def _title(name: str, passages: Sequence[Passage]) -> str:
    return f"{wording.count(len(passages), 'passage')} from {name}"


def _rows(passages: Sequence[Passage], most: int) -> list[list[str]]:
    return [
        [
            f"{round(each.score, 2) + 0.0:.2f}",  # no -0.00
            wording.DOT.join(filter(None, [_line(each.name, most), each.note])),
            _line(each.text, most),
        ]
        for each in passages
    ]


def _line(text: str, most: int) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(_CONTROLS.sub(" ", text[: 8 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
