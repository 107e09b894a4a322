"""How is an error sent? As its traceback, keys and our own frames taken out."""

from __future__ import annotations

from cborg_magics.attachments.place import Place
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    return None
