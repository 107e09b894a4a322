"""How is a DataFrame or a Series sent? Its schema and its head, as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from cborg_magics.attachments.place import Place
from cborg_magics.errors import without_keys
from cborg_magics.exchange import Attachment, Document

MOST_ROWS = 20
MOST_COLUMNS = 50
MOST_CHARACTERS = 20_000
_WIDEST = 80  # characters of a cell


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    # Nothing can be a DataFrame where pandas was not imported.
    pandas = sys.modules.get("pandas")
    known = tuple(getattr(pandas, kind, ()) for kind in ("DataFrame", "Series", "Index"))
    if not pandas or not isinstance(value, known):
        return None
    is_frame = hasattr(value, "columns")
    frame: Any = value if is_frame else _as_frame(value)
    rows, columns = frame.shape
    size = f"{rows:,} {'row' if rows == 1 else 'rows'}"
    if is_frame:
        size += f" × {columns:,} {'column' if columns == 1 else 'columns'}"
    schema = _schema(frame)
    head, sent = _head(frame, MOST_CHARACTERS - len(schema) - 200)
    cut = []
    if sent < rows:
        cut.append(f"first {sent} of {rows:,} rows")
    if columns > MOST_COLUMNS:
        cut.append(f"{MOST_COLUMNS} of {columns:,} columns")
    parts = [f"{type(value).__name__}, {size}", schema]
    if rows:
        parts += [", ".join(cut).capitalize() + ":" if cut else "All rows:", head]
    note = f"{size}, first {sent} sent" if sent < rows else size
    if columns > MOST_COLUMNS:
        note += f", {MOST_COLUMNS} columns of them"
    return [Document(name, without_keys("\n\n".join(parts)), "markdown", note)]


def _as_frame(column: Any) -> Any:
    """A Series or an Index as a table, which shares its values."""
    if not hasattr(column, "index"):
        return column.to_frame(index=False)
    return column.to_frame(name="value" if column.name is None else column.name)


def _schema(frame: Any) -> str:
    rows = []
    for number in range(min(frame.shape[1], MOST_COLUMNS)):
        column = frame.iloc[:, number]
        rows.append([_cell(frame.columns[number]), _cell(column.dtype), _missing(column)])
    return _table(["column", "type", "missing"], rows)


def _missing(column: Any) -> str:
    try:
        return f"{int(column.isna().sum()):,}"
    except Exception:  # noqa: BLE001 - a column's own type may not know
        return "?"


def _head(frame: Any, most: int) -> tuple[str, int]:
    """The first rows as far as they fit into `most` characters, and how many they are."""
    part = frame.iloc[:MOST_ROWS, :MOST_COLUMNS]
    titles = [_title(part.index.names), *(_cell(each) for each in part.columns)]
    columns = [list(part.iloc[:, number]) for number in range(part.shape[1])]
    rows: list[list[str]] = []
    for number, label in enumerate(part.index):
        row = [_cell(label), *(_cell(column[number]) for column in columns)]
        most -= sum(map(len, row)) + 3 * len(row) + 2
        if rows and most < sum(map(len, titles)) + 8 * len(titles):
            break
        rows.append(row)
    return _table(titles, rows), len(rows)


def _title(names: Iterable[object]) -> str:
    return ", ".join(_cell(each) for each in names if each is not None)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    """A value in one short line that does not break the table."""
    try:
        text = f"{value:.10g}" if isinstance(value, float) else _words(value)
    except Exception:  # noqa: BLE001 - whatever the value's own text raises
        text = f"<{type(value).__name__}>"
    text = " ".join(text[: _WIDEST * 4].split())
    if len(text) > _WIDEST:
        text = text[: _WIDEST - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _words(value: object) -> str:
    if isinstance(value, str):
        return value[: _WIDEST * 4]  # not all of a book, to cut it then
    if isinstance(value, tuple):  # a label with several levels
        return ", ".join(map(str, value[:_WIDEST]))
    return str(value)
