"""Is that process still at work? Asked of one that holds something, and may have been killed."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process: its machine, its number there, and when that machine started it.

    A number is given again once a process has ended; the two together are not.
    `born` is empty where the system does not say.
    """

    host: str
    pid: int
    born: str

    @classmethod
    def this(cls) -> Process:
        """The process that asks; another one after a fork."""
        return cls(platform.node(), os.getpid(), _born(os.getpid()))

    @property
    def ended(self) -> bool | None:
        """Is it certain that the process is gone, or that it is not? None: neither, as for one
        on another machine."""
        if self.host != platform.node() or not self.born:
            return None
        return _born(self.pid) != self.born


def _born(pid: int) -> str:
    """When a process started, in the system's own count; "running" or "gone" where that is all
    that can be told, "" where not even that."""
    try:
        # The name in brackets may hold anything, also blanks and brackets.
        state, *rest = (
            Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        )
        return "gone" if state in "ZX" else rest[18]
    except (OSError, ValueError, IndexError):
        pass
    if os.name != "posix":
        return ""  # on Windows, asking with a signal would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass  # it is somebody else's
    return "running"
