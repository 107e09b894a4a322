"""How are the example notebooks run? Headless, on the embedded model, as in a terminal.

`python -m tests.examples` runs them all and writes their outputs into the files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path` with fresh outputs. Raises where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(path.parent))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day; they only make noise in a diff
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    import os

    with tempfile.TemporaryDirectory() as home:
        os.environ["CBORG_HOME"] = home
        for path in NOTEBOOKS:
            nbformat.write(run(path), path)
            print(f"ran {path.relative_to(FOLDER)}")


if __name__ == "__main__":
    main()
