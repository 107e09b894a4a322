"""An answer has the shape that was asked for, or the reader is told in a line why not."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import json
import sys
import typing
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Literal, Optional, Union

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from cborg_magics.errors import BadAnswer, BadOption
from cborg_magics.schemas import Shape
from tests.services.answers import chat_stream
from tests.services.faults import FaultServer


class Kind(enum.Enum):
    ROCK = "rock"
    GAS = "gas"


class Planet(BaseModel):
    name: str
    mass: float = Field(gt=0)
    kind: Kind


class System(BaseModel):
    star: str
    planets: list[Planet]


class Measured(BaseModel):
    price: Decimal
    at: datetime
    note: Optional[str] = None  # noqa: UP045 - a form that people write


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Tree(BaseModel):
    branches: list[Tree]


class Exact(BaseModel, extra="forbid"):
    name: str


class Open(BaseModel, extra="allow"):
    name: str


class Described(BaseModel):
    planet: Planet = Field(description="the largest one")


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _even(cls, number: int) -> int:
        if number == 13:
            raise KeyError("a mistake of the author\x07s")
        if number % 2:
            raise ValueError("must be even")
        return number


class Lost(BaseModel):
    other: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Row(typing_extensions.TypedDict):
    name: str
    count: int


class Plain(typing.TypedDict):
    name: str


class NoType:
    pass


def function(x: int) -> None: ...


JSON_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"name": {"type": "string"}, "mass": {"type": "number", "minimum": 0}},
    "required": ["name", "mass"],
}
MARS = '{"name": "Mars", "mass": 6.4e23, "kind": "rock"}'
mars = Planet(name="Mars", mass=6.4e23, kind=Kind.ROCK)


def value_of(kind: object, answer: str) -> Any:
    return Shape.of(kind, "Thing").parse(answer)


def problem_of(kind: object, answer: str) -> BadAnswer:
    shape = Shape.json() if kind is None else Shape.of(kind, "Thing")
    with pytest.raises(BadAnswer) as caught:
        shape.parse(answer)
    return caught.value


# -- answers that fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        (Planet, MARS, mars),
        (System, f'{{"star": "Sun", "planets": [{MARS}]}}', System(star="Sun", planets=[mars])),
        (
            Measured,
            '{"price": 0.1, "at": "2026-01-02T03:04:05Z"}',
            Measured(price=Decimal("0.1"), at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ),
        (
            Node,
            '{"value": 1, "children": [{"value": 2}]}',
            Node(value=1, children=[Node(value=2)]),
        ),
        (Described, f'{{"planet": {MARS}}}', Described(planet=mars)),
        (Point, '{"x": 1, "y": 2}', Point(1.0, 2.0)),
        (Point, '{"x": 1}', Point(1.0)),
        (list[Point], '[{"x": 1}]', [Point(1.0)]),
        (Row, '{"name": "a", "count": 3}', {"name": "a", "count": 3}),
        (list[int], "[1, 2, 3]", [1, 2, 3]),
        (list[int], '{"value": [1, 2, 3]}', [1, 2, 3]),
        (dict[str, float], '{"a": 1}', {"a": 1.0}),
        (dict[str, int], '{"value": 1}', {"value": 1}),
        (Union[int, dict[str, int]], '{"value": {"a": 1}}', {"a": 1}),  # noqa: UP007
        (int | dict[str, int], '{"value": 3}', 3),
        (int | dict[str, str], '{"value": "x"}', {"value": "x"}),
        (Kind, '"gas"', Kind.GAS),
        (Kind, '{"value": "gas"}', Kind.GAS),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (int, "42", 42),
        (Planet | Point, '{"x": 1, "y": 0}', Point(1.0)),
        (JSON_SCHEMA, '{"name": "a", "mass": 1, "x": 2}', {"name": "a", "mass": 1, "x": 2}),
        ({"type": "array", "items": {"type": "integer"}}, "[1]", [1]),
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1]}', [1]),
        ({"type": ["string", "null"]}, '{"value": null}', None),
        ({"enum": ["a", 1]}, '"a"', "a"),
        ({"$schema": "https://example.org/own", "type": "integer"}, "1", 1),
    ],
)  # fmt: skip
def test_an_answer_becomes_a_value(kind: object, answer: str, value: object) -> None:
    found = value_of(kind, answer)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "answer",
    [
        MARS,
        f"\ufeff\n  {MARS}\r\n",
        f"```json\n{MARS}\n```",
        f"```\n{MARS}\n```",
        f"Here it is:\n\n~~~JSON\n{MARS}\n~~~\n\nAnything else?",
        f"- Here:\n\n  ```json\n  {MARS}\n  ```\n",
        f"Here it is: {MARS} Anything else?",
        f"Of [1], as in {{so to say}} or \\frac{{1}}{{2}}, it is {MARS}. See [2].",
        f'<think>\nNot {{"name": "Venus"}}, I think.\n</think>\n{MARS}',
        f"<thinking>Hm.</thinking>```json\n{MARS}\n```",
        f'It is {{"a planet"}}, I see.\n</think>\n{MARS}',
        f'```python\nx = {{"name": 1}}\n```\nand\n```json\n{MARS}\n```',
        f"{MARS}\n{MARS}",
        f"{MARS} // the answer",
        json.dumps(json.loads(MARS), indent=2),
        MARS.replace('"Mars"', '"M\\u0061rs"'),
        MARS.replace("{", '{"extra": {"b": ["]", "}"]},', 1),
    ],
)
def test_what_stands_around_the_json_is_passed_over(answer: str) -> None:
    assert value_of(Planet, answer) == mars


def test_words_inside_a_string_are_left_alone() -> None:
    said = {"html": "<think>a</think> ```json {[", "b": "}"}
    assert Shape.json().parse(f"So: {json.dumps(said)} there.") == said
    assert Shape.json().parse(json.dumps(said)) == said


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_comes_back_as_it_was(value: object) -> None:
    text = json.dumps(value)
    assert Shape.json().parse(text) == value
    assert Shape.json().parse(f"```json\n{text}\n```") == value
    if isinstance(value, dict | list):
        assert Shape.json().parse(f"It is {text}, I think.") == value


# -- answers that do not fit ---------------------------------------------------------------

FAULTY: list[tuple[object, str, str]] = [
    (None, "", "the answer is empty"),
    (None, " \n", "the answer is empty"),
    (None, "Mars is a planet.", "there is no JSON in the answer"),
    (None, "<think>Let me see: {", "the answer is reasoning only"),
    (None, "<think>Let me see.</think>\n", "the answer is reasoning only"),
    (None, '{"a": [1, {"b": 2}, ', "the answer is cut off inside its JSON"),
    (None, '{"a": "text', "the answer is cut off inside its JSON"),
    (None, '```json\n{"a": [{"b": 1}', "the answer is cut off inside its JSON"),
    (None, '[{"a": 1}, {"a"', "the answer is cut off inside its JSON"),
    (None, '{"a": 1,}', "the answer's JSON is broken at line 1, column"),
    (None, '{"a": [{"b": 1},]}', "the answer's JSON is broken at line 1, column"),
    (None, "{'a': 1}", "expecting property name enclosed in double quotes"),
    (None, "{'a': {\"b\": 1}}", "the answer's JSON is broken at line 1, column 2"),
    (None, '{"a": 1 "b": 2}', "expecting ',' delimiter"),
    (None, '{"a": True}', "the answer's JSON is broken at line 1, column 7: expecting value"),
    (None, '{"a": NaN}', "the answer's JSON holds NaN"),
    (None, "[Infinity]", "the answer's JSON holds Infinity"),
    (None, "[-Infinity]", "the answer's JSON holds -Infinity"),
    (None, "[1e999]", "the answer's JSON holds '1e999'"),
    (None, "NaN", "there is no JSON in the answer"),
    (None, "[" * 100_000, "the answer is cut off inside its JSON"),
    (None, "[" * 100_000 + "]" * 100_000, "the answer's JSON is too large to read"),
    (None, "[" + "9" * 10_000 + "]", "the answer's JSON is too large to read"),
    (None, '{"a": 1}\n{"a": 2}', "the answer holds 2 JSON values, one is wanted"),
    (None, '```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', "the answer holds 2 JSON values"),
    (Planet, f"{MARS} {MARS.replace('Mars', 'Ares')}", "the answer holds 2 JSON values"),
    (Planet, "{}", "does not fit Thing: name is missing; mass is missing; kind is missing"),
    (Planet, "[]", "it should be an object, a list came"),
    (Planet, '"Mars"', "it should be an object, 'Mars' came"),
    (Planet, "null", "it should be an object, null came"),
    (Planet, MARS.replace("6.4e23", '"heavy"'), "mass should be a number, 'heavy' came"),
    (Planet, MARS.replace("6.4e23", "-1"), "mass should be greater than 0, -1 came"),
    (Planet, MARS.replace("rock", "ice"), "kind should be 'rock' or 'gas', 'ice' came"),
    (Planet, MARS.replace('"Mars"', '["Mars"]'), "name should be a string, a list came"),
    (
        System,
        f'{{"star": "Sun", "planets": [{MARS.replace("6.4e23", "true0")}]}}',
        "the answer's JSON is broken",
    ),
    (
        System,
        f'{{"star": "Sun", "planets": [{MARS.replace("6.4e23", "null")}]}}',
        "planets.0.mass should be a number, null came",
    ),
    (System, '{"star": "Sun", "planets": {}}', "planets should be a list, an object came"),
    (Measured, '{"price": "dear", "at": "2026-01-02"}', "price should be a decimal, 'dear'"),
    (Measured, '{"price": 1, "at": "soon"}', "at should be a datetime or date, 'soon' came"),
    (Node, '{"value": 1, "children": [{"value": "x"}]}', "children.0.value should be a"),
    (Exact, '{"name": "a", "size": 1}', "size is not wanted"),
    (Even, '{"number": 3}', "does not fit Thing: number: must be even"),
    (Even, '{"number": 13}', "does not fit Thing: KeyError: 'a mistake of the author\\x07s'"),
    (Point, '{"y": 1}', "x is missing"),
    (Row, '{"name": "a"}', "count is missing"),
    (list[int], '[1, "b"]', "item 1 should be a whole number, 'b' came"),
    (list[int], '{"value": [1, "b"]}', "item 1 should be a whole number, 'b' came"),
    (list[Planet], '{"value": {"name": 1}}', "it should be a list, an object came"),
    (Literal["yes", "no"], '"maybe"', "it should be 'yes' or 'no', 'maybe' came"),
    (int | list[int], '{"a": "b"}', "it should be a"),
    (dict[str, Planet], '{"the \x7f one": {}}', "'the \\x7f one'.name is missing"),
    (Planet, MARS.replace("rock", "\\u001b[2J\\u202e"), "'\\x1b[2J\\u202e' came"),
    (Planet, MARS.replace("rock", "x" * 99_999), "x... came"),
    (JSON_SCHEMA, "{}", "does not fit Thing: name and mass are missing"),
    (JSON_SCHEMA, '{"name": "a"}', "mass is missing"),
    (JSON_SCHEMA, '{"name": 1, "mass": 2}', "name should be of type string, 1 came"),
    (JSON_SCHEMA, '{"name": "a", "mass": -1}', "mass: -1 is less than the minimum of 0"),
    (
        {"type": "array", "items": {"type": "integer"}},
        "[1, 2.5]",
        "item 1 should be of type integer",
    ),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, '"x"', "'x' is not valid under any"),
    ({"type": "string", "format": "date"}, '"soon"', "'soon' is not a 'date'"),
]


@pytest.mark.parametrize(("kind", "answer", "words"), FAULTY)
def test_a_bad_answer_is_told_in_one_short_line(kind: object, answer: str, words: str) -> None:
    problem = problem_of(kind, answer)
    assert words in problem.what
    assert len(problem.what.splitlines()) == 1
    assert len(problem.what) < 500
    assert problem.what.isprintable()
    assert "pydantic" not in str(problem)
    assert problem.do
    assert problem.__cause__ is None


def test_many_faults_are_counted() -> None:
    problem = problem_of(list[int], json.dumps(["x"] * 50))
    assert problem.what.endswith("item 2 should be a whole number, 'x' came; and 47 more")


# -- what is no shape ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing of None"),
        (5, "of type int"),
        (3.5, "of type float"),
        ("Planet", "of type str"),
        ("{}", "of type str"),
        (mars, "it is one Planet, not the type"),
        (Point(1.0), "it is one Point, not the type"),
        (Kind.GAS, "of type Kind"),
        (NoType, "the class NoType"),
        (NoType(), "of type NoType"),
        (function, "of type function"),
        (print, "of type builtin_function_or_method"),
        (functools.partial(function, 1), "of type partial"),
        (sys, "of type module"),
        ([int], "of type list"),
        ((int, str), "of type tuple"),
        (Lost, "'Nowhere' is not defined"),
        (typing.Callable[[], int], "CallableSchema"),
        ({}, "the dict is no JSON schema"),
        ({"name": "Mars", "mass": 1}, "the dict is no JSON schema"),
        ({"type": "planet"}, "type: 'planet' is not valid under any of the given schemas"),
        ({"properties": {"a": {"type": 5}}}, "properties.a.type"),
        ({"type": object()}, "it is no JSON"),
        ({"enum": [float("nan")]}, "it is no JSON"),
        ({"$ref": "#/$defs/Planet"}, "'#/$defs/Planet' is not in it"),
        ({"$ref": "https://example.org/schema.json"}, "is not in it"),
        ({"type": "object", "properties": {"a": {"$ref": "other.json"}}}, "is not in it"),
    ],
)
def test_what_is_no_schema_is_refused_in_a_line(value: object, words: str) -> None:
    with pytest.raises(BadOption) as caught:
        Shape.of(value, "thing")
    assert caught.value.what.startswith("--schema thing: ")
    assert words in caught.value.what
    assert len(str(caught.value).splitlines()) == 2
    assert len(caught.value.what) < 250
    assert "errors.pydantic.dev" not in str(caught.value)


def test_a_typed_dict_of_the_standard_library_needs_a_newer_python() -> None:
    if sys.version_info >= (3, 12):
        assert value_of(Plain, '{"name": "Mars"}') == {"name": "Mars"}
    else:
        with pytest.raises(BadOption, match=r"use `typing_extensions.TypedDict` instead"):
            Shape.of(Plain, "Plain")


@pytest.mark.parametrize(
    ("missing", "value", "words"),
    [
        ("jsonschema", JSON_SCHEMA, "pip install jsonschema"),
        ("pydantic", Planet, "pip install -U pydantic"),
    ],
)
def test_a_library_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str, value: object, words: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadOption, match=words):
        Shape.of(value, "thing")


# -- what is sent --------------------------------------------------------------------------


def form_of(kind: object, name: str = "Thing") -> dict[str, Any]:
    sent = Shape.of(kind, name).response_format()
    assert sent["type"] == "json_schema"
    json.dumps(sent)
    form = dict(sent["json_schema"])
    assert form["schema"]["type"] == "object"
    return form


def objects(node: object) -> list[dict[str, Any]]:
    """Every object's schema inside a schema."""
    if isinstance(node, list):
        return [found for part in node for found in objects(part)]
    if not isinstance(node, dict):
        return []
    inner = [found for part in node.values() for found in objects(part)]
    return [node, *inner] if "properties" in node and "type" in node else inner


def test_any_json_is_asked_for_as_such() -> None:
    assert Shape.json().response_format() == {"type": "json_object"}
    assert not Shape.json().held
    assert "JSON" in Shape.json().instruction()


@pytest.mark.parametrize("kind", [Planet, System, Exact, Row, Described, JSON_SCHEMA, list[Planet]])
def test_strict_where_every_field_is_required(kind: object) -> None:
    form = form_of(kind)
    assert form["strict"] is True
    assert objects(form["schema"])
    for each in objects(form["schema"]):
        assert each["additionalProperties"] is False
        assert set(each["required"]) == set(each["properties"])


@pytest.mark.parametrize(
    "kind",
    [
        Measured,  # a field may be missing
        Point,
        tuple[int, str],
        {**JSON_SCHEMA, "required": ["name"]},
        {"type": "string", "pattern": "^(?!x)"},
        {"type": "string", "format": "uri"},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"enum": ["a", 1]},
    ],
)
def test_not_strict_where_that_would_change_the_meaning(kind: object) -> None:
    assert form_of(kind)["strict"] is False


@pytest.mark.parametrize(
    "kind",
    [
        Any,
        list,
        Open,
        Node,
        Tree,
        list[Tree],
        {"type": "array", "items": {"$ref": "#"}},
        dict[str, int],
        list[dict[str, int]],
        {"type": "object"},
        {"type": "array"},
        {**JSON_SCHEMA, "additionalProperties": True},
        {**JSON_SCHEMA, "additionalProperties": {}},
        {**JSON_SCHEMA, "patternProperties": {"x": {"type": "integer"}}},
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
        {"anyOf": [{"type": "null"}, {"type": "object"}]},
    ],
)
def test_no_service_is_trusted_with_any_fields_or_with_recursion(kind: object) -> None:
    shape = Shape.of(kind, "Thing")
    assert not shape.held
    assert shape.response_format() == {"type": "json_object"}
    assert "JSON schema" in shape.instruction()


def test_the_schema_of_the_person_is_not_changed() -> None:
    before = json.dumps(JSON_SCHEMA)
    shape = Shape.of(JSON_SCHEMA, "thing")
    shape.response_format()
    assert json.dumps(JSON_SCHEMA) == before
    assert shape.schema == JSON_SCHEMA


def test_nothing_stands_beside_a_reference_in_strict_mode() -> None:
    planet = form_of(Described)["schema"]["properties"]["planet"]
    assert planet == {"anyOf": [{"$ref": "#/$defs/Planet"}], "description": "the largest one"}


def test_what_is_no_object_is_wrapped_in_one() -> None:
    schema = form_of(list[Planet])["schema"]
    assert schema["required"] == ["value"]
    assert schema["properties"]["value"]["items"] == {"$ref": "#/$defs/Planet"}
    assert "Planet" in schema["$defs"]


def told(kind: object) -> dict[str, Any]:
    """The schema in the instruction."""
    return dict(json.loads(Shape.of(kind, "Thing").instruction().partition("\n")[2]))


def test_a_recursive_model_has_an_object_at_the_top() -> None:
    assert told(Tree)["type"] == "object"
    assert told(Tree)["properties"]["branches"]["items"] == {"$ref": "#/$defs/Tree"}


def test_a_recursive_list_stays_one_where_it_is_wrapped() -> None:
    tree = {"type": "array", "items": {"$ref": "#"}}
    value = {"type": "array", "items": {"$ref": "#/properties/value"}}
    assert told(tree)["properties"] == {"value": value}
    assert value_of(tree, "[[], [[]]]") == [[], [[]]]


@pytest.mark.parametrize("name", ["Planet", "shapes.Planet", "größe", "x" * 200, "."])
def test_the_name_is_one_that_services_take(name: str) -> None:
    assert form_of(Planet, name)["name"].isascii()
    assert 1 <= len(form_of(Planet, name)["name"]) <= 64
    assert set(form_of(Planet, name)["name"]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    )


@pytest.mark.parametrize("kind", [Planet, System, Node, list[int], JSON_SCHEMA, Kind, Measured])
def test_what_is_sent_is_itself_a_valid_schema(kind: object) -> None:
    jsonschema = importlib.import_module("jsonschema")
    jsonschema.Draft202012Validator.check_schema(told(kind))
    if Shape.of(kind, "Thing").held:
        jsonschema.Draft202012Validator.check_schema(form_of(kind)["schema"])


def test_a_model_is_told_the_schema_and_what_was_wrong() -> None:
    shape = Shape.of(Planet, "Planet")
    assert json.dumps("Planet") in shape.instruction()
    assert '"mass"' in shape.instruction()
    problem = problem_of(Planet, MARS.replace("6.4e23", '"heavy"'))
    correction = shape.correction(problem)
    assert "'heavy' came" in correction
    assert shape.instruction() in correction


CELLS = """\
from dataclasses import dataclass
from pydantic import BaseModel

class System(BaseModel):
    planets: "list[Planet]"

@dataclass
class Pair:
    first: "Planet"
"""


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("System", '{"planets": [{"name": "Mars"}]}', "System(planets=[Planet(name='Mars')])"),
        ("Pair", '{"first": {"name": "Mars"}}', "Pair(first=Planet(name='Mars'))"),
        ("names.Planet", '{"name": "Mars"}', "Planet(name='Mars')"),
    ],
)
def test_types_of_several_cells_go_together(
    shell: Any, service: FaultServer, name: str, answer: str, value: str
) -> None:
    shell.run_cell(CELLS)
    shell.run_cell("class Planet(BaseModel):\n    name: str\n")
    shell.run_cell("class names:\n    Planet = Planet\n")
    service.script("/chat/completions", chat_stream("Mars, of course."), chat_stream(answer))
    result = shell.run_cell(f"%%chat -o reply --schema {name}\nWhich planet?\n")
    assert result.error_in_exec is None
    assert repr(shell.user_ns["reply"].value) == value
    assert len(service.requests_to("/chat/completions")) == 2


def test_nothing_heavy_is_imported_for_any_json() -> None:
    import subprocess

    code = (
        "import sys; from cborg_magics.schemas import Shape; Shape.json().parse('{}');"
        "assert not {'pydantic', 'jsonschema', 'openai'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
