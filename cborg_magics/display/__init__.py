"""What do you see? A view for each call, chosen by what the shell can show."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cborg_magics.display import wording
from cborg_magics.exchange import Reasoning, Rejected, Text

if TYPE_CHECKING:
    from cborg_magics.exchange import Attachment, Event, Reply


class View(Protocol):
    """One call on screen: it hears events, and at the end the reply."""

    def event(self, event: Event) -> None: ...

    def finish(self, reply: Reply | None) -> None: ...


def is_notebook(shell: Any) -> bool:
    """Does the shell belong to a kernel, whose front end draws rich outputs?"""
    return hasattr(shell, "kernel")


def has_person(shell: Any) -> bool:
    """Can somebody interrupt? A front end that cannot be asked for input has nobody before it."""
    if is_notebook(shell):
        return bool(getattr(shell.kernel, "_allow_stdin", True))
    return bool(sys.stdin and sys.stdin.isatty())


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
    for event in (Reasoning(reply.reasoning), Text(reply.text)):
        if event.text:
            view.event(event)
    view.finish(reply)


class Screen:
    """All of one `%%chat`: a view for each call, for an answer may be asked for twice.

    `fence` is the language that the whole answer is in; it is shown as such.
    """

    def __init__(self, shell: Any, fence: str | None = None) -> None:
        self._shell, self._view = shell, view_for(shell)
        self._fence = fence if is_notebook(shell) else None
        self._fenced = False

    def event(self, event: Event) -> None:
        if isinstance(event, Rejected):
            self.finish(event.reply)
            tell(self._shell, wording.rejected(event))
            self._view, self._fenced = view_for(self._shell), False
        elif isinstance(event, Text) and self._fence and not self._fenced:
            self._fenced = True
            open_fence = "" if event.text.lstrip().startswith("`") else f"```{self._fence}\n"
            self._view.event(Text(open_fence + event.text))
            self._fenced = bool(open_fence)
            self._fence = self._fence if open_fence else None
        else:
            self._view.event(event)

    def finish(self, reply: Reply | None) -> None:
        if self._fenced:
            self._view.event(Text("\n```"))
        self._view.finish(reply)


def tell(shell: Any, *lines: str) -> None:
    """Quiet lines about the tool itself."""
    if is_notebook(shell):
        from cborg_magics.display.notebook import quiet

        data = {"text/html": "".join(map(quiet, lines)), "text/plain": "\n".join(lines)}
        shell.display_pub.publish(data)
    else:
        print(*lines, sep="\n")


def show_attached(shell: Any, attachments: Sequence[Attachment]) -> None:
    """What goes along, above the answer: the reader sees what the model saw."""
    if is_notebook(shell):
        from cborg_magics.display.pictures import attached

        shell.display_pub.publish(attached(attachments))
    else:
        tell(shell, *(f"attached {wording.attachment(each)}" for each in attachments))
