"""The documents tell of every magic, option, variable and error, and of none that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cborg_magics
from cborg_magics import errors
from cborg_magics.display import wording
from cborg_magics.exchange import Cost, Source, dollars
from cborg_magics.magics import arguments
from tests.documents import PAGES
from tests.test_layers import files

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "examples" / "how-to" / "reference.md").read_text(encoding="utf-8")
OPTIONS = re.findall(r"^## Options of .+$", REFERENCE, re.MULTILINE)
VARIABLE = re.compile(r"\b(?:CBORG|LITELLM|LLMBASE|OPENAI)_[A-Z_]+[A-Z]\b")


def rows(heading: str) -> str:
    """The table below a heading of the reference."""
    return REFERENCE.split(heading, 1)[1].split("\n#", 1)[0]


@pytest.mark.parametrize("magic", ["chat", "embed", "models", "spend"])
def test_every_option_is_in_the_table_and_no_other(shell: Any, magic: str) -> None:
    options = set(arguments.options(shell.find_line_magic(magic)))
    heading = next(line for line in OPTIONS if f"`%{magic}`" in line)
    table = re.findall(r"^\| (.+?) \|", rows(heading), re.MULTILINE)
    told = set(re.findall(r"`(--?[a-z][\w-]*)", "\n".join(table)))
    assert told == options, f"missing {options - told}, not there {told - options}"


def test_every_magic_has_a_table_of_options(shell: Any) -> None:
    for name, magic in shell.magics_manager.magics["line"].items():
        if getattr(magic, "__module__", "").startswith("cborg_magics"):
            assert any(f"`%{name}`" in line for line in OPTIONS), name


def test_every_magic_is_in_the_table(shell: Any) -> None:
    for kind, mark in (("line", "%"), ("cell", "%%")):
        for name, magic in shell.magics_manager.magics[kind].items():
            if getattr(magic, "__module__", "").startswith("cborg_magics"):
                assert re.search(rf"^\|.*`{mark}{name}`.*\|$", README, re.MULTILINE)


def test_every_variable_is_in_the_table_and_no_other() -> None:
    settings = (Path(cborg_magics.__file__).parent / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'get\(\s*"(CBORG_\w+)"', settings)) | {"CBORG_API_KEY_FILE"}
    read |= {"CBORG_LOCKED"}
    for prefix in ("CBORG", "LITELLM", "LLMBASE", "OPENAI"):
        read |= {f"{prefix}_API_KEY", f"{prefix}_BASE_URL"}
    told = set(VARIABLE.findall(rows("## Environment variables")))
    assert told == read, f"missing {read - told}, not there {told - read}"


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_no_file_speaks_of_a_variable_that_the_reference_does_not(path: Path) -> None:
    for variable in VARIABLE.findall(path.read_text(encoding="utf-8")):
        assert variable in REFERENCE, f"{path.name} speaks of {variable}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_speaks_of_a_variable_that_the_reference_does_not(path: Path) -> None:
    for variable in VARIABLE.findall(path.read_text(encoding="utf-8")):
        assert variable in REFERENCE, f"{path.name} speaks of {variable}"


def test_every_error_is_in_the_table_and_no_other() -> None:
    shown = {each.__name__ for each in vars(errors).values() if _is_shown(each)}
    first = re.findall(r"^\| (`[A-Z].+?) \|", rows("## Errors"), re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", "\n".join(first)))
    assert told == shown, f"missing {shown - told}, not there {told - shown}"


def _is_shown(each: object) -> bool:
    """Is it an error that a person may see? Two of them are only what the others have in common."""
    common = (errors.Plain, errors.CborgError)
    return isinstance(each, type) and issubclass(each, errors.Plain) and each not in common


def test_every_word_for_the_cost_is_in_the_table() -> None:
    told = rows("## What the cost means")
    for source in Source:
        sample = Cost(None if source is Source.UNKNOWN else dollars("0.000678"), source)
        assert wording.cost(sample) in told


def test_every_file_the_readme_names_exists() -> None:
    names = re.findall(r"\b(?:examples|tests)/[\w./-]*\w", README)
    assert names
    for name in names:
        assert (ROOT / name).exists(), name


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("start", "test"):
        assert f"<!-- command: {name} -->" in README
        assert f"readme {name}" in script
    assert script.rstrip().endswith('"$(readme test)"')
