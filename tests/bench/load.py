"""What does `%load_ext cborg_magics` cost? Measured in fresh interpreters, many times.

Two copies of the package are loaded in turn: one with bytecode, as pip installs it, and one
without, as in a checkout that PYTHONDONTWRITEBYTECODE or a read-only disk keeps from having any.
"""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.table import Figure
from tests.services.processes import scratch

ROUNDS = 20
MOST = 50.0  # ms
HEAVY = {"openai", "httpx", "httpx2", "ipywidgets", "tenacity"}
HEAVY |= {"numpy", "pandas", "PIL", "matplotlib"}

LOAD = """
import json, sys, time
began = time.perf_counter()
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
ready, before = time.perf_counter(), set(sys.modules)
shell.run_line_magic("load_ext", "cborg_magics")
loaded = time.perf_counter()
new = sorted(set(sys.modules) - before)
print(json.dumps([(ready - began) * 1000, (loaded - ready) * 1000, new]))
"""


@dataclass(frozen=True)
class Start:
    """One start of IPython and of the extension, in milliseconds, and what the latter imported."""

    shell: float
    extension: float
    imported: tuple[str, ...]

    @property
    def heavy(self) -> set[str]:
        return {name.partition(".")[0] for name in self.imported} & HEAVY


def measure() -> list[Figure]:
    """Load the extension again and again."""
    with scratch() as folder:
        plain, compiled = _copy(folder / "plain"), _copy(folder / "compiled")
        compileall.compile_dir(compiled, quiet=1)
        with_bytecode: list[Start] = []
        without: list[Start] = []
        for number in range(ROUNDS):
            pair = [(compiled, with_bytecode), (plain, without)]
            for path, starts in pair if number % 2 else reversed(pair):
                starts.append(_start(path, folder))
    heavy = set().union(*(start.heavy for start in with_bytecode + without))
    return [
        _figure("load, with bytecode", with_bytecode),
        _figure("load, without", without),
        Figure("heavy modules imported", len(heavy), target=0, note=", ".join(sorted(heavy))),
    ]


def _figure(what: str, starts: list[Start]) -> Figure:
    times = [start.extension for start in starts]
    bare = median(start.shell for start in starts)
    modules = len(starts[0].imported)
    note = f"{min(times):.0f} to {max(times):.0f}; {modules} modules; bare IPython {bare:.0f} ms"
    return Figure(what, median(times), "ms", MOST, note)


def _copy(folder: Path) -> Path:
    """A copy of the package, without bytecode."""
    spec = importlib.util.find_spec("cborg_magics")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _start(path: Path, home: Path) -> Start:
    own = {
        "PYTHONPATH": str(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "IPYTHONDIR": str(home / "ipython"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=home,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    shell, extension, imported = json.loads(ran.stdout.splitlines()[-1])
    return Start(shell, extension, tuple(imported))
