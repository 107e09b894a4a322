"""Which pictures have the notebook's cells shown? The newest are kept, 64 MB at most."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
MOST_PICTURES = 1000  # as many as IPython keeps results
TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
# The front end draws these from their data; no picture is sent.
DRAWN = ("application/vnd.plotly.", "application/vnd.vega")
LIBRARIES = ("altair", "plotly")


@dataclass(frozen=True)
class Shown:
    """One picture as published: `cell` is n of In[n], `data` base64 text or SVG source.

    A chart that the front end draws has its JSON as `data`, or is kept itself, as
    `value`. `display_id` is what an update of the picture names, if it has one.
    """

    cell: int
    type: str
    data: str
    display_id: str | None = None
    value: object = None


class ShownPictures:
    """The pictures shown since the extension was loaded, oldest first.

    What is updated is replaced where it stands; what a cell clears is forgotten,
    because nobody sees it any more.
    """

    def __init__(self, shell: Any, most_bytes: int = MOST_BYTES) -> None:
        self._shell, self._most_bytes = shell, most_bytes
        self._pictures: list[Shown] = []
        self._bytes = 0
        self._cell = 0
        self._clearing = False
        self._listening = False
        self._publisher: Any = None
        self._write: Callable[..., object] | None = None

    def __iter__(self) -> Iterator[Shown]:
        return iter(tuple(self._pictures))

    def install(self) -> None:
        """Listen to what cells show, and to their results."""
        self._listening = True
        self._cell = self._shell.displayhook.prompt_count
        # A terminal's publisher has no hooks, and shows no pictures.
        self._publisher = self._shell.display_pub
        if hasattr(self._publisher, "register_hook"):
            self._publisher.register_hook(self._hear)
        self._shell.events.register("pre_run_cell", self._note_cell)
        # Results have hooks from ipykernel 7 on; this method is the same in all releases.
        self._write = self._shell.displayhook.write_format_data
        self._shell.displayhook.write_format_data = self._hear_result

    def remove(self) -> None:
        """Stop listening, forget everything."""
        if not self._listening:
            return
        self._listening = False
        if hasattr(self._publisher, "unregister_hook"):
            self._publisher.unregister_hook(self._hear)
        self._shell.events.unregister("pre_run_cell", self._note_cell)
        hook = self._shell.displayhook
        # Where somebody has wrapped ours since, ours stays and only passes on.
        if vars(hook).get("write_format_data") == self._hear_result:
            del hook.write_format_data
            if hook.write_format_data != self._write:
                hook.write_format_data = self._write
        self._pictures.clear()
        self._bytes = 0

    def _note_cell(self, info: object) -> None:
        # Taken before the cell runs: IPython counts on at different moments in its releases.
        self._cell = self._shell.displayhook.prompt_count
        self._clearing = False

    def _hear(self, message: dict[str, Any]) -> dict[str, Any]:
        """A hook of the kernel: it must return the message, and never break an output."""
        with suppress(Exception):
            self._note(message)
        return message

    def _hear_result(self, data: Any, *more: Any, **named: Any) -> object:
        """In the place of `write_format_data`, which it calls, whatever happens."""
        if self._listening:
            with suppress(Exception):
                self._keep_result(data)
        assert self._write  # noqa: S101 - set where this was put in place
        return self._write(data, *more, **named)

    def _note(self, message: Mapping[str, Any]) -> None:
        kind = (message.get("header") or {}).get("msg_type")
        content = message["content"]
        if kind == "clear_output":
            # With `wait`, the front end clears when the next output comes.
            self._clearing = bool(content.get("wait"))
            if not self._clearing:
                self._clear()
            return
        display_id = (content.get("transient") or {}).get("display_id")
        shown = self._shown(content["data"], display_id)
        if kind == "update_display_data":
            self._replace(display_id, shown)
            return
        self._clear_if_due()
        if shown:
            self._keep(shown)

    def _keep_result(self, data: Mapping[str, Any]) -> None:
        self._clear_if_due()
        shown = self._shown(data, None) or self._chart()
        if shown:
            self._keep(shown)

    def _shown(self, data: Mapping[str, Any], display_id: str | None) -> Shown | None:
        for kind in TYPES:
            if isinstance(data.get(kind), bytes):
                text = base64.b64encode(data[kind]).decode()
                return Shown(self._cell, kind, text, display_id)
            if isinstance(data.get(kind), str):
                return Shown(self._cell, kind, data[kind], display_id)
        for kind in data:
            if str(kind).startswith(DRAWN):
                return Shown(self._cell, kind, json.dumps(data[kind]), display_id)
        return None

    def _chart(self) -> Shown | None:
        """The cell's result, if it is a chart: one that is sent as HTML looks like any text."""
        value = self._shell.user_ns.get("_oh", {}).get(self._cell)
        library = type(value).__module__.partition(".")[0]
        # Both libraries' charts, and nothing else of theirs, can be written to a file.
        if library in LIBRARIES and hasattr(value, "to_json"):
            return Shown(self._cell, "", "", None, value)
        return None

    def _keep(self, shown: Shown) -> None:
        self._pictures.append(shown)
        self._bytes += len(shown.data)
        while self._bytes > self._most_bytes or len(self._pictures) > MOST_PICTURES:
            self._bytes -= len(self._pictures.pop(0).data)

    def _replace(self, display_id: str | None, shown: Shown | None) -> None:
        """Every output with that id now shows this, or no picture any more."""
        stood = [p.cell for p in self._pictures if display_id and p.display_id == display_id]
        if not stood:
            # It had shown no picture before: a place was kept for this one.
            if shown:
                self._keep(shown)
            return
        updated = []
        for picture in self._pictures:
            if picture.display_id != display_id:
                updated.append(picture)
            elif shown:
                updated.append(Shown(picture.cell, shown.type, shown.data, display_id, shown.value))
        self._set(updated)

    def _clear_if_due(self) -> None:
        if self._clearing:
            self._clearing = False
            self._clear()

    def _clear(self) -> None:
        self._set([picture for picture in self._pictures if picture.cell != self._cell])

    def _set(self, pictures: list[Shown]) -> None:
        self._pictures = pictures
        self._bytes = sum(len(picture.data) for picture in pictures)
