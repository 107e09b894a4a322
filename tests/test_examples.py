"""The examples run as they are, and their committed outputs are what a reader would get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import examples
from tests.workshop.lessons import LESSONS

# Those of the workshop are run with their solutions, in tests/workshop.
RUN = [path for path in examples.NOTEBOOKS if path not in LESSONS]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_an_example_runs_headless_to_the_outputs_it_shows(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    fresh = examples.run(path)
    for old, new in zip(committed.cells, fresh.cells, strict=True):
        if old.cell_type == "code":
            # Word for word the same only on the same kind of processor.
            assert len(answers(new)) == len(answers(old)), "run `python -m tests.examples`"


@pytest.mark.parametrize("path", examples.NOTEBOOKS, ids=lambda path: path.stem)
def test_an_example_is_a_clean_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert "widget-view" not in text
    assert "/tmp" not in text
    assert str(examples.FOLDER.parent) not in text, "a path of the machine it ran on"
    assert json.loads(text)["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("read", [examples.run, lambda path: nbformat.read(path, as_version=4)])
def test_the_quickstart_asks_only_what_is_answered_well(read: Any) -> None:
    cells = read(examples.FOLDER / "quickstart.ipynb").cells
    shown = [answer for cell in cells for answer in answers(cell)]
    for right, answer in zip(["Paris", "Berlin", "training data", "Python"], shown, strict=True):
        assert right in answer
    assert "smollm2-135m" in json.dumps(cells)


def answers(cell: nbformat.NotebookNode) -> list[str]:
    """What a model wrote into a cell; badges tell times, which differ."""
    outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [data["text/markdown"] for data in outputs if "text/markdown" in data]
