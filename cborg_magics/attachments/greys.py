"""Which number is black, and which is white? The rule for pictures made of measurements."""

from __future__ import annotations

from dataclasses import dataclass

# Numbers that fill less of their scale are stretched: nobody sees a contrast of a few greys.
_FAINT = 0.25


@dataclass(frozen=True)
class Levels:
    """The numbers that are shown `black` and `white`, and what to say of it."""

    black: float
    white: float
    note: str


def levels(low: float, high: float, *, whole: bool) -> Levels:
    """How numbers from `low` to `high` are shown. `whole`: all of them are whole numbers.

    0 to 1 and whole numbers 0 to 255 are how pictures are kept; anything else is
    stretched from its smallest to its largest.

    >>> levels(0.0, 0.9, whole=False)
    Levels(black=0.0, white=1.0, note='floats 0 to 1 taken as black to white')
    >>> levels(-2.5, 4095.0, whole=False).note
    '-2.5 to 4,095 taken as black to white'
    """
    for white, fits in ((1.0, not whole), (255.0, whole)):
        clear = low == high or (high - low) >= _FAINT * white
        if fits and low >= 0 and high <= white and clear:
            kind = "values" if whole else "floats"
            return Levels(0.0, white, f"{kind} 0 to {white:g} taken as black to white")
    if low == high:
        return Levels(low, low + (abs(low) or 1), f"all values are {_said(low)}, shown black")
    return Levels(low, high, f"{_said(low)} to {_said(high)} taken as black to white")


def _said(number: float) -> str:
    whole = number == int(number) and abs(number) < 1e6
    return f"{int(number):,}" if whole else f"{number:.4g}"
