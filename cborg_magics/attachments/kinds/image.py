"""How is a picture in memory sent? PIL's, IPython's, and plain bytes."""

from __future__ import annotations

import base64
import binascii
import io
import sys
from pathlib import Path
from typing import Any

from cborg_magics.attachments import contents, raster, svg, web
from cborg_magics.attachments.kinds import file
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    if raster.is_image(value):
        return [_copied(value, name, place)]
    if isinstance(value, bytes | bytearray | memoryview):
        return contents.read(bytes(value), name, place)
    if isinstance(value, io.IOBase):
        return _stream(value, name, place)
    ipython = sys.modules.get("IPython.core.display") or sys.modules.get("IPython.display")
    known = tuple(filter(None, (getattr(ipython, kind, None) for kind in ("Image", "SVG"))))
    return _shown(value, name, place) if known and isinstance(value, known) else None


def _copied(image: Any, name: str, place: Place) -> Attachment:
    """A picture of Pillow's. One that was opened from a file may be read only now."""
    return raster.from_image(image, name, place.longest_side)


def _stream(value: Any, name: str, place: Place) -> list[Attachment]:
    """All that is in a file in memory, or in an open one, wherever its end of reading is."""
    try:
        if isinstance(value, io.BytesIO | io.StringIO):
            data = value.getvalue()  # somebody may just have written into it
        else:
            return _open_file(value, name, place)
    except ValueError:
        raise BadAttachment(f"{name} is closed.", "Attach what it held before.") from None
    return contents.read(data.encode() if isinstance(data, str) else data, name, place)


def _open_file(value: Any, name: str, place: Place) -> list[Attachment]:
    """A file on disk that is open: it is read by its own name, and its position stays."""
    path = getattr(value, "name", None)
    if not isinstance(path, str):
        raise BadAttachment(f"{name} is a stream, which cannot be read twice.", "Attach its bytes.")
    made = file.make(Path(path), name, place)
    assert made is not None  # noqa: S101 - a path is a file's
    return made


def _shown(value: Any, name: str, place: Place) -> list[Attachment]:
    """IPython's Image and SVG: they hold the data, or a file's name, or an address."""
    data, path, address = (getattr(value, each, None) for each in ("data", "filename", "url"))
    if not data and path:
        return file.make(Path(path), name, place) or []
    if not data and address:
        return web.attach(str(address), name, place)
    if not data:
        raise BadAttachment(f"{name} is empty.")
    if isinstance(data, str) and data.lstrip().startswith("<"):
        return [svg.draw(data, name, place.longest_side)]
    if isinstance(data, str):
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise BadAttachment(f"{name} holds text that is no picture.") from None
    return contents.read(data, name, place, "picture.png")
