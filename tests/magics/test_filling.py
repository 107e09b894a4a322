"""--fill puts in what is asked for by name, once; every other brace stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cborg_magics.errors import BadOption
from cborg_magics.magics.filling import fill, look_up


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text\nfor you")

    @property
    def value(self) -> str:
        raise OSError("the disk is gone")


NAMESPACE: dict[str, Any] = {
    "x": 3,
    "name": "Mars",
    "größe": "15 cm",
    "naïve": 1,
    "planet": SimpleNamespace(name="Mars", orbit=SimpleNamespace(days=687)),
    "template": "{{secret}} {secret} {{name}}",
    "secret": "do not tell",
    "broken": Broken(),
    "_": "last",
    "_i": "%chat hi",
    "In": [],
    "Out": {},
    "temperature": 300,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{x}}", "3"),
        ("{{ x }}", "3"),
        ("{{\tx  }}", "3"),
        ("{{x}}{{name}}", "3Mars"),
        ("of {{name}}, {{x}} times", "of Mars, 3 times"),
        ("{{planet.name}}", "Mars"),
        ("{{ planet.orbit.days }} days", "687 days"),
        ("{{größe}}", "15 cm"),
        ("{{nai\u0308ve}}", "1"),  # typed in two characters, as macOS does
        ("{{_}}", "last"),
        ("{{template}}", "{{secret}} {secret} {{name}}"),
        ("{{{x}}}", "{3}"),
        (r"\frac{{{x}}}{2}", r"\frac{3}{2}"),
    ],
)
def test_names_are_filled_in(text: str, filled: str) -> None:
    assert fill(text, NAMESPACE) == filled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{x}",
        "{ x }",
        "{{}}",
        "{{ }}",
        "{{1}}",
        "{{1+1}}",
        "{{x+1}}",
        "{{x}",
        "{x}}",
        "{ {x} }",
        "{{x y}}",
        "{{x\n}}",
        "{{x[0]}}",
        "{{x()}}",
        "{{x!r}}",
        "{{x:>10}}",
        "{{x|upper}}",
        "{{.x}}",
        "{{x.}}",
        "{{x..y}}",
        "{{x.1}}",
        "{{None}}",
        "{{if}}",
        "{{planet.class}}",
        "{{'x'}}",
        '{{ {"a": 1} }}',
        '{"a": {"x": 1}}',
        "{k: v for k, v in {}.items()}",
        "{% if x %}{# x #}{% endif %}",
        r"\frac{{1}}{2}",
        "${x} $x $$ %x %(x)s",
        "}}{{",
    ],
)
def test_other_braces_stay(text: str) -> None:
    assert fill(text, NAMESPACE) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{nmae}}", "There is no variable 'nmae'.\nDid you mean name?"),
        ("{{Name}}", "There is no variable 'Name'.\nDid you mean name?"),
        ("{{zzzzzz}}", "There is no variable 'zzzzzz'."),
        ("{{len}}", "There is no variable 'len'."),
        ("{{print}}", "There is no variable 'print'."),
        ("{{_ii}}", "There is no variable '_ii'."),
        ("{{in}} {{Ou}}", "There is no variable 'Ou'."),
        ("{{nmae.upper}}", "There is no variable 'nmae'.\nDid you mean name?"),
        ("{{planet.nmae}}", "planet has no attribute 'nmae'.\nDid you mean name?"),
        ("{{planet.orbit.day}}", "planet.orbit has no attribute 'day'.\nDid you mean days?"),
        ("{{broken}}", "broken cannot be written as text: RuntimeError: no text for you"),
        ("{{broken.value}}", "broken.value cannot be read: OSError: the disk is gone"),
    ],
)
def test_what_cannot_be_filled_in_is_said(text: str, words: str) -> None:
    with pytest.raises(BadOption) as caught:
        fill(text, NAMESPACE)
    assert str(caught.value) == words
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["list[Planet]", "1", "", "a b", "Planet()", "import"])
def test_only_a_name_can_be_looked_up(name: str) -> None:
    with pytest.raises(BadOption, match="is no name"):
        look_up(name, NAMESPACE)


def test_a_name_is_looked_up() -> None:
    assert look_up("planet.orbit.days", NAMESPACE) == 687
    assert look_up("broken", NAMESPACE) is NAMESPACE["broken"]


def test_an_interrupt_is_not_swallowed() -> None:
    class Slow:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill("{{slow}}", {"slow": Slow()})
