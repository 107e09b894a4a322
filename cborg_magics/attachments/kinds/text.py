"""How is a string sent? As what it names, if it is an address or a file; else as text."""

from __future__ import annotations

from pathlib import Path

from cborg_magics.attachments import contents, web
from cborg_magics.attachments.kinds import file
from cborg_magics.attachments.place import Place
from cborg_magics.errors import without_keys
from cborg_magics.exchange import Attachment

_LONGEST_NAME = 500  # characters


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    if not isinstance(value, str):
        return None
    if web.is_address(value):
        return web.attach(value, name, place)
    words = value.strip()
    if words and len(words) < _LONGEST_NAME and "\n" not in words and _is_file(words):
        return file.make(Path(words), name, place)
    # A name or a password in a text is blacked out; a private key is all that there is.
    text = without_keys(value)
    contents.refuse_keys(text, name)
    return [contents.words(text, name)]


def _is_file(words: str) -> bool:
    try:
        return Path(words).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # no name that a file could have
        return False
