"""How is a dict or a list sent? As JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import ChainMap, UserDict, deque
from collections.abc import Iterator
from collections.abc import Set as AnySet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from uuid import UUID

from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, without_keys
from cborg_magics.exchange import Attachment, Document, Reply

MOST_CHARACTERS = 20_000
MOST_ATTACHMENTS = 50  # of one list
_MOST_NUMBERS = 10_000  # of one array; more than can be sent
_WORDS = (date, time, timedelta, Decimal, Fraction, PurePath, UUID, complex)
# Of other mappings - a dataset, an HDF5 file - the repr says more, and asks for less.
_DICTS = (dict, UserDict, ChainMap, MappingProxyType)
_SCALARS = (type(None), bool, int, float, str)


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    if isinstance(value, Reply):
        return [Document(name, without_keys(value.text), "markdown")]
    if isinstance(value, (list, tuple, *_DICTS)) and (many := _each(value, name, place)):
        return many
    plain = _plain(value)
    if plain is not _UNKNOWN:
        pieces, language = _json(plain, name), "json"
    elif shown := _repr(value):
        pieces, language = iter([shown]), "text"
    else:
        return None
    return [_bounded(pieces, name, language)]


def _bounded(pieces: Iterator[str], name: str, language: str) -> Document:
    """A document of the pieces, of which no more are made than fit."""
    kept: list[str] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length > MOST_CHARACTERS:
            note = f"first {MOST_CHARACTERS:,} characters"
            text = without_keys("".join(kept))[:MOST_CHARACTERS]
            return Document(name, f"{text}\n... cut here: {note}", language, note)
    return Document(name, without_keys("".join(kept)), language)


# -- what is no JSON, one by one -------------------------------------------------------------


def _each(value: Any, name: str, place: Place) -> list[Attachment] | None:
    """Attachments of each item, where all are figures, tables, code: no data and no words."""
    items = value.items() if isinstance(value, _DICTS) else enumerate(value)
    if not value or any(_plain(item) is not _UNKNOWN for _, item in items):
        return None
    # Imported here: the table of kinds, which holds this one, is above.
    from cborg_magics.attachments.attach import of

    made: list[Attachment] = []
    for key, item in value.items() if isinstance(value, _DICTS) else enumerate(value):
        made += of(item, f"{name}[{key!r}]", place)
        if isinstance(made[0], Document) and made[0].language == "text":
            return None
        if len(value) > MOST_ATTACHMENTS:
            raise BadAttachment(
                f"{name} has {len(value):,} items; up to {MOST_ATTACHMENTS} are attached at once.",
                "Attach some of them, by their names.",
            )
    return made


# -- JSON, made piece by piece ---------------------------------------------------------------

_UNKNOWN = object()


def _plain(value: Any) -> Any:
    """`value` as what JSON has, or as a list or dict of more; `_UNKNOWN` if it has no such form."""
    kind = type(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, _WORDS):
        return str(value)
    if hasattr(kind, "_fields") and isinstance(value, tuple):
        return dict(zip(kind._fields, value, strict=False))
    if isinstance(value, (list, tuple, *_DICTS)):
        return value
    if isinstance(value, AnySet):
        return _in_order(value)
    if isinstance(value, deque):
        return list(value)
    if dataclasses.is_dataclass(kind):
        # What is kept out of the repr is kept out here: a password, a cache.
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(kind) if f.repr}
    if hasattr(kind, "model_fields") and hasattr(kind, "model_dump"):
        return value.model_dump()
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return _numbers(value)
    return _UNKNOWN


def _numbers(array: Any) -> Any:
    """A number or an array of numpy's. Pictures have been seen before."""
    if array.size <= _MOST_NUMBERS:
        return array.tolist()
    return array[:_MOST_NUMBERS].tolist() if array.ndim == 1 else _UNKNOWN


def _in_order(values: AnySet[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _json(value: Any, name: str) -> Iterator[str]:
    try:
        yield from _written(value, "\n", ())
    except _Cycle:
        raise BadAttachment(f"{name} contains itself, so that it has no end.") from None


class _Cycle(Exception):
    pass


def _written(value: Any, line: str, inside: tuple[int, ...]) -> Iterator[str]:
    """JSON with indents; a list of numbers or words stays on one line. `line` begins a new one."""
    plain = _plain(value)
    if plain is _UNKNOWN:
        plain = _repr(value) or f"<{type(value).__name__}>"
    if isinstance(plain, _SCALARS):
        yield _scalar(plain)
        return
    if id(value) in inside:
        raise _Cycle
    inside = (*inside, id(value))
    deeper = line + "  "
    if isinstance(plain, _DICTS):
        yield "{"
        for number, (key, item) in enumerate(plain.items()):
            yield f"{',' * (number > 0)}{deeper}{_scalar(_key(key))}: "
            yield from _written(item, deeper, inside)
        yield f"{line}}}" if plain else "}"
    else:
        flat = all(isinstance(item, _SCALARS) for item in plain[:_MOST_NUMBERS])
        yield "["
        for number, item in enumerate(plain):
            yield (", " * (number > 0)) if flat else f"{',' * (number > 0)}{deeper}"
            yield from _written(item, deeper, inside)
        yield "]" if flat else f"{line}]"


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    plain = _plain(key)
    return (
        _scalar(plain) if isinstance(plain, _SCALARS) else _repr(key) or f"<{type(key).__name__}>"
    )


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        # Not all of a book, to cut it then.
        return json.dumps(str(value)[: MOST_CHARACTERS + 1], ensure_ascii=False)
    try:
        return json.dumps(value)
    except ValueError:
        return json.dumps(f"<a whole number of {value.bit_length():,} bits>")


def _repr(value: object) -> str:
    """What the object says of itself; nothing where that is only its address, or raw bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        return ""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever its repr raises
        return ""
    return "" if text.startswith("<") and " at 0x" in text else text
