"""An answer has the shape that was asked for, or it is said what is wrong with it, and where."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypedDict

import pydantic
import pytest
import typing_extensions

from cborg_magics.errors import BadAnswer, BadOption
from cborg_magics.schemas import Shape


class Kind(enum.Enum):
    ROCK = "rock"
    GAS = "gas"


class Moon(pydantic.BaseModel):
    name: str
    found: date


class Planet(pydantic.BaseModel):
    name: str
    mass: Decimal
    kind: Kind
    moons: list[Moon]


class Folder(pydantic.BaseModel):
    name: str
    inside: list[Folder]


class Loose(pydantic.BaseModel):
    name: str
    note: str | None = None


@dataclass
class City:
    name: str
    country: str


class Point(typing_extensions.TypedDict):
    x: float
    y: float


class OldPoint(TypedDict):
    x: float


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "tags": {"type": "array"}},
    "required": ["n"],
}
MARS = '{"name": "Mars", "mass": "0.107", "kind": "rock", "moons": [MOON]}'.replace(
    "MOON", '{"name": "Phobos", "found": "1877-08-18"}'
)


@pytest.mark.parametrize(
    ("shape", "answer", "value"),
    [
        (City, '{"name": "Bonn", "country": "Germany"}', City("Bonn", "Germany")),
        (Point, '{"x": 1, "y": 2.5}', {"x": 1, "y": 2.5}),
        (SCHEMA, '{"n": 3}', {"n": 3}),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (Literal["a", "b"], '{"value": "a"}', "a"),
        (Kind, '{"value": "gas"}', Kind.GAS),
        (dict[str, int], '{"value": 1}', {"value": 1}),
        (
            Folder,
            '{"name": "a", "inside": [{"name": "b", "inside": []}]}',
            Folder(name="a", inside=[Folder(name="b", inside=[])]),
        ),
        (
            Planet,
            MARS,
            Planet(
                name="Mars",
                mass=Decimal("0.107"),
                kind=Kind.ROCK,
                moons=[Moon(name="Phobos", found=date(1877, 8, 18))],
            ),
        ),
    ],
    ids=str,
)
def test_an_answer_becomes_a_value(shape: Any, answer: str, value: object) -> None:
    assert Shape.of(shape, "it").parse(answer) == value


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Bonn", "country": "Germany"}',
        'Sure!\n\n```json\n{"name": "Bonn", "country": "Germany"}\n```\nAnything else?',
        'Here it is: {"name": "Bonn", "country": "Germany"}. I hope [that] helps.',
        '<think>{"name": "?"}</think>\n{"name": "Bonn", "country": "Germany"}',
        'As in [1], {x}: {"name": "Bonn", "country": "Germany"}',
        '{"name": "Bonn", "country": "Germany", "more": 1}',
    ],
)
def test_the_json_is_found_where_a_model_puts_it(answer: str) -> None:
    assert Shape.of(City, "City").parse(answer) == City("Bonn", "Germany")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("", "the answer is empty"),
        ("Bonn is the capital.", "there is no JSON in the answer"),
        ('{"name": "Bonn", "cou', "cut off"),
        ('```json\n{"name": "Bonn",\n```', "cut off"),
        ("{'name': 'Bonn', 'country': 'Germany'}", "the JSON is broken: Expecting property name"),
        ('{"name": "Bonn", "country": "Germany",}', "the JSON is broken"),
        ('{"name": "Bonn" "country": "Germany"}', "the JSON is broken: Expecting ',' delimiter"),
        ('{"name": "Bonn", "country": NaN}', "NaN is no JSON"),
        ('{"name": "Bonn", "country": Infinity}', "Infinity is no JSON"),
        ("{}", "name: Field required"),
        ('{"name": "Bonn"}', "country: Field required"),
        ('{"name": 7, "country": "Germany"}', "name: Input should be a valid string"),
        ('{"name": null, "country": "Germany"}', "name: Input should be a valid string"),
        ('{"Name": "Bonn", "country": "Germany"}', "name: Field required"),
        ('["Bonn", "Germany"]', "Input should be an object"),
        ('"Bonn"', "Input should be an object"),
        ("7", "Input should be an object"),
        ("null", "Input should be an object"),
        ('[{"name": "Bonn", "country": "Germany"}]', "Input should be an object"),
    ],
)
def test_a_wrong_answer_is_told_in_a_line(answer: str, what: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        Shape.of(City, "City").parse(answer)
    assert what in caught.value.what
    assert "\n" not in caught.value.what
    assert "http" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (MARS.replace("0.107", "heavy"), "mass: Input should be a valid decimal"),
        (MARS.replace("rock", "ice"), "kind: Input should be 'rock' or 'gas'"),
        (MARS.replace("1877-08-18", "then"), "moons.0.found: Input should be a valid date"),
        (MARS.replace('"Phobos"', "[]"), "moons.0.name: Input should be a valid string"),
    ],
)
def test_the_place_of_a_fault_is_named(answer: str, what: str) -> None:
    with pytest.raises(BadAnswer, match=what):
        Shape.of(Planet, "Planet").parse(answer)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ('{"n": 0}', "n: 0 is less than the minimum of 1"),
        ('{"n": "1"}', "n: '1' is not of type 'integer'"),
        ("{}", "'n' is a required property"),
        ('{"n": 1, "tags": 3}', "tags: 3 is not of type 'array'"),
    ],
)
def test_a_json_schema_is_held_to(answer: str, what: str) -> None:
    with pytest.raises(BadAnswer, match=what):
        Shape.of(SCHEMA, "SCHEMA").parse(answer)


@pytest.mark.parametrize("text", ['{"a": [1]}', "[1, 2]", '"text"', "3.5", "```\n{}\n```"])
def test_any_json_will_do_where_no_schema_is_given(text: str) -> None:
    assert Shape.json().parse(text) is not None
    assert Shape.json().response_format() == {"type": "json_object"}
    assert "JSON" in Shape.json().instruction()


@pytest.mark.parametrize(
    "value", [5, "City", None, 2.5, b"x", City("a", "b"), {"type": "nope"}, {"required": 1}, len]
)
def test_what_is_no_schema_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(BadOption, match="--schema it"):
        Shape.of(value, "it")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer Pythons need no help")
def test_where_a_typed_dict_must_come_from_is_said() -> None:
    with pytest.raises(BadOption, match="from typing_extensions import TypedDict"):
        Shape.of(OldPoint, "OldPoint")


@pytest.mark.parametrize(
    ("shape", "strict"), [(City, True), (Planet, True), (Folder, True), (Loose, False)]
)
def test_a_service_is_strict_only_where_every_property_is_required(
    shape: Any, strict: bool
) -> None:
    sent = Shape.of(shape, "x y").response_format()["json_schema"]
    assert sent["strict"] is strict
    assert sent["name"] == "x_y"
    assert sent["schema"]["additionalProperties"] is False or not strict


def test_what_is_no_object_goes_as_the_property_of_one() -> None:
    sent = Shape.of(list[City], "cities").response_format()["json_schema"]["schema"]
    assert sent["type"] == "object"
    assert sent["properties"]["value"]["type"] == "array"
    assert "City" in sent["$defs"]


def test_the_schema_of_the_user_is_left_as_it_is() -> None:
    before = repr(SCHEMA)
    Shape.of(SCHEMA, "SCHEMA").response_format()
    assert repr(SCHEMA) == before
