"""`%chat?` and its like read as a manual: what it is, examples, a line for each option."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cborg_magics.magics import arguments

NAMES = ("chat", "embed", "models", "spend")


@pytest.fixture(params=NAMES)
def magic(request: pytest.FixtureRequest, shell: Any) -> Any:
    return shell.find_line_magic(request.param)


@pytest.fixture
def manual(magic: Any) -> str:
    """What IPython asks a magic for before it shows its docstring."""
    return str(magic.getdoc())


def test_it_begins_with_what_the_magic_does(manual: str) -> None:
    first = manual.splitlines()[0]
    assert re.fullmatch(r"[A-Z].*[.?]", first)


def test_examples_come_before_the_options(magic: Any, manual: str) -> None:
    said, _, options = manual.partition("\nOptions:\n")
    examples = re.findall(rf"^    %%?{magic.__name__}\b", said, re.MULTILINE)
    assert len(examples) >= 2
    assert options


def test_each_option_has_its_line(magic: Any, manual: str) -> None:
    options = manual.partition("\nOptions:\n")[2]
    told = re.findall(r"^  (-.*?)(?:  |$)", options, re.MULTILINE)
    flags = [flag for line in told for flag in re.findall(r"--?[a-z][\w-]*", line)]
    assert flags == arguments.options(magic)


def test_no_line_is_too_long_and_no_markup_is_left(manual: str) -> None:
    assert max(map(len, manual.splitlines())) <= 80
    assert "::" not in manual


def test_help_shows_the_same(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("%chat --help", "%chat?"):
        shell.run_cell(line)
        assert "Ask a model. The text is sent as you typed it" in capsys.readouterr().out
