"""Is it in the notebook's file? A picture pasted into a Markdown cell, a saved output."""

from __future__ import annotations

from cborg_magics.attachments.place import Found, Place


def find(name: str, place: Place) -> list[Found] | None:
    return None
