"""How is a value sent that draws itself in a notebook? As that picture."""

from __future__ import annotations

from cborg_magics.attachments.place import Place
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    return None
