"""Braces in a question are braces: nothing is interpolated unless --fill asks for it.

Each text here was refused before it was sent, or changed on the way, by another
extension's magic.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.magics.test_chat import asked, run, sent
from tests.services.answers import chat_stream
from tests.services.faults import FaultServer

NAMES = {
    "x": 5,
    "code": "def f():\n    return {'a': {1: 2}}",
    "var": "{secret} {{secret}}",
    "secret": "SECRET-VALUE",
}
TRACEBACK = """\
Traceback (most recent call last):
  File "cell", line 1, in <module>
    {'a': 1, 'b': {'c': [2, 3]}}['z']
KeyError: "{'z'} is not in {'a': 1}"
"""
LINES = {
    "dict literal": "Why is {'a': 1, 'b': 2} unordered?",
    "JSON": 'Explain {"a": {"b": [1, 2, {"c": null}]}}',
    "dict comprehension": "What is {k: v for k, v in zip('ab', [1, 2])}?",
    "set": "and {1, 2, 3} | {4}",
    "empty braces": "What is {}?",
    "format fields": "'{} {0} {x} {x!r:>10} {x.real} {x[0]}'.format(1)",
    "LaTeX": r"Simplify $\frac{1}{2}$ and \sqrt{x_{i}^{2}}",
    "lone closing brace": "Why } is that",
    "lone opening brace": "Why { is that",
    "a name": "{x} and {code} and {var} and {secret}",
    "an expression": "{1+1} and {x+1} and {open('/etc/passwd').read()}",
    "two braces": "{{x}} and {{ x }} and {{var}}",
    "Jinja": "{{ jinja }} {% for a in b %} {# c #} {% endfor %}",
    "dollars": "$x ${x} $$x $PATH",
    "f-string": "f'{x:>{x}} {x=} {{x}}' rf\"{x}\"",
    "percent": "%(x)s %x %%x %d",
    "shell": "!ls {x} and !echo $x",
    "CSS": "a { color: red } @media x { b { c: d } }",
    "Rust": 'println!("{x:?} {0} {{}}", x);',
}
CELLS = {
    **LINES,
    "traceback": TRACEBACK,
    "all": "\n".join(LINES.values()),
    "code": 'def f(x):\n    """{x}"""\n    return f"{x!r}" if x else {}\n\n\n{x}',
}


@pytest.fixture
def named(shell: Any) -> Any:
    """A shell where the names in braces mean something."""
    shell.user_ns.update(NAMES)
    return shell


@pytest.mark.parametrize("text", LINES.values(), ids=LINES.keys())
def test_braces_in_a_line_are_sent_as_typed(named: Any, service: FaultServer, text: str) -> None:
    assert run(named, f"%chat {text}\n") is None
    assert asked(service) == text


@pytest.mark.parametrize("text", CELLS.values(), ids=CELLS.keys())
def test_braces_in_a_cell_are_sent_as_typed(named: Any, service: FaultServer, text: str) -> None:
    assert run(named, f"%%chat\n{text}\n") is None
    assert asked(service) == text


@pytest.mark.parametrize("text", LINES.values(), ids=LINES.keys())
def test_braces_survive_in_code_that_asks(named: Any, service: FaultServer, text: str) -> None:
    named.user_ns["text"] = text
    assert run(named, "get_ipython().run_line_magic('chat', text)\n") is None
    assert asked(service) == text
    assert run(named, "get_ipython().run_cell_magic('chat', '--once', text)\n") is None
    assert asked(service) == text


@pytest.mark.parametrize("system", ["Be {brief}.", "{x} {{x}} {}", r"\frac{1}{2}"])
def test_braces_in_the_system_text_stay(named: Any, service: FaultServer, system: str) -> None:
    assert run(named, f"%%chat -s '{system}'\nhi\n") is None
    assert sent(service)["messages"][0] == {"role": "system", "content": system}


def test_braces_in_an_answer_do_no_harm_to_the_next_question(
    named: Any, service: FaultServer
) -> None:
    service.script("/chat/completions", chat_stream("Use {x} and {{secret}} and {}."))
    assert run(named, "%chat one {x}\n") is None
    assert run(named, "%chat two {x}\n") is None
    assert [m["content"] for m in sent(service)["messages"]] == [
        "one {x}",
        "Use {x} and {{secret}} and {}.",
        "two {x}",
    ]


def test_a_variable_with_braces_is_filled_in_as_it_is(named: Any, service: FaultServer) -> None:
    assert run(named, "%%chat --fill\nExplain {{code}}, {x} and {}\n") is None
    assert asked(service) == f"Explain {NAMES['code']}, {{x}} and {{}}"


def test_a_value_is_never_filled_in_again(named: Any, service: FaultServer) -> None:
    assert run(named, "%chat --fill say {{var}}\n") is None
    assert asked(service) == "say {secret} {{secret}}"
    assert "SECRET-VALUE" not in str([request.body for request in service.requests])


def test_a_name_that_is_not_there_is_said_and_nothing_is_sent(
    named: Any, service: FaultServer
) -> None:
    error = run(named, "%chat --fill say {{secrte}}\n")
    assert str(error) == "There is no variable 'secrte'.\nDid you mean secret?"
    assert service.requests == []


def test_an_error_that_holds_a_dict_is_attached_whole(named: Any, service: FaultServer) -> None:
    run(named, "table = {'a': {'b': 1}}\n{'x': table}['{z}']\n")
    assert run(named, "%chat -a error What is {wrong}?\n") is None
    assert "{'x': table}['{z}']" in asked(service)
    assert "KeyError" in asked(service)
    assert asked(service).endswith("What is {wrong}?")


def test_code_with_braces_is_attached_whole(named: Any, service: FaultServer) -> None:
    assert run(named, "%chat -a code Explain {code}\n") is None
    assert NAMES["code"] in asked(service)
