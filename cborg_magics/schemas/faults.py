"""What is wrong with a value, and where? In a line, in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cborg_magics.errors import BadAnswer

SHOWN = 40  # characters of a wrong value
FAULTS = 3  # named one by one; the others are counted
BRIEF = 160  # characters of a library's own words


def bad(what: str) -> BadAnswer:
    return BadAnswer(what, "Run the cell again, or name another model with -m.")


def by_type(adapter: Any, name: str, value: Any) -> Any:
    from pydantic import ValidationError

    try:
        # From JSON, not from Python: a date or a Decimal is a string or a number there.
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        rows = error.errors(include_url=False, include_context=False)
        raise _misfit(name, (_fault(row, value) for row in rows)) from None
    except Exception as problem:  # noqa: BLE001 - a type may run any code of its author's
        raise _misfit(name, [f"{type(problem).__name__}: {problem}"]) from None


def by_dict(validator: Any, name: str, value: Any) -> Any:
    from jsonschema.exceptions import best_match

    try:
        # Where none of several forms fits, best_match tells of the one that came nearest.
        faults = [_broken_rule(best_match([error])) for error in validator.iter_errors(value)]
    except RecursionError:
        raise bad("the answer's JSON is nested too deeply to be checked") from None
    if faults:
        raise _misfit(name, faults)
    return value


def _misfit(name: str, faults: Iterable[str]) -> BadAnswer:
    every = list(dict.fromkeys(map(brief, faults)))
    more = [f"and {len(every) - FAULTS} more"] * (len(every) > FAULTS)
    return bad(f"the answer does not fit {name}: {'; '.join(every[:FAULTS] + more)}")


def _fault(row: Mapping[str, Any], value: Any) -> str:
    """One of pydantic's errors in our words: `planets.0.mass should be a number, 'heavy' came`."""
    path = _real(row["loc"], value)
    kind, words = str(row["type"]), str(row["msg"])
    if kind == "missing":
        return f"{where([*path, row['loc'][-1]])} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where(path)} is not wanted"
    if kind == "value_error":
        words = words.removeprefix("Value error, ")
    if not words.startswith("Input should "):
        return f"{where(path)}: {words[:1].lower()}{words[1:]}".removeprefix(": ")
    wish = words.removeprefix("Input ")
    if kind not in ("enum", "literal_error"):  # there, commas stand between what may be chosen
        wish = wish.partition(", ")[0].replace("valid integer", "whole number")
        wish = wish.replace("a valid array", "a list").replace("a valid ", "a ")
    return f"{where(path) or 'it'} {wish}, {shown(row['input'])} came"


def _broken_rule(error: Any) -> str:
    """The same of jsonschema's errors."""
    place, rule = where(error.absolute_path), error.validator
    if rule == "required":
        missing = (key for key in error.validator_value if key not in error.instance)
        names = [where([*error.absolute_path, key]) for key in missing]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
    if rule == "type":
        kinds = " or ".join(listed(error.validator_value))
        return f"{place or 'it'} should be of type {kinds}, {shown(error.instance)} came"
    return f"{place}: {error.message}".removeprefix(": ")


def _real(location: Iterable[Any], value: Any) -> list[Any]:
    """The keys of `location` that are in the value; pydantic puts the branches of unions there."""
    path = []
    for key in location:
        inside = (isinstance(value, dict) and key in value) or (
            isinstance(value, list) and isinstance(key, int) and key < len(value)
        )
        if inside:
            path.append(key)
            value = value[key]
    return path


def where(path: Iterable[Any]) -> str:
    """
    >>> where(["planets", 0, "mass"]), where([1])
    ('planets.0.mass', 'item 1')
    """
    keys = list(path)
    named = ".".join(str(k) if re.fullmatch(r"\w{1,40}", str(k)) else shown(k) for k in keys)
    return f"item {named}" if keys and isinstance(keys[0], int) else named


def shown(value: Any) -> str:
    """A value of an answer in an error's line: short, and nothing in it can move a cursor."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    words = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return words if len(words) <= SHOWN else f"{words[: SHOWN - 3]}..."


def kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"


def brief(words: str) -> str:
    """A library's or an author's own words, on one line, with nothing unseen in them."""
    line = " ".join(words.split())
    line = line if len(line) <= BRIEF else f"{line[: BRIEF - 3]}..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def listed(kinds: Any) -> list[str]:
    """What a schema's `type` allows: one word, a list of them, or none."""
    return kinds if isinstance(kinds, list) else [kinds] if kinds else []
