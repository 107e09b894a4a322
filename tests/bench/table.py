"""What was measured, and what should it be? A figure beside its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value; with a `target`, the most it may be. `note`: what it is made of."""

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.target is None or self.value <= self.target

    def cells(self) -> tuple[str, ...]:
        """The figure as a row of the table."""
        target = "" if self.target is None else f"<= {_number(self.target)} {self.unit}".rstrip()
        verdict = "" if self.target is None else "met" if self.is_met else "MISSED"
        value = f"{_number(self.value)} {self.unit}".rstrip()
        return self.what, value, target, verdict, self.note


def ratio(what: str, ours: Sequence[float], theirs: Sequence[float], **more: float) -> Figure:
    """How many times as much do we need as they do? Both in seconds; `target=` bounds it."""
    mine, other = median(ours), median(theirs)
    note = f"{_number(mine * 1000)} against {_number(other * 1000)} ms"
    return Figure(what, mine / other, "times", note=note, **more)


def table(figures: Sequence[Figure]) -> str:
    """The figures, one on each line, in columns."""
    rows = [figure.cells() for figure in figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join("  " + line.rstrip() for line in lines)


def _number(value: float) -> str:
    """Three digits that mean something.

    >>> [_number(value) for value in (0.04217, 1.0849, 12.34, 2048.7, 50)]
    ['0.0422', '1.08', '12.3', '2,049', '50']
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
