"""How is a value sent that draws itself in a notebook? As that picture."""

from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Mapping
from typing import Any

from cborg_magics.attachments import contents, svg
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment

# A drawing comes last: it must be made into pixels first.
_METHODS = {
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "image/webp": "",
    "image/gif": "",
    "image/svg+xml": "_repr_svg_",
}


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    if isinstance(value, type):
        return None
    bundle = {**_own(value), **place.bundle(value)}
    for kind in _METHODS:
        data = bundle.get(kind)
        if isinstance(data, str | bytes | bytearray) and data:
            return _picture(data, kind, name, place)
    return None


def _own(value: Any) -> dict[str, object]:
    """What its own methods draw, where there is no notebook that asks them."""
    bundle: dict[str, object] = {}
    many = _called(value, "_repr_mimebundle_")
    if isinstance(many, Mapping):
        bundle.update(many)
    for kind, method in _METHODS.items():
        if kind not in bundle and (drawn := _called(value, method)):
            bundle[kind] = drawn
    return bundle


def _called(value: Any, method: str) -> Any:
    """What the method gives, without its metadata. Some objects claim to have every attribute."""
    if not method or not callable(inspect.getattr_static(type(value), method, None)):
        return None
    try:
        drawn = getattr(value, method)()
    except Exception:  # noqa: BLE001 - then it has no picture
        return None
    return drawn[0] if isinstance(drawn, tuple) and drawn else drawn


def _picture(data: Any, kind: str, name: str, place: Place) -> list[Attachment]:
    if kind == "image/svg+xml":
        source = data if isinstance(data, str) else bytes(data)
        return [svg.draw(source, name, place.longest_side)]
    try:
        raw = base64.b64decode(data) if isinstance(data, str) else bytes(data)
    except (binascii.Error, ValueError):
        raise BadAttachment(f"{name} draws a picture that cannot be read.") from None
    return contents.read(raw, name, place, f"picture.{kind[6:]}")
