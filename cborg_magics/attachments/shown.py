"""Which pictures have the notebook's cells shown? The newest are kept, 64 MB at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


@dataclass(frozen=True)
class Shown:
    """One picture as published: `cell` is n of In[n], `data` base64 text or SVG source."""

    cell: int
    type: str
    data: str


class ShownPictures:
    """The pictures shown since the extension was loaded, oldest first."""

    def __init__(self, shell: Any, most_bytes: int = MOST_BYTES) -> None:
        self._shell, self._most_bytes = shell, most_bytes
        self._pictures: deque[Shown] = deque()
        self._bytes = 0
        self._cell = 0

    def __iter__(self) -> Any:
        return iter(self._pictures)

    def install(self) -> None:
        """Listen to what cells show. A terminal shows no pictures; there is nothing to hear."""
        register = getattr(self._shell.display_pub, "register_hook", None)
        if register:
            register(self._hear)
            self._shell.events.register("pre_run_cell", self._note_cell)

    def remove(self) -> None:
        """Stop listening, forget everything."""
        if hasattr(self._shell.display_pub, "unregister_hook"):
            self._shell.display_pub.unregister_hook(self._hear)
            self._shell.events.unregister("pre_run_cell", self._note_cell)
        self._pictures.clear()
        self._bytes = 0

    def _note_cell(self, info: object) -> None:
        # Taken before the cell runs: IPython counts on at different moments in its releases.
        self._cell = self._shell.displayhook.prompt_count

    def _hear(self, message: dict[str, Any]) -> dict[str, Any]:
        """A hook of the kernel: it must return the message, and never break an output."""
        content = message.get("content")
        if isinstance(content, Mapping):
            self._keep(content.get("data"))
        return message

    def _keep(self, data: object) -> None:
        if not isinstance(data, Mapping):
            return
        for kind in TYPES:
            if isinstance(data.get(kind), str):
                self._pictures.append(Shown(self._cell, kind, data[kind]))
                self._bytes += len(data[kind])
                break
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._pictures.popleft().data)
