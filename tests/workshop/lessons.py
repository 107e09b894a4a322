"""What is in the notebooks of the workshop: minutes, exercises, solutions?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from tests.examples import FOLDER

WORKSHOP = FOLDER / "workshop"
LESSONS = sorted(WORKSHOP.glob("*.ipynb"))
_FOLDED = re.compile(
    r"<details>\n<summary>Solution</summary>\n\n```python\n(.+?)\n```\n.*</details>", re.DOTALL
)


def read(path: Path) -> Any:
    """The notebook at `path`."""
    return nbformat.read(path, as_version=4)


def is_exercise(cell: Any) -> bool:
    """Is it a cell that the student fills in?"""
    return cell.cell_type == "code" and "exercise" in cell.metadata.get("tags", [])


def solutions(notebook: Any) -> dict[int, str]:
    """The code of each folded solution, by the number of the exercise cell that it follows."""
    found = {}
    for number, cell in enumerate(notebook.cells):
        if "<details>" in cell.source:
            folded = _FOLDED.fullmatch(cell.source)
            assert folded, f"this does not fold, or holds no code:\n{cell.source}"
            found[number - 1] = folded[1]
    return found


def solved(path: Path) -> Any:
    """The notebook with every exercise cell filled in."""
    notebook = read(path)
    for number, code in solutions(notebook).items():
        notebook.cells[number].source = code
    return notebook


def minutes(notebook: Any) -> tuple[int, int]:
    """How long the teacher teaches, and how long the students exercise."""
    first = notebook.cells[0].source
    told = re.search(r"^Teaching: (\d+) minutes\. Exercises: (\d+) minutes\.$", first, re.MULTILINE)
    assert told, "the first cell tells the minutes"
    return int(told[1]), int(told[2])


def exercise_minutes(notebook: Any) -> int:
    """The minutes of the exercises, one by one."""
    headings = (re.search(r"### Exercise \((\d+) minutes?\)", c.source) for c in notebook.cells)
    return sum(int(heading[1]) for heading in headings if heading)
