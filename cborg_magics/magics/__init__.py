"""What do you type? The table of magics; a new one is a new file and a line here."""

from __future__ import annotations

from typing import Any

from cborg_magics import embeddings
from cborg_magics.attachments.notebook import Notebook
from cborg_magics.magics import as_typed, completion
from cborg_magics.magics.chat import ChatMagic
from cborg_magics.magics.embed import EmbedMagic
from cborg_magics.magics.models import ModelsMagic
from cborg_magics.magics.shared import SharedSession
from cborg_magics.magics.spend import SpendMagic

MAGICS = (ChatMagic, EmbedMagic, ModelsMagic, SpendMagic)


class Extension:
    """All that the extension adds to one shell, so that it can be taken out again."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._shared = SharedSession(shell)
        self.notebook = Notebook(shell)
        magics = [magic(shell, self._shared, self.notebook) for magic in MAGICS]
        by_name = {
            name: getattr(magic, name)
            for magic in magics
            for kind in magic.magics.values()
            for name in kind
        }
        self._names = set(by_name)
        self._matcher = completion.matcher(by_name, self._shared, self.notebook)
        shell.register_magics(*magics)
        as_typed.install(shell)
        shell.Completer.custom_matchers.append(self._matcher)
        self.notebook.install()

    def remove(self) -> None:
        """Leave the shell as it was found."""
        for kind in self._shell.magics_manager.magics.values():
            for name in self._names:
                kind.pop(name, None)
        as_typed.remove(self._shell)
        self._shell.Completer.custom_matchers.remove(self._matcher)
        self.notebook.remove()
        embeddings.session = embeddings.watched = None
        self._shared.close()
