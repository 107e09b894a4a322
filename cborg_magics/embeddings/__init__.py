"""How does a column of texts become vectors that can be searched, kept and looked at?

The kernel's one session, and how to show a person what takes long, are set here by the
extension: this file imports nothing, and numpy is imported at the first use.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cborg_magics.embeddings.work import Tally
    from cborg_magics.session import Session

session: Callable[[], Session] | None = None
watched: Callable[[Tally], AbstractContextManager[object]] | None = None
