"""What shape must an answer have, and has it? (Only here are pydantic and jsonschema imported.)"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cborg_magics import code_blocks
from cborg_magics.errors import BadAnswer, BadOption

_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_WRAP = "value"  # OpenAI takes objects only: anything else goes as the one property of one


@dataclass(frozen=True)
class Shape:
    """A JSON schema with the check that belongs to it; no `schema`: any JSON will do."""

    name: str
    schema: Mapping[str, Any] | None = None
    check: Callable[[str], object] = field(default=json.loads, repr=False)

    @classmethod
    def json(cls) -> Shape:
        """Any JSON."""
        return cls("JSON")

    @classmethod
    def of(cls, value: object, name: str) -> Shape:
        """What `value`, called `name`, stands for: a JSON schema (a dict), or whatever pydantic
        takes: models, dataclasses, TypedDicts, list[int], enums. Raises `BadOption`."""
        if isinstance(value, Mapping):
            return cls(name, value, _schema_check(value, name))
        return _typed(value, name)

    @property
    def _is_object(self) -> bool:
        return self.schema is not None and self.schema.get("type") == "object"

    def response_format(self) -> dict[str, Any]:
        """What OpenAI's `response_format` has to be. Strict where that does not change what the
        schema means: every property of every object must be required."""
        if self.schema is None:
            return {"type": "json_object"}
        schema = copy.deepcopy(dict(self.schema))
        if not self._is_object:
            inner = {key: schema.pop(key) for key in list(schema) if key != "$defs"}
            schema |= {"type": "object", "properties": {_WRAP: inner}, "required": [_WRAP]}
        strict = all(_closed(each) for each in _objects(schema))
        name = re.sub(r"[^\w-]", "_", self.name, flags=re.ASCII)[:64] or "answer"
        shape = {"name": name, "schema": schema, "strict": strict}
        return {"type": "json_schema", "json_schema": shape}

    def instruction(self) -> str:
        """What a model is told that cannot be held to a schema."""
        if self.schema is None:
            return "Answer with JSON only, with no text before or after it."
        return (
            "Answer with JSON only, with no text before or after it. It must be valid against"
            f" this JSON schema:\n{json.dumps(self.schema)}"
        )

    def correction(self, problem: BadAnswer) -> str:
        """What a model is told whose answer was not it."""
        return f"That was not it: {problem.what}. {self.instruction()}"

    def parse(self, text: str) -> object:
        """The value that the answer `text` holds. Raises `BadAnswer`, saying what is wrong where.

        The JSON may be the whole of it, a fenced block, or stand amid prose.
        """
        text = _THOUGHTS.sub("", text).strip()
        problem: BadAnswer | None = None
        for found in _json_in(text):
            for said in self._unwrapped(found):
                try:
                    return self.check(said)
                except BadAnswer as error:
                    problem = problem or error
        raise problem or BadAnswer(_no_json(text), _RETRY)

    def _unwrapped(self, found: object) -> Iterator[str]:
        wrapped = isinstance(found, dict) and list(found) == [_WRAP]
        if wrapped and self.schema is not None and not self._is_object:
            yield json.dumps(found[_WRAP])  # type: ignore[index]
        yield json.dumps(found)


_RETRY = "Ask more exactly, or another model."


def _typed(value: object, name: str) -> Shape:
    import pydantic

    if value is None or isinstance(value, str | bytes | int | float):
        raise _no_schema(name, value)
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(value)  # type: ignore[arg-type]
        schema = adapter.json_schema()
    except pydantic.PydanticUserError as problem:
        if "typing_extensions.TypedDict" in str(problem):
            raise BadOption(
                f"--schema {name}: this Python needs TypedDict from typing_extensions.",
                "from typing_extensions import TypedDict",
            ) from None
        raise _no_schema(name, value) from None
    except Exception:  # noqa: BLE001 - whatever the name stands for, it is no schema
        raise _no_schema(name, value) from None

    def check(text: str) -> object:
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as problem:
            first = problem.errors(include_url=False, include_context=False)[0]
            raise _misfit(first["loc"], str(first["msg"])) from None

    return Shape(name, schema, check)


def _no_schema(name: str, value: object) -> BadOption:
    return BadOption(
        f"--schema {name} is of type {type(value).__name__}, which is no schema.",
        "Give a pydantic model, a dataclass, a TypedDict, or a JSON schema as a dict.",
    )


def _schema_check(schema: Mapping[str, Any], name: str) -> Callable[[str], object]:
    try:
        import jsonschema
    except ModuleNotFoundError:
        raise BadOption(
            f"--schema {name}: a dict needs jsonschema.", "pip install jsonschema"
        ) from None
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as problem:
        where = ".".join(map(str, problem.absolute_path))
        raise BadOption(
            f"--schema {name} is no JSON schema: {where}{': ' if where else ''}{problem.message}."
        ) from None
    validator = kind(schema)

    def check(text: str) -> object:
        value = json.loads(text)
        problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if problem is not None:
            raise _misfit(tuple(problem.absolute_path), problem.message)
        return value

    return check


def _misfit(where: tuple[object, ...], what: str) -> BadAnswer:
    place = ".".join(map(str, where))
    words = " ".join(what.split())
    words = words if len(words) < 200 else words[:197] + "..."
    return BadAnswer(f"{place}: {words}" if place else words, _RETRY)


def _json_in(text: str) -> Iterator[object]:
    """All JSON that may be meant, the likeliest first."""
    for whole in (text, *(block.text for block in code_blocks.find(text))):
        try:
            yield _DECODER.decode(whole.strip())
            return
        except ValueError:
            continue
    position = 0
    while start := re.search(r"[{\[]", text[position:]):
        position += start.start()
        try:
            found, position = _DECODER.raw_decode(text, position)
            yield found
        except ValueError:
            position += 1


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _no_json(text: str) -> str:
    if not text:
        return "the answer is empty"
    start = re.search(r"[{\[]", text)
    if start is None:
        return "there is no JSON in the answer"
    if not text.rstrip("`\n ").endswith(("}", "]")):
        return "the JSON is cut off, or text follows it"
    try:
        _DECODER.decode(text[start.start() :].rstrip("`\n "))
    except ValueError as problem:
        return f"the JSON is broken: {problem}"
    return "the JSON is broken"


def _objects(schema: object) -> Iterator[dict[str, Any]]:
    """Every object that a schema describes, at any depth."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            yield schema
        for part in schema.values():
            yield from _objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _objects(part)


def _closed(schema: dict[str, Any]) -> bool:
    """Close an object that does not say whether it is open; is it as strict as OpenAI wants?"""
    properties = schema.get("properties", {})
    if not properties or schema.setdefault("additionalProperties", False) is not False:
        return False
    return set(schema.get("required", ())) == set(properties)
