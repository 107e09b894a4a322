"""What shape must an answer have? A JSON schema, from a type of Python's or written out."""

from __future__ import annotations

import graphlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from cborg_magics.errors import BadAnswer, BadOption, bare
from cborg_magics.schemas import answer, faults

# What a schema may say where OpenAI holds a model to it strictly, and which formats.
STRICT_WORDS = {
    *("$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "definitions"),
    *("description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items"),
    *("maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern", "properties"),
    *("required", "title", "type"),
}
STRICT_FORMATS = {
    *("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"),
}
# One of these at least: else the dict is an example, and any answer would fit it.
SCHEMA_WORDS = {"$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties", "type"}
DEFINITIONS = ("$defs", "definitions")

Schema = Mapping[str, Any]
Check = Callable[[Any], Any]  # of parsed JSON; raises BadAnswer


@dataclass(frozen=True)
class Shape:
    """What an answer must be. `schema` is its JSON schema; None: any JSON will do.

    `Shape.of(Planet, "Planet").parse('{"name": "Mars"}')` gives `Planet(name='Mars')`.
    """

    name: str
    schema: Schema | None
    check: Check = field(repr=False, compare=False)

    @classmethod
    def json(cls) -> Shape:
        """Any JSON: its value is what `json.loads` makes of it.

        >>> Shape.json().parse('Gladly: {"mass": 5.97e24}, in kg.')
        {'mass': 5.97e+24}
        """
        return cls("JSON", None, lambda value: value)

    @classmethod
    def of(cls, value: object, name: str) -> Shape:
        """The shape of a type (pydantic model, dataclass, TypedDict, list[...], Literal, Enum)
        or of a JSON schema in a dict. Raises `BadOption` for anything else."""
        if isinstance(value, Mapping):
            schema, check = _of_dict(value, name)
        else:
            schema, check = _of_type(value, name)
        return cls(name, schema, check)

    @property
    def held(self) -> bool:
        """Can every service that says so hold a model to it?

        Not to an object of any fields: LiteLLM makes it one of no fields for Claude, which
        can then answer nothing. Nor to a schema that holds itself: Claude's has none.
        """
        return self.schema is not None and _closed(self.schema) and not _recursive(self.schema)

    def response_format(self) -> dict[str, Any]:
        """What a service that holds its models to a shape is sent as `response_format`. Where
        `held` is False it says no more than JSON, and the model needs the `instruction` too."""
        if not self.held:
            return {"type": "json_object"}
        schema, strict = self._sent, True
        try:
            schema = _strict(schema)
        except _NotStrict:
            strict = False
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", self.name)[:64] or "answer"
        form = {"name": name, "schema": schema, "strict": strict}
        return {"type": "json_schema", "json_schema": form}

    def instruction(self) -> str:
        """What a model is told that its service cannot hold to a shape."""
        told = "Answer with one JSON value and nothing else: no words around it, no code fence."
        if self.schema is None:
            return told
        return f"{told} It must match this JSON schema:\n{json.dumps(self._sent)}"

    def correction(self, problem: BadAnswer) -> str:
        """What the model is told when its answer did not fit."""
        wrong = problem.what[:1].upper() + problem.what[1:]
        return f"{wrong}. Write it again.\n{self.instruction()}"

    def parse(self, text: str) -> Any:
        """The value in an answer, as the type wants it: a model, a dataclass, a dict.

        Words, a fence and reasoning around the JSON are passed over. Raises `BadAnswer`.
        """
        values = answer.values(text)
        found, problems = [], []
        for value in values:
            try:
                found.append(self._checked(value))
            except BadAnswer as problem:
                problems.append(problem)
        if not found:
            raise bare(problems[0])
        if len(found) > 1:
            raise faults.bad(f"the answer holds {len(found)} JSON values, one is wanted")
        return found[0]

    @property
    def _wrapped(self) -> bool:
        """Services want an object at the top: is anything else put into one?"""
        return self.schema is not None and _resolved(self.schema).get("type") != "object"

    @property
    def _sent(self) -> Schema:
        """The schema as models see it, an object at the top."""
        schema = self.schema or {}
        if not self._wrapped:
            return _resolved(schema)
        inner = {word: part for word, part in schema.items() if word not in DEFINITIONS}
        wrapped = {
            "type": "object",
            "properties": {"value": inner},
            "required": ["value"],
            **{word: schema[word] for word in DEFINITIONS if word in schema},
        }
        moved: Schema = _map_refs(wrapped, {"#": "#/properties/value"})
        return moved

    def _checked(self, value: Any) -> Any:
        if not (self._wrapped and isinstance(value, dict) and list(value) == ["value"]):
            return self.check(value)
        try:
            return self.check(value["value"])
        except BadAnswer as problem:
            try:
                return self.check(value)  # the type itself may have one field named value
            except BadAnswer:
                raise problem from None


# -- schemas -------------------------------------------------------------------------------


def _of_type(value: Any, name: str) -> tuple[Schema, Check]:
    if value is None or isinstance(value, str):  # a string would be a forward reference
        raise _no_schema(name, f"pydantic makes nothing of {faults.kind(value)}")
    if not isinstance(value, type) and (
        hasattr(type(value), "__pydantic_fields__") or is_dataclass(value)
    ):
        kind = type(value).__name__
        raise _no_schema(name, f"it is one {kind}, not the type", f"Try --schema {kind}.")
    try:
        from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
    except ImportError:
        raise BadOption(
            "--schema needs pydantic 2.10 or newer.", "Install it: pip install -U pydantic"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of defaults that have no JSON form
            adapter: Any = TypeAdapter(value)
            adapter.rebuild(raise_errors=True)  # names what is not defined
            schema = adapter.json_schema()
        if adapter.core_schema["type"] == "call":  # a function: the answer would be its arguments
            raise PydanticSchemaGenerationError("")
    except PydanticSchemaGenerationError:
        raise _no_schema(name, f"pydantic makes nothing of {faults.kind(value)}") from None
    except (PydanticUserError, NameError) as problem:
        raise _no_schema(name, str(problem).splitlines()[0]) from None
    except Exception as problem:  # noqa: BLE001 - a type may run any code of its author's
        raise _no_schema(name, faults.brief(f"{type(problem).__name__}: {problem}")) from None
    return schema, lambda found: faults.by_type(adapter, name, found)


def _of_dict(value: Mapping[Any, Any], name: str) -> tuple[Schema, Check]:
    try:
        import jsonschema  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import referencing.jsonschema
    except ImportError:
        raise BadOption(
            "A JSON schema in a dict needs jsonschema.", "Install it: pip install jsonschema"
        ) from None
    try:
        schema: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise _no_schema(name, f"it is no JSON: {faults.brief(str(problem))}") from None
    if not SCHEMA_WORDS & schema.keys():
        raise _no_schema(
            name, "the dict is no JSON schema", "A schema has type, properties, ... in it."
        )
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as problem:
        where = faults.where(problem.absolute_path)
        raise _no_schema(
            name, faults.brief(f"{where}: {problem.message}".removeprefix(": "))
        ) from None
    # A registry of its own: jsonschema's default would fetch a reference from the network.
    page = referencing.Resource.from_contents(schema, referencing.jsonschema.DRAFT202012)
    registry: Any = referencing.Registry().with_resource(page.id() or "", page)
    for reference in _refs(schema):
        try:
            registry.resolver(page.id() or "").lookup(reference)
        except referencing.exceptions.Unresolvable:
            raise _no_schema(name, f"{faults.shown(reference)} is not in it") from None
    validator = kind(schema, registry=registry, format_checker=kind.FORMAT_CHECKER)
    return schema, lambda found: faults.by_dict(validator, name, found)


def _no_schema(name: str, why: str, do: str = "") -> BadOption:
    default = "It takes a pydantic model, a dataclass, a TypedDict, another type or a JSON schema."
    return BadOption(f"--schema {name}: {why}", do or default)


def _resolved(schema: Schema) -> Schema:
    """The schema with a reference at its very top followed, as recursive models have it."""
    reference = schema.get("$ref")
    for word in DEFINITIONS:
        start = f"#/{word}/"
        if isinstance(reference, str) and reference.startswith(start):
            target = schema[word].get(reference.removeprefix(start))
            if isinstance(target, Mapping):
                rest = {key: part for key, part in schema.items() if key != "$ref"}
                return {**target, **rest}
    return schema


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from _refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from _refs(part)


def _map_refs(node: Any, names: Mapping[str, str]) -> Any:
    """The same with other references."""
    if isinstance(node, list):
        return [_map_refs(part, names) for part in node]
    if not isinstance(node, Mapping):
        return node
    same = {word: _map_refs(part, names) for word, part in node.items()}
    if isinstance(node.get("$ref"), str):
        same["$ref"] = names.get(node["$ref"], node["$ref"])
    return same


def _closed(node: Any) -> bool:
    """Does the schema name every field there can be, in all of its objects?"""
    if not isinstance(node, Mapping) or not node.keys() & {*SCHEMA_WORDS, "prefixItems"}:
        return False
    kinds = faults.listed(node.get("type"))
    if "object" in kinds or "properties" in node:
        others = node.get("additionalProperties", False) is not False
        if others or "patternProperties" in node or not node.get("properties"):
            return False
    if "array" in kinds and not node.keys() & {"items", "prefixItems"}:
        return False
    return all(map(_closed, _parts_of(node)))


def _recursive(schema: Schema) -> bool:
    """Does a schema hold itself, or refer to anything but its definitions?"""
    named = {
        f"#/{word}/{key}": set(_refs(part))
        for word in DEFINITIONS
        for key, part in schema.get(word, {}).items()
    }
    try:
        graphlib.TopologicalSorter(named).prepare()
    except graphlib.CycleError:
        return True
    return not named.keys() >= set(_refs(schema))


def _parts_of(node: Schema) -> Iterator[Any]:
    """The schemas right inside a schema; `items: false` after a tuple's is none."""
    for word in ("properties", *DEFINITIONS):
        yield from node.get(word, {}).values()
    for word in ("prefixItems", "anyOf", "oneOf", "allOf"):
        yield from node.get(word, ())
    if node.get("items", False) is not False:
        yield node["items"]


def _strict(node: Any) -> Any:
    """The same schema as OpenAI's strict mode demands it: other fields forbidden, and nothing
    beside a reference. Raises `_NotStrict` where it says what that mode does not know."""
    if isinstance(node, list):
        return [_strict(part) for part in node]
    known = node.keys() <= STRICT_WORDS and node.keys() & {"type", "anyOf", "$ref"}
    if not known or node.get("format", "date") not in STRICT_FORMATS:
        raise _NotStrict
    if "(?" in node.get("pattern", "") or {*node.get("properties", ())} - {
        *node.get("required", ())
    }:
        raise _NotStrict
    strict = dict(node)
    for word in ("properties", *DEFINITIONS):
        if word in node:
            strict[word] = {key: _strict(part) for key, part in node[word].items()}
    for word in ("items", "anyOf"):
        if word in node:
            strict[word] = _strict(node[word])
    if "properties" in node:
        strict["additionalProperties"] = False
    if "$ref" in node and len(node) > 1:
        strict["anyOf"] = [{"$ref": strict.pop("$ref")}]
    return strict


class _NotStrict(Exception):
    """Strict mode would change what a schema means."""
