"""What did a search find? Hits in order, best first, shown as a table that can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

from cborg_magics.display import tables
from cborg_magics.display.tables import Column
from cborg_magics.display.wording import DOT, count
from cborg_magics.embeddings.origin import Origin

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

IN_HTML, IN_TEXT = 160, 80  # characters of a text that a table shows
# They would move a terminal's cursor, or turn the direction of what follows them.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True)
class Hit:
    """One text that was found: its `rank` from 1, its cosine with the query (-1 to 1), the label
    and the text themselves, and the row that it has in the Embeddings that were searched."""

    rank: int
    score: float
    label: Any
    text: str
    row: int


class Hits(Sequence[Hit]):
    """What one query found, best first. `query` is its text, empty where it was a vector; `of`
    is how many texts were searched."""

    def __init__(
        self,
        hits: Iterable[Hit],
        query: str,
        origin: Origin,
        *,
        of: int,
        label_name: str | None = None,
    ) -> None:
        self._hits = tuple(hits)
        self.query, self.origin, self.of, self.label_name = query, origin, of, label_name

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, key: int) -> Hit: ...
    @overload
    def __getitem__(self, key: slice) -> Hits: ...
    def __getitem__(self, key: int | slice) -> Hit | Hits:
        if not isinstance(key, slice):
            return self._hits[key]
        name = self.label_name
        return Hits(self._hits[key], self.query, self.origin, of=self.of, label_name=name)

    def to_frame(self) -> pandas.DataFrame:
        """A DataFrame with a line for each hit: score, label, text, row; the rank is the index."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        names = [field.name for field in fields(Hit)]
        rows = [[getattr(hit, name) for name in names] for hit in self._hits]
        return pandas.DataFrame(rows, columns=names).set_index("rank")

    def _repr_html_(self) -> str:
        table = tables.html(self._columns(), self._cells(IN_HTML), self._caption())
        return f"<div style='overflow-x:auto'>{table}</div>"

    def __repr__(self) -> str:
        return tables.plain(self._columns(), self._cells(IN_TEXT), self._caption())

    def _columns(self) -> list[Column]:
        label = labels(self.label_name, [hit.label for hit in self._hits])
        return [Column("rank", right=True), Column("score", right=True), label, Column("text")]

    def _cells(self, most: int) -> list[list[str]]:
        return [
            [str(hit.rank), _two_digits(hit.score), named(hit.label), beginning(hit.text, most)]
            for hit in self._hits
        ]

    def _caption(self) -> str:
        asked = f"“{beginning(self.query, IN_TEXT)}”" if self.query else "a vector"
        if not self._hits:
            return f"nothing to find for {asked} in {count(self.of, 'text')}"
        return f"nearest to {asked}, {len(self):,} of {count(self.of, 'text')}{DOT}{self.origin}"


SHORT = 24  # characters: a label that is not broken in two


def labels(name: str | None, found: Sequence[Any]) -> Column:
    """The column of labels; short ones, like `cond-mat/2000017`, stay on one line."""
    title = beginning(name or "label", 40)
    return Column(title, wraps=any(len(named(label)) > SHORT for label in found))


def beginning(text: str, most: int) -> str:
    """The first `most` characters of a text, on one line.

    >>> beginning("Neutrinos\\n  oscillate.", 40), beginning("Neutrinos oscillate", 12)
    ('Neutrinos oscillate.', 'Neutrinos o…')
    """
    line = " ".join(_CONTROLS.sub(" ", text[: 8 * most]).split())
    whole = len(line) <= most and (len(text) <= 8 * most or not text[8 * most :].strip())
    return line if whole else f"{line[: most - 1].rstrip()}…"


def named(label: object) -> str:
    """A label as a table shows it; one that is a tuple has its parts joined."""
    parts = label if isinstance(label, tuple) else (label,)
    return beginning(DOT.join(map(str, parts)), 60)


def _two_digits(score: float) -> str:
    return f"{round(score, 2) + 0.0:.2f}"  # no -0.00
