"""How does a table look? Quiet, in the theme's own colours; in a terminal, aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cborg_magics.display.notebook import QUIET, flowing, literal
from cborg_magics.display.svg import picture

_CELL = "padding:2px 12px 2px 0;vertical-align:baseline;background:none"
_TEXT = "color:var(--jp-ui-font-color1,inherit)"  # small print is too pale on striped rows
_LINE = "border-bottom:1px solid var(--jp-border-color2,#bbb)"


# One rectangle that is stretched. A picture is what survives in a notebook that is not trusted.
_BAR = picture(
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1' preserveAspectRatio='none'>"
    "<rect width='1' height='1' fill='#4c8bc9'/></svg>"
)


@dataclass(frozen=True)
class Bar:
    """A cell that is drawn, as long as its `share` of the longest one, 0 to 1."""

    share: float

    def __str__(self) -> str:
        return "█" * max(round(10 * self.share), 1 if self.share else 0)


Cell = str | Bar


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, which stand to the right on one line, and
    whether a long cell may go on in a second line."""

    title: str
    right: bool = False
    wraps: bool = True


def html(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], caption: str = "") -> str:
    """The table as HTML that reads the same wherever it is opened. Cells are plain text."""
    head = "".join(_cell("th", column, column.title, _LINE) for column in columns)
    body = "".join(
        "<tr>"
        + "".join(_cell("td", *each, _TEXT) for each in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    # As wide as the table: a width of its own would not survive in a file that is not trusted.
    title = f"<caption style='{QUIET};text-align:left;padding:0'>{flowing(caption)}</caption>"
    return (
        f"<table style='{QUIET};border-collapse:collapse;margin:0'>{title if caption else ''}"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def plain(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], caption: str = "") -> str:
    """The same as aligned text.

    >>> print(plain([Column("model"), Column("in", right=True)], [["a", "$3.00"], ["bc", "free"]]))
    model     in
    a      $3.00
    bc      free
    """
    lines = [[column.title for column in columns], *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*filter(None, [caption]), *aligned])


def _cell(tag: str, column: Column, cell: Cell, more: str = "") -> str:
    side = "right" if column.right else "left"
    scope = " scope='col'" if tag == "th" else ""
    stays = tag == "td" and (column.right or not column.wraps)
    more += ";white-space:nowrap" if stays else ""
    inside = _drawn(cell) if isinstance(cell, Bar) else literal(cell)
    return f"<{tag}{scope} style='{_CELL};text-align:{side};{more}'>{inside}</{tag}>"


def _drawn(bar: Bar) -> str:
    if not bar.share:
        return ""
    width = max(round(72 * bar.share), 2)
    share = f"{bar.share:.0%}"
    return f"<img alt='{share}' src='{_BAR}' style='width:{width}px;height:7px;max-width:none'>"
