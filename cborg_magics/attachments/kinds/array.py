"""How is a numpy array sent? As a picture, if it has the shape of one."""

from __future__ import annotations

from cborg_magics.attachments.place import Place
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    return None
