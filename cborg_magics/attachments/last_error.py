"""What was the notebook's last error? Ours are not counted: nobody asks a model about them."""

from __future__ import annotations

import sys
from typing import Any

from cborg_magics.errors import Plain


class LastError:
    """Remembers the last exception that ended a cell, or was shown in one.

    Python's own `sys.last_value` may be one of ours: a wrong option of a magic comes
    between an error and the question about it.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._value: BaseException | None = None
        self._looked_at: object = None

    @property
    def value(self) -> BaseException | None:
        """The exception; None if there was none yet."""
        self._look()
        return self._value

    def install(self) -> None:
        """Listen. An error from before the extension was loaded is the first one known."""
        self._look()
        self._shell.events.register("post_run_cell", self._hear)

    def remove(self) -> None:
        """Stop listening, let go of the exception and of all that its frames hold."""
        self._shell.events.unregister("post_run_cell", self._hear)
        self._value = self._looked_at = None

    def _hear(self, result: Any) -> None:
        self._look()
        self._note(
            getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        )

    def _look(self) -> None:
        """Take what was shown since: by a widget's callback, or by a magic that goes on after
        it, as %%time does in IPython 8."""
        shown = getattr(sys, "last_value", None)
        if shown is not self._looked_at:
            self._looked_at = shown
            self._note(shown)

    def _note(self, error: object) -> None:
        if isinstance(error, BaseException) and not isinstance(error, Plain):
            self._value = error
