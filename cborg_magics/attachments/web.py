"""How is a picture of the web sent? As its address where the service can fetch it; else from here.

No key, no cookie and no password goes along, in either case.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from cborg_magics.attachments import contents
from cborg_magics.attachments.addresses import is_public, parts_of
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, has_key, without_keys
from cborg_magics.exchange import Attachment, Picture

_ADDRESS = re.compile(r"https?://\S+|data:image/[^,\s]*,.*", re.IGNORECASE | re.DOTALL)
# What services fetch by themselves; a file of any other known kind is read here.
_FETCHED_THERE = frozenset(["png", "jpg", "jpeg", "gif", "webp"])
_FETCHED_HERE = (contents.PICTURES | contents.LANGUAGES.keys() | {"pdf", "ipynb"}) - _FETCHED_THERE


def is_address(text: str) -> bool:
    """Is it an http, https or data address, and nothing else?"""
    return _ADDRESS.fullmatch(text.strip()) is not None


def attach(address: str, name: str, place: Place) -> list[Attachment]:
    """What is sent of `address`. Raises `BadAttachment`."""
    address = address.strip()
    if address[:5].lower() == "data:":
        return _held(address, name, place)
    parts = parts_of(address, name)
    if has_key(address):
        raise BadAttachment(
            f"the address {without_keys(name)} holds a key, which is not sent.",
            "Download it, and attach the file.",
        )
    suffix = contents.suffix_of(unquote(parts.path))
    if (
        parts.scheme == "https"
        and is_public(parts.hostname or "")
        and suffix not in _FETCHED_HERE
        and not place.fetch
    ):
        return [Picture(name, url=address)]
    # Imported here, because it is slow and mostly not needed.
    from cborg_magics.attachments.fetch import fetch

    got = fetch(address, name)
    # A page that says that there is no such picture, or that one must log in.
    if contents.is_web_page(got.data) or ("html" in got.type and not contents.is_picture(got.data)):
        raise BadAttachment(
            f"{name} is a web page, not a picture or a text.", "Give the picture's own address."
        )
    return contents.read(got.data, name, place, unquote(urlsplit(got.address).path))


def _held(address: str, name: str, place: Place) -> list[Attachment]:
    """What a data: address holds itself."""
    head, _, body = address.partition(",")
    kind, *options = head[5:].lower().split(";")
    try:
        data = unquote_to_bytes(body)
        if "base64" in options:
            data = base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadAttachment(f"{name} is a data: address that is damaged or cut off.") from None
    return contents.read(data, name, place, f"picture.{kind[6:].partition('+')[0]}")
