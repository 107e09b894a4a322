"""How are plotly and altair figures sent? As pictures, made by their own exporters."""

from __future__ import annotations

from cborg_magics.attachments.place import Place
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    return None
