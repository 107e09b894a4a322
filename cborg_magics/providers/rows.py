"""How is a service's JSON read, when any part of it may be missing, null or of another kind?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def of(answer: Any, key: str) -> list[Mapping[str, Any]]:
    """The rows of a list that have a `key`: the list itself, or what is in `data` or `models`.

    Raises `TypeError` where there is no list at all.

    >>> of({"data": [{"id": "a"}, {"id": None}, None]}, "id")
    [{'id': 'a'}]
    """
    if isinstance(answer, Mapping):
        answer = answer.get("data", answer.get("models"))
    if not isinstance(answer, list):
        raise TypeError("there is no list of models in it")
    return [row for row in answer if isinstance(row, Mapping) and row.get(key)]


def part(answer: Any, name: str) -> Mapping[str, Any]:
    """The object at `name`, or an empty one."""
    found = answer.get(name) if isinstance(answer, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def text(value: object) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def said(value: object) -> bool | None:
    """A yes or a no."""
    return value if isinstance(value, bool) else None


def count(*values: object) -> int | None:
    """The first number above 0.

    >>> count(None, 0, True, 8192.0), count("many")
    (8192, None)
    """
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return next((int(number) for number in numbers if number >= 1), None)


def names(value: object) -> frozenset[str] | None:
    """A list of words."""
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        return None
    return frozenset(word for word in value if isinstance(word, str))
