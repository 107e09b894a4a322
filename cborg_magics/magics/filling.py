r"""How does the value of a variable get into a text? By `{{name}}`, and only with --fill.

Everything else that has braces stays as it is: `{x}`, `{{1+1}}`, LaTeX, JSON, Jinja's `{% %}`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from cborg_magics.errors import BadOption

_FIELD = re.compile(r"\{\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*\}\}")


def fill(text: str, namespace: Mapping[str, object]) -> str:
    """`text` with the values of `{{name}}` and `{{name.attribute}}` in it, as `str` gives them.

    One pass: braces in a value are never filled in. Raises `BadOption`.

    >>> fill("{{n}} of {n}, {{n + 1}}", {"n": 3})
    '3 of {n}, {{n + 1}}'
    """
    return _FIELD.sub(lambda found: _said(found[1], namespace), text)


def look_up(path: str, namespace: Mapping[str, object]) -> object:
    """The value of `name` or `name.attribute`. Raises `BadOption`, naming the nearest name."""
    name, *attributes = path.split(".")
    if name not in namespace:
        names = [n for n in namespace if not n.startswith("_") and n not in ("In", "Out")]
        raise BadOption(f"there is no variable {name!r}.", _nearest(name, names))
    value = namespace[name]
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except AttributeError:
            near = _nearest(attribute, [n for n in dir(value) if not n.startswith("_")])
            raise BadOption(f"{path}: there is no {attribute!r}.", near) from None
        except Exception as problem:  # noqa: BLE001 - a property may do anything
            raise BadOption(f"{path} cannot be had: {_reason(problem)}.") from None
    return value


def _said(path: str, namespace: Mapping[str, object]) -> str:
    value = look_up(path, namespace)
    try:
        return str(value)
    except Exception as problem:  # noqa: BLE001 - a value's own text may fail in any way
        raise BadOption(f"{path} has no text: {_reason(problem)}.") from None


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else ""


def _reason(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"
