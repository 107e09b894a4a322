"""What may be asked here, and what can a cell not change? The administrator's word.

Read once, when the extension is loaded: from a file that only root can write, and from
the environment that the kernel began with. A guard rail, not a wall: whoever can run
Python can reach a service without this package. The wall is the service's own budget.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cborg_magics.errors import NotAllowed

if TYPE_CHECKING:
    from cborg_magics.exchange import Location
    from cborg_magics.settings import Settings

FILE = Path("/etc/cborg_magics/policy.env")
OWNER = 0  # root
LIST = "CBORG_LOCKED"


@dataclass(frozen=True)
class Policy:
    """The locked variables with their `values` (None: locked as not set).

    `first` is what the environment said of them when the policy was read. `problem` says why
    the policy cannot be known: nothing is asked then. `notes` are for the person, once.
    """

    values: Mapping[str, str | None] = field(default_factory=dict, repr=False)  # keys, perhaps
    first: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    problem: str = ""
    notes: tuple[str, ...] = ()

    def over(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """`environ` with the locked variables as they are locked."""
        if not self.values:
            return environ
        free = {name: value for name, value in environ.items() if name not in self.values}
        return free | {name: value for name, value in self.values.items() if value is not None}

    def ignored(self, environ: Mapping[str, str]) -> list[str]:
        """What `environ` says in vain, one line each."""
        return [
            f"{name} is locked by an administrator; the change is ignored."
            for name, value in self.values.items()
            if environ.get(name) != value
            and (environ.get(name) is not None or self.first.get(name) is not None)
        ]


NONE = Policy()


@cache
def here() -> Policy:
    """The policy of this process, as it was when this was first called: at load. Never raises."""
    return read(os.environ, _at_start(), FILE)


def read(at_load: Mapping[str, str], at_start: Mapping[str, str], file: Path) -> Policy:
    """The policy from the environment at load, the one the process began with, and `file`.

    The later of these wins, for a cell may have come between the first two. Never raises.
    """
    values: dict[str, str | None] = {}
    for environ in (at_load, at_start):
        names = (name.strip() for name in environ.get(LIST, "").split(","))
        values |= {name: environ.get(name) for name in names if name}
    problem, notes = "", []
    try:
        if note := _distrust(file):
            notes.append(note)
        else:
            values |= _parsed(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        problem = f"{file}: {getattr(error, 'strerror', None) or error}"
    if any(name.startswith("CBORG_BUDGET") for name in values):
        # An empty ledger has no spending; nor may a cell move it by way of HOME or XDG_DATA_HOME.
        home = values.get("CBORG_HOME") or at_load.get("CBORG_HOME")
        if not home:
            import platformdirs  # where a cap is locked, and nowhere else

            home = str(platformdirs.user_data_path("cborg_magics", appauthor=False))
        values["CBORG_HOME"] = str(Path(home).expanduser())
    first = {name: at_load.get(name) for name in values}
    return Policy(values, first, problem, tuple(notes))


def check(name: str, location: Location, settings: Settings) -> None:
    """May the model `name`, which runs at `location`, be asked? The one place where it is
    decided, for chats, pictures and embeddings. Raises `NotAllowed`."""
    allowed = settings.allowed_models
    if allowed and not any(fnmatchcase(name, pattern) for pattern in allowed):
        raise NotAllowed(
            f"{name} is not among the models allowed here (CBORG_ALLOWED_MODELS).",
            f"Allowed: {', '.join(allowed)}.",
        )
    from cborg_magics.exchange import Location  # every kernel loads this file, few ask

    if settings.on_prem_only and location not in (Location.ON_PREMISES, Location.HERE):
        raise NotAllowed(
            f"{name} is not proved to run on-premises, and nothing may leave (CBORG_ON_PREM_ONLY).",
            "Name a model that is: %models tells.",
        )


def _distrust(file: Path) -> str:
    """Why the file is not the administrator's word; empty if it is."""
    for path in (file, file.parent):
        found = path.stat()
        if found.st_uid != OWNER or stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{file} is ignored: others than root can write {path}."
    return ""


def _parsed(text: str) -> dict[str, str | None]:
    """The lines `NAME=VALUE`; empty ones and those that begin with # say nothing."""
    return dict(_lines(text))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip() or name.startswith("#"):
            continue
        if not equals or not name.isidentifier():
            raise ValueError(f"line {number} is not NAME=VALUE")
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        yield name, value[1:-1] if quoted else value


def _at_start() -> dict[str, str]:
    """The environment that this process was started with, where the system keeps it: a cell can
    have changed ours before it loads the extension."""
    try:
        entries = os.fsdecode(Path("/proc/self/environ").read_bytes()).split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}
