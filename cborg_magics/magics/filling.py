"""How does a variable get into a text? With --fill: `{{name}}` and `{{name.attribute}}`, once."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cborg_magics.errors import BadOption

_PLACE = re.compile(r"\{\{[ \t]*([^{}\s]+)[ \t]*\}\}")
# IPython's own names in a notebook's namespace: nobody means them.
_PRIVATE = {"In", "Out", "exit", "get_ipython", "open", "quit"}


def fill(text: str, namespace: Mapping[str, Any]) -> str:
    """`text` with each `{{name}}` replaced by the value's `str`. Other braces stay as they are,
    and so do those that a value brings along. Raises `BadOption`.

    >>> fill("{{n}} of {n}, {{1+1}}", {"n": "{{n}}"})
    '{{n}} of {n}, {{1+1}}'
    """
    return _PLACE.sub(lambda place: _filled(place, namespace), text)


def look_up(name: str, namespace: Mapping[str, Any]) -> Any:
    """What a name, or a name with attributes, stands for in the notebook. Raises `BadOption`."""
    if not _is_name(name):
        raise BadOption(f"{name!r} is no name.", "Give it one in a cell, and use that.")
    first, *attributes = unicodedata.normalize("NFKC", name).split(".")
    if first not in namespace:
        raise BadOption(f"There is no variable {first!r}.", _nearest(first, namespace))
    value, so_far = namespace[first], first
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise BadOption(
                f"{so_far} has no attribute {attribute!r}.", _nearest(attribute, _names_of(value))
            ) from None
        except Exception as problem:  # noqa: BLE001 - a property runs any code of its author's
            raise BadOption(f"{so_far}.{attribute} cannot be read: {_reason(problem)}") from None
        so_far = f"{so_far}.{attribute}"
    return value


def evaluate(expression: str, shell: Any, magic: str) -> Any:
    """What a piece of Python is in the notebook. Raises `BadOption`."""
    try:
        return shell.ev(expression)
    except SyntaxError as problem:
        raise BadOption(
            f"{magic}: {expression!r} is no Python expression ({problem.msg}).",
            "Text needs quotes; options come first.",
        ) from None
    except NameError as problem:
        near = _nearest(problem.name or "", shell.user_ns)
        raise BadOption(f"{magic}: {problem}.", near) from None
    except Exception as problem:  # noqa: BLE001 - the person's own code
        raise BadOption(f"{magic}: {expression} fails: {_reason(problem)}") from None


def _filled(place: re.Match[str], namespace: Mapping[str, Any]) -> str:
    name = place[1]
    if not _is_name(name):
        return place[0]
    value = look_up(name, namespace)
    try:
        return str(value)
    except Exception as problem:  # noqa: BLE001 - __str__ runs any code of its author's
        raise BadOption(f"{name} cannot be written as text: {_reason(problem)}") from None


def _is_name(text: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))


def _nearest(name: str, names: Mapping[str, Any] | list[str]) -> str:
    """Did you mean ...? The first hit in any case counts as near."""
    known = {n.casefold(): n for n in names if not n.startswith("_") and n not in _PRIVATE}
    import difflib  # for mistakes alone

    near = difflib.get_close_matches(name.casefold(), known, n=1)
    return f"Did you mean {known[near[0]]}?" if near else ""


def _names_of(value: object) -> list[str]:
    try:
        return dir(value)
    except Exception:  # noqa: BLE001 - __dir__ runs any code of its author's
        return []


def _reason(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:160]
