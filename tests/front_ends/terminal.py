"""How do tests use a real terminal? tmux draws it, a test types into it and reads the screen.

with Terminal([sys.executable, "-m", "IPython"], environment) as terminal:
    terminal.wait("In [1]:")
    terminal.type("1 + 1", "Enter")
    assert "2" in terminal.wait("Out[1]:")
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

SECONDS = 40.0


class Terminal:
    """A program in a terminal of `wide` columns and `high` rows; a context manager.

    Nothing of the user's own tmux is read or touched: the server has a socket of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        wide: int = 100,
        high: int = 40,
    ) -> None:
        self._socket = folder / f"tmux-{uuid.uuid4().hex[:8]}"
        self._environment = {**environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._command = [
            *("new-session", "-d", "-x", str(wide), "-y", str(high), "-c", str(folder)),
            shlex.join(["exec", *command]),
        ]

    def __enter__(self) -> Terminal:
        self._tmux(*self._command)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it may have ended by itself
            self._tmux("kill-server")

    def type(self, text: str, *keys: str) -> None:
        """Type a text as it is, then press keys by tmux's names: `Enter`, `Tab`, `C-c`."""
        if text:
            self._tmux("send-keys", "-l", text)
        if keys:
            self._tmux("send-keys", *keys)

    def screen(self, *, history: bool = False) -> str:
        """What is on the screen; with `history`, also what has scrolled away."""
        return self._tmux("capture-pane", "-p", *(["-S", "-"] if history else []))

    def wait(
        self,
        until: str | Callable[[str], object],
        seconds: float = SECONDS,
        *,
        history: bool = False,
    ) -> str:
        """The screen as soon as it has a text, or is as a function wants it."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen(history=history)
            if until in screen if isinstance(until, str) else until(screen):
                return screen
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {until!r} on the screen:\n{screen}")
            time.sleep(0.05)

    def watch(self, until: str, seconds: float = SECONDS) -> Iterator[str]:
        """Every screen that differs from the one before, to the first that has a text."""
        seen, deadline = "", time.monotonic() + seconds
        while until not in seen:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {until!r} on the screen:\n{seen}")
            screen = self.screen()
            if screen != seen:
                seen = screen
                yield screen
            time.sleep(0.03)

    def _tmux(self, *words: str) -> str:
        command = [shutil.which("tmux") or "tmux", "-S", str(self._socket), "-f", "/dev/null"]
        done = subprocess.run(
            [*command, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout
