"""How is a string sent? As what it names, if it is an address or a file; else as text."""

from __future__ import annotations

from cborg_magics.attachments.place import Place
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    return None
