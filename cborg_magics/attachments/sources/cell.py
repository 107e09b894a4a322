"""Is it what a cell showed, gave or held? `cell:5`, `last`, `Out[5]`, `In[5]`."""

from __future__ import annotations

import ast
import base64
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cborg_magics.attachments.place import Found, Place
from cborg_magics.attachments.shown import Shown
from cborg_magics.attachments.sources.variable import value_of
from cborg_magics.errors import BadAttachment, without_keys
from cborg_magics.exchange import Document

_HISTORY = re.compile(r"(In|Out)\s*\[\s*(\d+)\s*\](.*)", re.DOTALL)
_CELL = re.compile(r"cell\s*:\s*(\d+)", re.IGNORECASE)


def find(name: str, place: Place) -> list[Found] | None:
    name = name.strip()
    if match := _HISTORY.fullmatch(name):
        which, number, rest = match[1], int(match[2]), match[3]
        if which == "In":
            return None if rest else [_source(number, place)]
        return _result(name, number, place)
    if (number_asked := number_of(name)) is not None:
        return _shown(number_asked, place)
    return _last(place) if name == "last" else None


def number_of(name: str) -> int | None:
    """The 5 of `cell:5`; None for any other name."""
    match = _CELL.fullmatch(name.strip())
    return int(match[1]) if match else None


def source_of(number: int, place: Place) -> str | None:
    """In[number] as it was typed; None if no such cell has run."""
    typed = place.namespace.get(f"_i{number}")
    if isinstance(typed, str):
        return typed
    # Only the newest are kept as typed; the list has them all, as they were run.
    cells = place.namespace.get("_ih")
    ran = isinstance(cells, list) and 0 < number < len(cells)
    return str(cells[number]) if ran and isinstance(cells, list) else None


def pictures(shown: Iterable[Shown], suffix: str = "") -> list[Found]:
    """What to attach for pictures that cells showed; they are counted per cell, from 1."""
    counts: Counter[int] = Counter()
    found = []
    for each in shown:
        counts[each.cell] += 1
        name = f"cell {each.cell} picture {counts[each.cell]}{suffix}"
        found.append(Found(name, _value(each, name)))
    return found


def _source(number: int, place: Place) -> Found:
    source = source_of(number, place)
    if source is None:
        raise BadAttachment(
            f"cell {number} has not run in this kernel, so there is no In[{number}]."
        )
    name = f"In[{number}]"
    return Found(name, Document(name, without_keys(source), "python"))


def _result(name: str, number: int, place: Place) -> list[Found] | None:
    results = _results(place)
    if number in results:
        try:
            expression = ast.parse(name, mode="eval").body
            return [Found(name, value_of(expression, {"Out": results}))]
        except (SyntaxError, TypeError, ValueError):
            return None
    if source_of(number, place) is None:
        raise BadAttachment(
            f"cell {number} has not run in this kernel, so there is no Out[{number}]."
        )
    raise BadAttachment(
        f"cell {number} gave no value, so there is no Out[{number}].",
        f"What it displayed is attached by cell:{number}.",
    )


def _shown(number: int, place: Place) -> list[Found] | None:
    shown = [each for each in place.shown if each.cell == number]
    if shown:
        return pictures(shown)
    # A result that the front end drew, or that came before the extension was loaded.
    results = _results(place)
    return [Found(f"Out[{number}]", results[number])] if number in results else None


def _last(place: Place) -> list[Found] | None:
    shown = list(place.shown)
    if not shown:
        return None
    number = shown[-1].cell
    name = f"cell {number} picture {sum(each.cell == number for each in shown)}"
    return [Found(name, _value(shown[-1], name))]


def _results(place: Place) -> Mapping[Any, object]:
    results = place.namespace.get("_oh")
    return results if isinstance(results, Mapping) else {}


def _value(shown: Shown, name: str) -> object:
    """The bytes of a picture; a chart as its library's own object."""
    if shown.value is not None:
        return shown.value
    try:
        if shown.type.startswith("application/vnd.plotly."):
            return _chart("plotly.graph_objects", "Figure")(json.loads(shown.data))
        if shown.type.startswith("application/vnd.vega"):
            return _chart("altair", "Chart").from_dict(json.loads(shown.data))
        if shown.type == "image/svg+xml":
            return shown.data.encode()
        return base64.b64decode(shown.data)
    except Exception as error:  # noqa: BLE001 - what a cell published may be anything
        raise BadAttachment(f"{name} cannot be read ({type(error).__name__}).") from None


def _chart(module: str, kind: str) -> Any:
    """A class of the library that drew the chart. Raises AttributeError if it is not loaded."""
    return getattr(sys.modules.get(module), kind)
