"""How does a table look? Quiet, in the theme's own colours; in a terminal, aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cborg_magics.display.notebook import QUIET, literal

_CELL = "padding:2px 12px 2px 0;vertical-align:baseline;background:none"
_TEXT = "color:var(--jp-ui-font-color1,inherit)"  # small print is too pale on striped rows
_LINE = "border-bottom:1px solid var(--jp-border-color2,#bbb)"


@dataclass(frozen=True)
class Column:
    """A column: its heading, and whether it holds numbers, which stand to the right."""

    title: str
    right: bool = False


def html(columns: Sequence[Column], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """The table as HTML that reads the same wherever it is opened. Cells are plain text."""
    head = "".join(_cell("th", column, column.title, _LINE) for column in columns)
    body = "".join(
        "<tr>"
        + "".join(_cell("td", *each, _TEXT) for each in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    title = f"<caption style='{QUIET};text-align:left'>{literal(caption)}</caption>"
    return (
        f"<table style='{QUIET};border-collapse:collapse;margin:0'>{title if caption else ''}"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """The same as aligned text.

    >>> print(plain([Column("model"), Column("in", right=True)], [["a", "$3.00"], ["bc", "free"]]))
    model     in
    a      $3.00
    bc      free
    """
    lines = [[column.title for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*filter(None, [caption]), *aligned])


def _cell(tag: str, column: Column, text: str, more: str = "") -> str:
    side = "right" if column.right else "left"
    scope = " scope='col'" if tag == "th" else ""
    return f"<{tag}{scope} style='{_CELL};text-align:{side};{more}'>{literal(text)}</{tag}>"
