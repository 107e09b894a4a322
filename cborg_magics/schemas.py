"""What shape must an answer have, and has it?

(The only file that imports pydantic and jsonschema: pydantic for types, jsonschema
for a JSON schema that is written out as a dict.)
"""

from __future__ import annotations

import graphlib
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from cborg_magics import code_blocks
from cborg_magics.errors import BadAnswer, BadOption, bare

SHOWN = 40  # characters of a wrong value
FAULTS = 3  # named one by one; the others are counted
BRIEF = 160  # characters of a library's own words

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

# Reasoning comes before the answer; some services leave out the tag that opens it.
_REASONING = re.compile(
    r"\s*(?:<(think|thinking|reasoning)>.*?(?:</\1>|\Z)|(?:(?!<think>).)*</think>)", re.DOTALL
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)


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
        values = _values(text)
        found, problems = [], []
        for value in values:
            try:
                found.append(self._checked(value))
            except BadAnswer as problem:
                problems.append(problem)
        if not found:
            raise bare(problems[0])
        if len(found) > 1:
            raise _bad(f"the answer holds {len(found)} JSON values, one is wanted")
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
        raise _no_schema(name, f"pydantic makes nothing of {_kind(value)}")
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
        raise _no_schema(name, f"pydantic makes nothing of {_kind(value)}") from None
    except (PydanticUserError, NameError) as problem:
        raise _no_schema(name, str(problem).splitlines()[0]) from None
    except Exception as problem:  # noqa: BLE001 - a type may run any code of its author's
        raise _no_schema(name, _brief(f"{type(problem).__name__}: {problem}")) from None
    return schema, lambda found: _by_type(adapter, name, found)


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
        raise _no_schema(name, f"it is no JSON: {_brief(str(problem))}") from None
    if not SCHEMA_WORDS & schema.keys():
        raise _no_schema(
            name, "the dict is no JSON schema", "A schema has type, properties, ... in it."
        )
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as problem:
        where = _where(problem.absolute_path)
        raise _no_schema(name, _brief(f"{where}: {problem.message}".removeprefix(": "))) from None
    # A registry of its own: jsonschema's default would fetch a reference from the network.
    page = referencing.Resource.from_contents(schema, referencing.jsonschema.DRAFT202012)
    registry: Any = referencing.Registry().with_resource(page.id() or "", page)
    for reference in _refs(schema):
        try:
            registry.resolver(page.id() or "").lookup(reference)
        except referencing.exceptions.Unresolvable:
            raise _no_schema(name, f"{_shown(reference)} is not in it") from None
    validator = kind(schema, registry=registry, format_checker=kind.FORMAT_CHECKER)
    return schema, lambda found: _by_dict(validator, name, found)


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
    kinds = _listed(node.get("type"))
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


def _listed(kinds: Any) -> list[str]:
    """What a schema's `type` allows: one word, a list of them, or none."""
    return kinds if isinstance(kinds, list) else [kinds] if kinds else []


# -- the JSON in an answer -----------------------------------------------------------------


def _values(text: str) -> list[Any]:
    """The different JSON values of an answer. Raises `BadAnswer` if there is none."""
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise _bad("the answer is empty")
    try:
        return [_read(text)]
    except BadAnswer:
        pass
    reasoning = _REASONING.match(text)
    said = text[reasoning.end() :] if reasoning else text
    if not said.strip():
        raise _bad("the answer is reasoning only")
    blocks = code_blocks.find(said)
    if labelled := [block.text for block in blocks if block.language.startswith("json")]:
        values, problem = _found(labelled)
    else:
        values, problem = _found(block.text for block in blocks)
        if not values:
            values, problem = _found([said])
    if not values:
        raise problem or _bad("there is no JSON in the answer")
    return values


def _found(places: Iterable[str]) -> tuple[list[Any], BadAnswer | None]:
    """The different values in some texts; where there are none, what is wrong with the first."""
    values: list[Any] = []
    problem = None
    for part in (part for place in places for part in _parts(place.strip())):
        if part is None:
            return [], _bad("the answer is cut off inside its JSON")
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
        raise _bad(f"the answer's JSON is broken at {place}: {words}") from None
    except (ValueError, RecursionError):  # a whole number of thousands of digits, or lists in lists
        raise _bad("the answer's JSON is too large to read") from None


def _refuse(word: str) -> float:
    raise _bad(f"the answer's JSON holds {word}, which is no number of JSON's")


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(_shown(digits))


# -- what is wrong with a value ------------------------------------------------------------


def _bad(what: str) -> BadAnswer:
    return BadAnswer(what, "Run the cell again, or name another model with -m.")


def _by_type(adapter: Any, name: str, value: Any) -> Any:
    from pydantic import ValidationError

    try:
        # From JSON, not from Python: a date or a Decimal is a string or a number there.
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        rows = error.errors(include_url=False, include_context=False)
        raise _misfit(name, (_fault(row, value) for row in rows)) from None
    except Exception as problem:  # noqa: BLE001 - a type may run any code of its author's
        raise _misfit(name, [f"{type(problem).__name__}: {problem}"]) from None


def _by_dict(validator: Any, name: str, value: Any) -> Any:
    from jsonschema.exceptions import best_match

    try:
        # Where none of several forms fits, best_match tells of the one that came nearest.
        faults = [_broken_rule(best_match([error])) for error in validator.iter_errors(value)]
    except RecursionError:
        raise _bad("the answer's JSON is nested too deeply to be checked") from None
    if faults:
        raise _misfit(name, faults)
    return value


def _misfit(name: str, faults: Iterable[str]) -> BadAnswer:
    every = list(dict.fromkeys(map(_brief, faults)))
    more = [f"and {len(every) - FAULTS} more"] * (len(every) > FAULTS)
    return _bad(f"the answer does not fit {name}: {'; '.join(every[:FAULTS] + more)}")


def _fault(row: Mapping[str, Any], value: Any) -> str:
    """One of pydantic's errors in our words: `planets.0.mass should be a number, 'heavy' came`."""
    path = _real(row["loc"], value)
    kind, words = str(row["type"]), str(row["msg"])
    if kind == "missing":
        return f"{_where([*path, row['loc'][-1]])} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{_where(path)} is not wanted"
    if kind == "value_error":
        words = words.removeprefix("Value error, ")
    if not words.startswith("Input should "):
        return f"{_where(path)}: {words[:1].lower()}{words[1:]}".removeprefix(": ")
    wish = words.removeprefix("Input ")
    if kind not in ("enum", "literal_error"):  # there, commas stand between what may be chosen
        wish = wish.partition(", ")[0].replace("valid integer", "whole number")
        wish = wish.replace("a valid array", "a list").replace("a valid ", "a ")
    return f"{_where(path) or 'it'} {wish}, {_shown(row['input'])} came"


def _broken_rule(error: Any) -> str:
    """The same of jsonschema's errors."""
    where, rule = _where(error.absolute_path), error.validator
    if rule == "required":
        missing = (key for key in error.validator_value if key not in error.instance)
        names = [_where([*error.absolute_path, key]) for key in missing]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing"
    if rule == "type":
        kinds = " or ".join(_listed(error.validator_value))
        return f"{where or 'it'} should be of type {kinds}, {_shown(error.instance)} came"
    return f"{where}: {error.message}".removeprefix(": ")


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


def _where(path: Iterable[Any]) -> str:
    """
    >>> _where(["planets", 0, "mass"]), _where([1])
    ('planets.0.mass', 'item 1')
    """
    keys = list(path)
    named = ".".join(str(k) if re.fullmatch(r"\w{1,40}", str(k)) else _shown(k) for k in keys)
    return f"item {named}" if keys and isinstance(keys[0], int) else named


def _shown(value: Any) -> str:
    """A value of an answer in an error's line: short, and nothing in it can move a cursor."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    words = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return words if len(words) <= SHOWN else f"{words[: SHOWN - 3]}..."


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"


def _brief(words: str) -> str:
    """A library's or an author's own words, on one line, with nothing unseen in them."""
    line = " ".join(words.split())
    line = line if len(line) <= BRIEF else f"{line[: BRIEF - 3]}..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
