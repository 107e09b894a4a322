"""The workshop is an hour; its notebooks run as they are, solved, and on a service unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests import examples
from tests.services.build import Build
from tests.services.fixtures import BUILD
from tests.workshop import lessons, toy
from tests.workshop.lessons import LESSONS, WORKSHOP

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def service() -> Iterator[toy.ToyProxy]:
    """The real LiteLLM proxy before the embedded model."""
    build = Build()
    if not build.has_proxy():
        pytest.skip(BUILD)
    with toy.ToyProxy(build) as running:
        yield running


@each_lesson
def test_a_lesson_runs_as_it_is_and_every_solution_solves(path: Path) -> None:
    committed, whole = lessons.read(path), lessons.read(path)
    whole.cells += [new_code_cell(code) for code in lessons.solutions(committed).values()]
    fresh = examples.run(path, whole)
    count = len(committed.cells)
    for old, new in zip(committed.cells, fresh.cells[:count], strict=True):
        if old.cell_type == "code":
            # What a model says is the same only on the same kind of processor.
            assert kinds(new) == kinds(old), f"run `python -m tests.examples workshop`:\n{old}"
    assert all(cell.outputs for cell in fresh.cells[count:])


@each_lesson
def test_a_lesson_with_every_exercise_filled_in_runs_unchanged_on_a_service(
    path: Path, service: toy.ToyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in toy.environment(service).items():
        monkeypatch.setenv(name, value)
    fresh = examples.run(path, lessons.solved(path))
    shown = str([cell.get("outputs") for cell in fresh.cells])
    assert toy.MODEL in shown
    assert "smollm2" not in shown
    assert "'output_type': 'error'" not in shown


@each_lesson
def test_a_lesson_opens_and_closes_as_the_others_do(path: Path) -> None:
    notebook = lessons.read(path)
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    assert first.startswith(f"# {path.stem[0]}. ")
    for part in (r"## Questions\n\n(- .+\?\n?)+\n", r"## Objectives\n\n(- .+\n?)+"):
        assert re.search(part, first)
    assert re.fullmatch(r"## Key points\n\n(- .+\n?)+", last)
    assert notebook.cells[1].source == "%load_ext cborg_magics"
    assert len(notebook.cells) <= 25
    assert lessons.minutes(notebook)[1] == lessons.exercise_minutes(notebook)


def test_the_lessons_are_numbered_and_come_to_an_hour() -> None:
    assert [path.stem[0] for path in LESSONS] == [str(n) for n in range(len(LESSONS))]
    assert sum(sum(lessons.minutes(lessons.read(path))) for path in LESSONS) == 60


@each_lesson
def test_exercises_are_empty_and_solved_below_and_all_else_was_run(path: Path) -> None:
    notebook = lessons.read(path)
    exercises = [n for n, cell in enumerate(notebook.cells) if lessons.is_exercise(cell)]
    assert exercises
    assert exercises == list(lessons.solutions(notebook))
    for number, cell in enumerate(notebook.cells):
        if number in exercises:
            assert not cell.source
            assert not cell.outputs
            assert "### Exercise" in notebook.cells[number - 1].source
        elif cell.cell_type == "code":
            assert cell.execution_count
    counts = [cell.execution_count for cell in notebook.cells if cell.get("execution_count")]
    assert counts == list(range(1, len(counts) + 1)), "run from the top, each cell once"


def test_the_last_exercise_is_what_it_has_cost() -> None:
    assert list(lessons.solutions(lessons.read(LESSONS[-1])).values())[-1] == "%spend"


@each_lesson
def test_no_lesson_names_a_model_that_only_one_service_has(path: Path) -> None:
    for cell in [*lessons.read(path).cells, *lessons.solved(path).cells]:
        if cell.cell_type == "code":
            assert not re.search(r"(-m|--model|--use) |lbl/|smollm|gpt|claude|nomic", cell.source)


@each_lesson
def test_what_a_lesson_shows_is_clean(path: Path) -> None:
    outputs = str([cell.get("outputs") for cell in lessons.read(path).cells])
    assert "stderr" not in outputs
    assert "'output_type': 'error'" not in outputs
    assert not re.search(r"sk-\w|/home/|/root|/work|/tmp|\\Users", outputs)


def test_the_folder_can_be_copied_alone() -> None:
    for path in WORKSHOP.iterdir():
        assert "../" not in path.read_text(encoding="utf-8"), path.name


def kinds(cell: Any) -> list[list[str]]:
    """Of what kind a cell's outputs are. A model's answer may come in several pieces."""
    found = [sorted(output.get("data", {output.output_type: ""})) for output in cell.outputs]
    return [kind for n, kind in enumerate(found) if n == 0 or kind != found[n - 1]]
