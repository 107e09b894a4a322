"""Is it an address? https://..., data:image/..."""

from __future__ import annotations

import re

from cborg_magics.attachments import web
from cborg_magics.attachments.place import Found, Place
from cborg_magics.errors import BadAttachment

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def find(name: str, place: Place) -> list[Found] | None:
    address = name.strip()
    if web.is_address(address):
        held = address[:5].lower() == "data:"
        return [Found(address.partition(",")[0][:60] if held else address, address)]
    if match := _SCHEME.match(address):
        file = match[1].lower() == "file"
        raise BadAttachment(
            f"{address[:200]} is not an address that can be attached.",
            "Give the file's path." if file else "Give one that begins with https:// or http://.",
        )
    return None
