"""What is wrong with a row that cannot be embedded, and what can be done about it?"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cborg_magics.errors import BadTexts
from cborg_magics.exchange import Picture

NAMED = 5  # rows that an error names; the others are counted
_MISSING = {"NoneType": "None", "NAType": "NA", "NaTType": "NaT", "MaskedConstant": "masked"}


class Kind(str, Enum):
    """What may be wrong; its value is what to do."""

    EMPTY = "--skip-empty leaves out what is empty."
    BYTES = "Make bytes text with .decode()."
    HALF = "Mend it with text.encode(errors='replace').decode()."
    OTHER = "Make it text with {cast}."


@dataclass(frozen=True)
class Fault:
    """One row, counted from 0, with its label where it has one; `words` say what it is."""

    row: int
    label: Any
    kind: Kind
    words: str

    def __str__(self) -> str:
        label = "" if self.label is None else f" ({str(self.label)[:60]!r})"
        return f"row {self.row}{label} {self.words}"


def none_in(rows: Sequence[Any]) -> bool:
    """Are there rows, and is each a text? Asked of millions, so it loops in C."""
    if not rows or set(map(type, rows)) != {str} or not all(map(str.strip, rows)):
        return False
    try:
        deque(map(str.encode, rows), maxlen=0)
    except UnicodeEncodeError:
        return False
    return True


def is_text(text: str) -> bool:
    """Is there something in it, and can it be sent?"""
    return bool(text.strip()) and (text.isascii() or none_in([text]))


def of(row: int, label: object, items: Sequence[Any]) -> Fault | None:
    """The first fault of what a row holds; None if all of it can be embedded."""
    found = next((found for item in items if (found := _of_item(item))), None)
    return found and Fault(row, label, *found)


def error(faults: Sequence[Fault], name: str, *, is_array: bool) -> BadTexts:
    """One error for all rows of what is called `name`."""
    named = ", ".join(map(str, faults[:NAMED]))
    more = f", and {len(faults) - NAMED:,} more" if len(faults) > NAMED else ""
    kinds = {fault.kind for fault in faults}
    cast = ".astype(str)" if is_array else "str()"
    todo = " ".join(kind.value.format(cast=cast) for kind in Kind if kind in kinds)
    return BadTexts(f"{name} cannot be embedded: {named}{more}.", todo)


def a(value: object) -> str:
    """
    >>> a(5), a(b""), a(None)
    ('an int', 'bytes', 'None')
    """
    kind = type(value).__name__
    if value is None or kind == "bytes":
        return str(value) if value is None else kind
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _of_item(item: Any) -> tuple[Kind, str] | None:
    if isinstance(item, Picture):
        return None
    if isinstance(item, str):
        if not item.strip():
            return Kind.EMPTY, "is blank" if item else "is empty"
        try:
            item.encode()
        except UnicodeEncodeError:
            return Kind.HALF, "holds half a character (a lone surrogate)"
        return None
    if isinstance(item, bytes | bytearray):
        return Kind.BYTES, f"is {a(item)}"
    if (missing := _MISSING.get(type(item).__name__)) or _is_nan(item):
        return Kind.EMPTY, f"is {missing or 'NaN'}"
    return Kind.OTHER, f"is {a(item)}"


def _is_nan(item: Any) -> bool:
    try:
        return bool(item != item)
    except Exception:  # noqa: BLE001 - of an array or a table that is no question
        return False
