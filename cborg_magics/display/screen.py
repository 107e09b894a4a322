"""What does one `%%chat` show? A view for each call, for an answer may be asked for twice."""

from __future__ import annotations

from typing import Any

from cborg_magics.display import is_notebook, tell, view_for, wording
from cborg_magics.exchange import Event, Rejected, Reply, Text


class Screen:
    """The views of one `%%chat`, one after the other.

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
