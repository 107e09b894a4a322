"""Is it a variable of the notebook? `fig`, `run.figure`, `figures[0]`."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path

from cborg_magics.attachments.place import Found, Place
from cborg_magics.errors import BadAttachment

# What IPython itself puts beside the user's variables.
_IPYTHONS = re.compile(r"_+|_i{1,3}|_i?\d+|_[ido]h|In|Out|exit|quit|get_ipython|__\w+__")
_FILE = re.compile(
    r".+\.(png|jpe?g|gif|webp|bmp|tiff?|svg|pdf|csv|tsv|txt|md|rst|tex|json|ya?ml|toml|py|ipynb"
    r"|r|jl|c|h|cpp|f90|sh|log|out|html?|xml)",
    re.IGNORECASE,
)


def find(name: str, place: Place) -> list[Found] | None:
    expression = _parsed(name)
    if expression is None:
        return None
    root = _root(expression)
    if root not in place.namespace or _IPYTHONS.fullmatch(root):
        return None
    try:
        return [Found(name.strip(), value_of(expression, place.namespace))]
    except BadAttachment:
        # `data.csv` is a file as often as an attribute of `data`.
        if _FILE.fullmatch(name.strip()) or Path(name.strip()).exists():
            return None
        raise


def nearest(name: str, place: Place) -> str | None:
    """The user's variable that `name` may stand for, to be suggested; None if none is near.

    >>> nearest("figs", Place(namespace={"fig": 1, "In": []}))
    'fig'
    """
    return _near(re.split(r"[.\[(]", name.strip())[0], names(place.namespace))


def names(namespace: Mapping[str, object]) -> list[str]:
    """The user's own variables: not IPython's, and none that begin with an underscore."""
    return [each for each in namespace if each[:1] != "_" and not _IPYTHONS.fullmatch(each)]


def value_of(expression: ast.expr, namespace: Mapping[str, object]) -> object:
    """The value of a name with attributes and literal items. Raises `BadAttachment`."""
    if isinstance(expression, ast.Name):
        return namespace[expression.id]
    if isinstance(expression, ast.Attribute):
        return _attribute(value_of(expression.value, namespace), expression)
    if isinstance(expression, ast.Subscript):
        return _item(value_of(expression.value, namespace), expression)
    raise TypeError(f"{ast.unparse(expression)} is no name")


def _parsed(name: str) -> ast.expr | None:
    """The name as Python; None where it is more, or less, than a name."""
    try:
        expression = ast.parse(name.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return expression if _root(expression) else None


def _root(expression: ast.expr) -> str:
    while isinstance(expression, ast.Attribute | ast.Subscript):
        if isinstance(expression, ast.Subscript) and not _is_literal(expression.slice):
            return ""
        expression = expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _attribute(owner: object, asked: ast.Attribute) -> object:
    whole, of = ast.unparse(asked), ast.unparse(asked.value)
    try:
        return getattr(owner, asked.attr)
    except Exception as error:  # noqa: BLE001 - a property may raise anything
        attributes = _attributes(owner)
        if isinstance(error, AttributeError) and asked.attr not in attributes:
            near = _near(asked.attr, attributes)
            hint = f"Did you mean {of}.{near}?" if near else ""
            raise BadAttachment(f"{of} ({_kind(owner)}) has no {asked.attr}.", hint) from None
        raise BadAttachment(f"{whole} cannot be read: {_line(error)}.") from None


def _item(owner: object, asked: ast.Subscript) -> object:
    whole, of = ast.unparse(asked), ast.unparse(asked.value)
    key = ast.literal_eval(asked.slice)
    try:
        if isinstance(owner, dict) and key not in owner:
            raise KeyError(key)  # a defaultdict would make the item
        return owner[key]  # type: ignore[index]
    except (KeyError, IndexError):
        raise BadAttachment(
            f"{of} ({_kind(owner)}) has no item {key!r}.", _keys(owner, key)
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, the item is not to be had
        raise BadAttachment(f"{whole} cannot be read: {_line(error)}.") from None


def _keys(owner: object, key: object) -> str:
    if isinstance(owner, Mapping):
        near = _near(str(key), (each for each in owner if isinstance(each, str)))
        return f"Did you mean {near!r}?" if near else ""
    if isinstance(owner, Sized):
        count = len(owner)
        return f"It has {count}, counted from 0." if count else "It is empty."
    return ""


def _attributes(owner: object) -> list[str]:
    try:
        return [name for name in dir(owner) if not name.startswith("_")]
    except Exception:  # noqa: BLE001 - dir() asks the object
        return []


def _near(name: str, names: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(name, names, n=1)
    if found:
        return found[0]
    same = [each for each in names if each.lower() == name.lower()]
    return same[0] if same else None


def _kind(value: object) -> str:
    return type(value).__name__


def _line(error: BaseException) -> str:
    """The error in one line, without the full stop."""
    try:
        said = str(error).strip().partition("\n")[0][:200].rstrip(".")
    except Exception:  # noqa: BLE001 - whatever the error's own text raises
        said = ""
    return f"{_kind(error)}: {said}" if said else _kind(error)
