"""What do you see? A view for each call, chosen by what the shell can show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cborg_magics.exchange import Event, Reply


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


def tell(shell: Any, line: str) -> None:
    """One quiet line about the tool itself."""
    if is_notebook(shell):
        from cborg_magics.display.notebook import quiet

        shell.display_pub.publish({"text/html": quiet(line), "text/plain": line})
    else:
        print(line)
