"""What do you see? A view for each call, chosen by what the shell can show."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

# Imported where they are used: every kernel of a hub loads this file, few ask at once.
if TYPE_CHECKING:
    from cborg_magics.exchange import Attachment, Event, Reply


class View(Protocol):
    """One call on screen: it hears events, and at the end the reply."""

    def event(self, event: Event) -> None: ...

    def finish(self, reply: Reply | None) -> None: ...


def is_notebook(shell: Any) -> bool:
    """Does the shell belong to a kernel, whose front end draws rich outputs?"""
    return hasattr(shell, "kernel") and not _is_console(shell.kernel)


def has_person(shell: Any) -> bool:
    """Can somebody interrupt? A front end that cannot be asked for input has nobody before it."""
    if hasattr(shell, "kernel"):
        return bool(getattr(shell.kernel, "_allow_stdin", True))
    return bool(sys.stdin and sys.stdin.isatty())


def _is_console(kernel: Any) -> bool:
    """Was the cell typed into `jupyter console` or the like, before a kernel?

    These show text, and drop what replaces an earlier output: most of an answer would be lost.
    They ask through jupyter_client, whose numbers end in a process and a count, and say nothing
    of a cell. So do nbclient and papermill, which cannot be asked for input.
    """
    parent = (kernel.get_parent("shell") or {}) if hasattr(kernel, "get_parent") else {}
    number = str((parent.get("header") or {}).get("msg_id", ""))
    asked_by_python = re.search(r"_\d+_\d+$", number) is not None
    person = bool(getattr(kernel, "_allow_stdin", True))
    return asked_by_python and person and not parent.get("metadata")


def view_for(shell: Any) -> View:
    """A view for one call in `shell`."""
    if is_notebook(shell):
        from cborg_magics.display.notebook import NotebookView

        return NotebookView(shell.display_pub.publish, person=has_person(shell))
    from cborg_magics.display.terminal import TerminalView

    return TerminalView()


def show_reply(shell: Any, reply: Reply) -> None:
    """A finished answer once more."""
    view = view_for(shell)
    for piece in reply.pieces:
        view.event(piece)
    view.finish(reply)


def tell(shell: Any, *lines: str) -> None:
    """Quiet lines about the tool itself."""
    if is_notebook(shell):
        from cborg_magics.display.notebook import quiet

        data = {"text/html": "".join(map(quiet, lines)), "text/plain": "\n".join(lines)}
        shell.display_pub.publish(data)
    else:
        from cborg_magics.display.terminal import fitting

        print(*(fitting(line, sys.stdout) for line in lines), sep="\n")


def show(shell: Any, data: dict[str, Any]) -> None:
    """An output; in a terminal its plain text."""
    if is_notebook(shell):
        shell.display_pub.publish(data)
    else:
        print(data["text/plain"])


def show_attached(shell: Any, attachments: Sequence[Attachment]) -> None:
    """What goes along, above the answer: the reader sees what the model saw."""
    if is_notebook(shell):
        from cborg_magics.display.pictures import attached

        shell.display_pub.publish(attached(attachments))
    else:
        from cborg_magics.display import wording

        tell(shell, *(f"attached {wording.attachment(each)}" for each in attachments))
