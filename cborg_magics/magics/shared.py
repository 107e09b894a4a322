"""Which session do all magics of this kernel share?"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cborg_magics import display
from cborg_magics.attachments import notebook
from cborg_magics.errors import CborgError, Interrupted, Unexpected, bare, without_keys

if TYPE_CHECKING:
    from cborg_magics.session import Session

_T = TypeVar("_T")


class SharedSession:
    """One session for the kernel, made at the first magic and fitted to the environment since.

    A student who sets a key in a cell after the first error needs no restart.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._session: Session | None = None
        self._noticed: object = None
        self._told: set[str] = set()

    def session(self) -> Session:
        """The session for the environment as it is now. Raises `BadSetting` or `NoKey`."""
        # Imported at the first magic: loading the extension must stay cheap.
        from cborg_magics import policy
        from cborg_magics.session import Session
        from cborg_magics.settings import Settings

        rules = policy.here()
        settings = Settings.read(os.environ, rules)
        for line in (*rules.notes, *rules.ignored(os.environ)):
            if line not in self._told:
                self._told.add(line)
                display.tell(self._shell, line)
        if self._session is None:
            self._session = Session(settings)
        elif settings != self._session.settings:
            changed = settings.changed_since(self._session.settings)
            self._session.adopt(settings)
            display.tell(self._shell, f"New settings are in use: {', '.join(changed)}.")
        self._session.person = display.has_person(self._shell)
        file = notebook.path(self._shell.user_ns, os.environ)
        self._session.notebook = str(file) if file else None
        self._notice()
        return self._session

    def peek(self) -> Session | None:
        """The session if there is one, as it is: for Tab completion."""
        return self._session

    def run(self, magic: Callable[..., _T], *arguments: Any) -> _T:
        """Run a magic's body. Whatever goes wrong is said in a few lines, and shows no key.

        Our own errors lose the way they came; anything else is a fault of ours, whose
        traceback goes to a file. (A context manager would put the tracebacks back.)
        """
        problem: BaseException
        try:
            return magic(*arguments)
        except (CborgError, Interrupted) as error:
            problem = error
        except KeyboardInterrupt:
            problem = Interrupted("stopped")
        except Exception as error:  # noqa: BLE001 - a fault of ours
            problem = self._unexpected(error)
        raise bare(problem)

    def _unexpected(self, error: Exception) -> Unexpected:
        from cborg_magics.settings import write_private

        what = f"{type(error).__name__}: {error}"
        trace = without_keys("".join(traceback.format_exception(error)))
        path = self._session.settings.home / "error.log" if self._session else None
        try:
            if path:
                write_private(path, trace)
        except OSError:
            path = None
        where = f" with {path}, which tells more" if path else ""
        return Unexpected(f"{what} (a fault of cborg_magics)", f"Please report it{where}.")

    def tell_warnings(self) -> None:
        """Show what the session had to say besides, once."""
        while self._session and self._session.warnings:
            display.tell(self._shell, self._session.warnings.pop(0))

    def close(self) -> None:
        """Let go of the connections."""
        if self._session:
            self._session.close()
            self._session = None

    def _notice(self) -> None:
        """Say once who answers, where that is not what a person would expect."""
        assert self._session  # noqa: S101 - called by session() only
        provider = self._session.service.provider
        if provider is not self._noticed and provider.notice:
            display.tell(self._shell, provider.notice)
        self._noticed = provider
