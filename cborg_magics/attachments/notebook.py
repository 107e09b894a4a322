"""What does the extension know of the notebook? Its pictures, its last error, its file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cborg_magics.attachments.last_error import LastError
from cborg_magics.attachments.shown import TYPES, Shown, ShownPictures

if TYPE_CHECKING:
    from cborg_magics.attachments.place import Place


class Notebook:
    """One shell's notebook, listened to from `install` to `remove`."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.pictures = ShownPictures(shell)
        self.error = LastError(shell)

    def install(self) -> None:
        """Listen to what cells show and how they fail."""
        self.pictures.install()
        self.error.install()

    def remove(self) -> None:
        """Stop listening, forget everything."""
        self.pictures.remove()
        self.error.remove()

    def names(self) -> list[str]:
        """What can be attached by name, to be offered: variables first, then cells."""
        from cborg_magics.attachments.sources import variable  # every kernel loads this file

        space = self._shell.user_ns
        hidden = self._shell.user_ns_hidden  # what IPython put there itself
        own = [name for name in variable.names(space) if hidden.get(name, self) is not space[name]]
        found = sorted(name for name in own if not isinstance(space[name], ModuleType))
        shown = list(self.pictures)
        found += ["last"] * bool(shown) + ["error"] * (self.error.value is not None)
        found += [f"cell:{number}" for number in sorted({each.cell for each in shown})]
        return list(dict.fromkeys(found + [f"Out[{number}]" for number in space.get("_oh", ())]))

    def place(self, longest_side: int | None = None, fetch: bool = False) -> Place:
        """Where attachments are looked for now. `longest_side` in pixels."""
        return place(
            self._shell,
            self.pictures,
            error=self.error.value,
            longest_side=longest_side,
            fetch=fetch,
        )


def place(
    shell: Any,
    shown: Iterable[Shown] = (),
    *,
    error: BaseException | None = None,
    longest_side: int | None = None,
    fetch: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Place:
    """Where attachments of this shell's notebook are looked for; `longest_side` in pixels."""
    from cborg_magics.attachments.place import LONGEST_SIDE, Place

    return Place(
        namespace=shell.user_ns,
        shown=shown,
        error=error,
        notebook=path(shell.user_ns, environment),
        bundle=lambda value: _bundle(shell, value),
        # IPython names a cell's code after its text; only the compiler knows the number.
        cells=getattr(shell.compile, "_filename_map", {}),
        longest_side=longest_side or LONGEST_SIDE,
        fetch=fetch,
    )


def path(namespace: Mapping[str, object], environment: Mapping[str, str]) -> Path | None:
    """The notebook's file, as VS Code or Jupyter tells its kernel; None where it is not there.

    Jupyter's word is from the kernel's start, so that it is wrong after a rename.
    """
    for told in (namespace.get("__vsc_ipynb_file__"), environment.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            # A path relative to the server's folder; the kernel runs in the notebook's own.
            for file in (Path(told), Path(Path(told).name)):
                if file.is_file():
                    return file.resolve()
    return None


def _bundle(shell: Any, value: object) -> Mapping[str, object]:
    """A value's pictures by MIME type, as the notebook would draw it, without displaying it."""
    formatter = shell.display_formatter
    many = formatter.mimebundle_formatter(value)
    bundle = dict((many[0] if isinstance(many, tuple) else many) or {})
    for kind in TYPES:
        single = formatter.formatters.get(kind)
        made = single(value) if single and kind not in bundle else None
        if made is not None:
            # Some give the picture with its metadata.
            bundle[kind] = made[0] if isinstance(made, tuple) else made
    return bundle
