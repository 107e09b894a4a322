"""How do the servers of the tests end when the tests do, however that happens?

Every server is started through a guard: this same file, run as a script. The guard's standard
input is a pipe that the test process holds open. When the pipe closes, because the tests are done
or because they died (Ctrl-C, kill -9, a closed terminal), the guard ends the server and all that
the server started.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 10.0  # seconds between asking a server to end and killing it


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block lasts. What it prints goes to the log."""
    # -I: neither this folder nor PYTHONPATH may change what the guard imports.
    guard = [sys.executable, "-I", __file__, stop.name, user or "", *map(str, command)]
    with (
        log.open("ab") as out,
        subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env=env,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C in the terminal is for pytest alone
        ) as process,  # leaving closes the pipe and waits for the guard
    ):
        yield process


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float
) -> None:
    """Wait for a server to answer, or say why it does not: with the end of its log."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{tail(log)}")
        time.sleep(0.1)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is gone afterwards. PostgreSQL may enter it as another user."""
    with tempfile.TemporaryDirectory(prefix="cborg-tests-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def tail(log: Path, characters: int = 4000) -> str:
    """Give the end of a log."""
    return log.read_text(errors="replace")[-characters:]


def free_port() -> int:
    """Give a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_user(user: str | None) -> dict[str, Any]:
    """Give what subprocess needs to run a command as another user."""
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def _guard(stop: str, user: str, command: list[str]) -> int:
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **as_user(user),
    )
    while server.poll() is None:
        if select.select([sys.stdin], [], [], 0.1)[0]:  # closed: nobody wants the server any more
            break
    _end(server, signal.Signals[stop])
    return server.wait()


def _end(server: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    # The whole group, also when the server itself is gone: it may have left children.
    for number in (stop, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1], sys.argv[2], sys.argv[3:]))
