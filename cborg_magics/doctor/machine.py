"""Is it set up right for everybody here? For administrators: kernels, IPython's files, the policy.

Needs no key and no network, and looks at no user's data. Files are read, not run.
"""

from __future__ import annotations

import ast
import ctypes.util
import importlib
import importlib.util
import os
import platform
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cborg_magics
from cborg_magics import policy
from cborg_magics.doctor import keys
from cborg_magics.doctor.report import Found, Mend, Urgency, columns, show
from cborg_magics.errors import BadSetting
from cborg_magics.settings import Settings

PYTHON_SECONDS = 8.0
NAME = "cborg_magics"
TRAITS = (
    "extra_extensions",
    "extensions",
    "lazy_magics",
    "exec_lines",
    "load_ext",
)  # what can load it
FILES = tuple(
    f"{stem}.{kind}"
    for stem in ("ipython_config", "ipython_kernel_config")
    for kind in ("py", "json")
)
SYSTEM = (Path("/etc/ipython"), Path("/usr/local/etc/ipython"))  # IPython's own list
JUPYTER = Path("/etc/jupyter")
PROBE = f"import sys; print(sys.prefix); import {NAME}.magics; print({NAME}.__version__)"


@dataclass(frozen=True)
class Kernel:
    """A kernel of this machine: the Python that it runs, where that keeps its own things, and the
    version of the extension there. `problem` says why there is none."""

    name: str
    python: str = ""
    prefix: str = ""
    version: str = ""
    problem: str = ""
    absent: bool = False


def examine() -> int:
    """Show all of it; 1 if something is to be mended."""
    rules = policy.read({}, {}, policy.FILE)
    known = [*keys.secrets(os.environ), *keys.secrets(rules.over(os.environ))]
    return show(CHECKS, lambda text: keys.hide(text, known))


def _version() -> Found:
    yield f"{cborg_magics.__version__}, in {sys.prefix}"


# -- kernels -------------------------------------------------------------------------------


def _kernels() -> Found:
    if importlib.util.find_spec("jupyter_client") is None:
        yield f"cannot be listed: jupyter_client is not installed in {sys.prefix}"
        return
    found = _probed()
    if not found:
        yield "none is installed"
        return
    yield from columns([(each.name, each.version or each.problem, each.python) for each in found])
    pythons = [each for each in found if each.python]
    if pythons and not any(each.version for each in pythons):
        words = f"No kernel finds {NAME}: {pythons[0].python} -m pip install {NAME}"
        yield Mend(Urgency.NOTHING_WORKS, words)
    for each in pythons:
        if each.problem and not each.absent:
            yield Mend(Urgency.NO_ANSWER, f"{NAME} fails in the kernel {each.name}: {each.problem}")
        elif each.absent and (file := _unguarded(each)):
            words = f"{file} loads {NAME} in the kernel {each.name} too, where it is not installed."
            yield Mend(Urgency.LESSER, f"{words} Install it, or ask find_spec first.")


@cache
def _probed() -> tuple[Kernel, ...]:
    """Every kernel, its Python asked for the extension; all at the same time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a home that cannot be written, for one
        found = importlib.import_module("jupyter_client.kernelspec").KernelSpecManager()
        specs: dict[str, Any] = found.get_all_specs()
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(_probe, specs, (each["spec"] for each in specs.values())))


def _probe(name: str, spec: dict[str, Any]) -> Kernel:
    argv = spec.get("argv") or [""]
    if "python" not in Path(argv[0]).name or "-m" not in argv:
        return Kernel(name, problem=f"no Python, it runs {Path(argv[0]).name or 'nothing'}")
    python = argv[0] if os.sep in argv[0] else sys.executable
    # Neither this folder nor anybody's own packages may help it to be found.
    environ = {**os.environ, **(spec.get("env") or {}), "PYTHONNOUSERSITE": "1"}
    try:
        ran = subprocess.run(  # noqa: S603 - what Jupyter would run
            [python, "-c", PROBE],
            cwd="/",
            env=environ,
            timeout=PYTHON_SECONDS,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        return Kernel(name, python, problem=f"{error.strerror or error}")
    except subprocess.TimeoutExpired:
        return Kernel(name, python, problem=f"silent for {PYTHON_SECONDS:.0f} s")
    prefix, *version = ran.stdout.split("\n")[:-1] or [""]
    if version:
        return Kernel(name, python, prefix, version[0])
    why = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
    absent = why == f"ModuleNotFoundError: No module named '{NAME}'"
    return Kernel(name, python, prefix, problem="not installed" if absent else why, absent=absent)


# -- IPython's and Jupyter's files -----------------------------------------------------------


def _ipython() -> Found:
    files = [file for folder in _folders() for file in _there(folder)]
    if not files:
        yield f"no file of the system's in {', '.join(map(str, SYSTEM))}"
    for file in files:
        try:
            how = _loads(file)
        except (OSError, SyntaxError, ValueError) as error:
            yield f"{file}: {type(error).__name__}"
            yield Mend(Urgency.NO_ANSWER, f"{file} cannot be read: {error}.")
            continue
        yield f"{file}: {f'loads it, by {how}' if how else 'says nothing of it'}"
    if not any(map(_quietly, files)):
        yield "nothing loads it for all: each notebook says %load_ext cborg_magics"


def _folders() -> list[Path]:
    """The system's, and those that belong to the Python of a kernel."""
    own = {sys.prefix}
    if importlib.util.find_spec("jupyter_client"):
        own |= {kernel.prefix for kernel in _probed() if kernel.prefix}
    return list(dict.fromkeys([*SYSTEM, *(Path(each) / "etc" / "ipython" for each in sorted(own))]))


def _there(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in FILES if (folder / name).is_file())
    yield from sorted(folder.glob("startup/*.*py"))


def _loads(file: Path) -> str:
    """The option or the call by which a file loads the extension; empty if it does not."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":  # without comments and docstrings, each statement as one text
        kinds = ast.Assign | ast.AugAssign | ast.Expr
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
        said = [ast.unparse(node) for node in nodes if not isinstance(node.value, ast.Constant)]
    else:
        lines = text.splitlines()
        said = ["\n".join(line for line in lines if not line.lstrip().startswith("#"))]
    about = [statement for statement in said if NAME in statement]
    return next((trait for trait in TRAITS for each in about if trait in each), "")


def _quietly(file: Path) -> str:
    try:
        return _loads(file)
    except (OSError, SyntaxError, ValueError):
        return ""


def _unguarded(kernel: Kernel) -> str:
    """The file that loads the extension in a kernel, whether or not it is installed there."""
    for folder in (*SYSTEM, Path(kernel.prefix) / "etc" / "ipython"):
        for file in _there(folder):
            if _quietly(file) and "find_spec" not in file.read_text(encoding="utf-8"):
                return str(file)
    return ""


def _jupyter() -> Found:
    if not JUPYTER.is_dir():
        yield f"{JUPYTER}: none"
        return
    files = sorted(file for file in JUPYTER.rglob("*") if file.suffix in (".py", ".json"))
    yield f"{JUPYTER}: {', '.join(str(file.relative_to(JUPYTER)) for file in files) or 'empty'}"


# -- the policy ------------------------------------------------------------------------------


def _policy() -> Found:
    file, rules = policy.FILE, policy.read({}, {}, policy.FILE)
    try:
        found = file.stat()
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        yield f"{file}: {'none' if absent else error.strerror}"
        if not absent:
            yield Mend(Urgency.NOTHING_WORKS, f"{file} cannot be read: {error.strerror}.")
        return
    state = "in force"
    if rules.notes:
        state = "ignored"
        yield from (
            Mend(Urgency.NOT_SAFE, f"{note} chown root, chmod 644.") for note in rules.notes
        )
    try:
        Settings.read({}, rules)
    except BadSetting as error:
        state = "wrong: nobody can ask anything"
        yield Mend(Urgency.NOTHING_WORKS, f"{file}: {error.what}")
    yield f"{file}: {state}; owner {_owner(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"
    said = [(name, _value(name, value)) for name, value in rules.values.items()]
    yield from columns([(name, value) for name, value in said if value])


def _value(name: str, value: str | None) -> str:
    return "a key, not shown" if value and name in keys.KEYS else value or ""


def _owner(number: int) -> str:
    try:
        return str(importlib.import_module("pwd").getpwuid(number).pw_name)
    except (ImportError, KeyError):
        return str(number)


def _locked() -> Found:
    names = os.environ.get(policy.LIST, "").strip()
    yield f"{policy.LIST} is {names or 'not set here; a hub may set it for its kernels'}"


def _embedded() -> Found:
    if importlib.util.find_spec("xllamacpp") is None:
        yield f"the embedded model is not installed in {sys.prefix}"
    elif platform.system() != "Linux" or ctypes.util.find_library("gomp"):
        yield "its engine is there, and the library that it needs"
    else:
        yield "its engine is there, the system library libgomp is not"
        yield Mend(Urgency.LESSER, "The embedded model needs libgomp: apt-get install libgomp1")


CHECKS = (
    ("version", _version),
    ("kernels", _kernels),
    ("IPython", _ipython),
    ("Jupyter", _jupyter),
    ("policy", _policy),
    ("locked", _locked),
    ("embedded", _embedded),
)
