"""Where is the JSON in an answer? The whole of it, a fenced block, or amid prose."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from cborg_magics import code_blocks
from cborg_magics.errors import BadAnswer, bare
from cborg_magics.schemas import faults

# Reasoning comes before the answer; some services leave out the tag that opens it.
_REASONING = re.compile(
    r"\s*(?:<(think|thinking|reasoning)>.*?(?:</\1>|\Z)|(?:(?!<think>).)*</think>)", re.DOTALL
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)


def values(text: str) -> list[Any]:
    """The different JSON values of an answer. Raises `BadAnswer` if there is none."""
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise faults.bad("the answer is empty")
    try:
        return [_read(text)]
    except BadAnswer:
        pass
    reasoning = _REASONING.match(text)
    said = text[reasoning.end() :] if reasoning else text
    if not said.strip():
        raise faults.bad("the answer is reasoning only")
    blocks = code_blocks.find(said)
    if labelled := [block.text for block in blocks if block.language.startswith("json")]:
        values, problem = _found(labelled)
    else:
        values, problem = _found(block.text for block in blocks)
        if not values:
            values, problem = _found([said])
    if not values:
        raise problem or faults.bad("there is no JSON in the answer")
    return values


def _found(places: Iterable[str]) -> tuple[list[Any], BadAnswer | None]:
    """The different values in some texts; where there are none, what is wrong with the first."""
    values: list[Any] = []
    problem = None
    for part in (part for place in places for part in _parts(place.strip())):
        if part is None:
            return [], faults.bad("the answer is cut off inside its JSON")
        try:
            value = _read(part)
        except BadAnswer as fault:
            problem = problem or bare(fault)
        else:
            values += [value] * (value not in values)
    return values, problem


def _parts(text: str) -> Iterator[str | None]:
    """The whole text if it is JSON; else each outermost {...} or [...]; None: never closed.

    What is inside a broken one is not looked at: half a table is worse than none.

    >>> list(_parts('see {"a": [1]} or [2'))
    ['{"a": [1]}', None]
    """
    try:
        _read(text)
    except BadAnswer:
        pass
    else:
        yield text
        return
    at = 0
    while opening := re.compile(r"[\[{]").search(text, at):
        depth = 0
        for token in _TOKEN.finditer(text, opening.start()):
            depth += (token[0] in "{[") - (token[0] in "}]")
            if depth == 0:
                yield text[opening.start() : token.end()]
                at = token.end()
                break
        else:
            yield None
            return


def _read(text: str) -> Any:
    """JSON and nothing but: no NaN, no Infinity, no number beyond a float."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_number)
    except BadAnswer:
        raise
    except json.JSONDecodeError as problem:
        words = problem.msg[:1].lower() + problem.msg[1:]
        place = f"line {problem.lineno}, column {problem.colno}"
        raise faults.bad(f"the answer's JSON is broken at {place}: {words}") from None
    except (ValueError, RecursionError):  # a whole number of thousands of digits, or lists in lists
        raise faults.bad("the answer's JSON is too large to read") from None


def _refuse(word: str) -> float:
    raise faults.bad(f"the answer's JSON holds {word}, which is no number of JSON's")


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(faults.shown(digits))
