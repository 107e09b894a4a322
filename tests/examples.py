"""How are the example notebooks run? Headless, on the embedded model, as in a terminal.

`python -m tests.examples` runs them all and writes their outputs into the files; with words,
those whose path has one of them in it: `python -m tests.examples workshop`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))


def run(path: Path, notebook: nbformat.NotebookNode | None = None) -> nbformat.NotebookNode:
    """The notebook at `path`, or another in its place, with fresh outputs. Raises where a cell
    fails."""
    notebook = notebook or nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(path.parent))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day; they only make noise in a diff
    notebook.metadata.pop("language_info", None)
    return notebook


def main(words: list[str]) -> None:
    import os

    with tempfile.TemporaryDirectory() as home:
        os.environ["CBORG_HOME"] = home
        for path in NOTEBOOKS:
            name = str(path.relative_to(FOLDER))
            if not words or any(word in name for word in words):
                nbformat.write(run(path), path)
                print(f"ran {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
