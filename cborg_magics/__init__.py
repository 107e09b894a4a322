"""Use a language model from a notebook: `%load_ext cborg_magics`, then `%%chat`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cborg_magics.embeddings.asking import embed
    from cborg_magics.embeddings.embeddings import Embeddings
    from cborg_magics.session import Session

__version__ = "0.1.0"
__all__ = ["Embeddings", "Session", "embed", "load_ipython_extension", "unload_ipython_extension"]

_loaded: dict[int, Any] = {}  # what was added to which shell


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to `shell`. Asks for no key, opens no connection, imports nothing heavy."""
    from cborg_magics import policy
    from cborg_magics.magics import Extension

    policy.here()  # what is locked, before a cell has changed it
    unload_ipython_extension(shell)
    _loaded[id(shell)] = Extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take them out again; nothing happens where there are none."""
    extension = _loaded.pop(id(shell), None)
    if extension:
        extension.remove()


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: loading must stay cheap.
    if name == "Session":
        from cborg_magics.session import Session

        return Session
    if name == "Embeddings":
        from cborg_magics.embeddings.embeddings import Embeddings

        return Embeddings
    if name == "embed":
        from cborg_magics.embeddings.asking import embed

        return embed
    raise AttributeError(f"module 'cborg_magics' has no attribute {name!r}")
