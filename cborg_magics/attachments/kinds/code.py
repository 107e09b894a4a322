"""How is a function, a class or a module sent? As its source."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
from collections.abc import Iterator

from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, without_keys
from cborg_magics.exchange import Attachment, Document

MOST_CHARACTERS = 60_000


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    code = _code(value)
    if code is None:
        return None
    source = _source(code, place)
    if source is None:
        raise BadAttachment(
            f"{name} has no Python source: it is built in, or was not typed into a cell or a file."
        )
    text, note = without_keys(textwrap.dedent(source).rstrip()), ""
    if len(text) > MOST_CHARACTERS:
        note = f"first {MOST_CHARACTERS:,} of {len(text):,} characters"
        text = f"{text[:MOST_CHARACTERS]}\n# ... cut here: {note}"
    return [Document(name, text, "python", note)]


def _code(value: object) -> object | None:
    """What `value` is the code of, or wraps; None if it is no code."""
    if isinstance(value, property) and value.fget:
        value = value.fget
    while isinstance(value, functools.partial):
        value = value.func
    # Asked statically: some objects have every attribute that they are asked for.
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if inspect.isclass(value) or inspect.ismodule(value):
        return value
    if callable(value) and (inspect.isroutine(value) or inspect.isroutine(wrapped)):
        code: object = inspect.unwrap(value)
        return code
    return None


def _source(code: object, place: Place) -> str | None:
    try:
        return inspect.getsource(code)  # type: ignore[arg-type]
    except (OSError, TypeError, SyntaxError, IndexError):
        if inspect.isclass(code) and code.__module__ == "__main__":
            return _class_in_a_cell(code, place)
        return None


def _class_in_a_cell(kind: type, place: Place) -> str | None:
    """The newest definition in a cell; Python looks for classes in files only."""
    for filename in sorted(place.cells, key=lambda each: place.cells[each], reverse=True):
        lines = linecache.getlines(filename)
        try:
            definitions = list(_classes(ast.parse("".join(lines)), ""))
        except (SyntaxError, ValueError):
            continue
        for qualified, node in reversed(definitions):
            if qualified == kind.__qualname__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
    return None


def _classes(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, ast.ClassDef):
            name = f"{inside}{child.name}."
            yield name[:-1], child
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{inside}{child.name}.<locals>."
        yield from _classes(child, name)
