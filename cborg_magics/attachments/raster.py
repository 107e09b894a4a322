"""How does a picture become one that a model accepts? The right size, format and nothing more.

Pixels stay as they are wherever they can: a file that fits is sent as it is, without
its metadata; what must be written anew becomes PNG, or JPEG if it was one.
"""

from __future__ import annotations

import io
import math
import sys
import warnings
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cborg_magics.attachments.greys import levels
from cborg_magics.attachments.metadata import without_metadata
from cborg_magics.attachments.place import LONGEST_SIDE
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Picture

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 4_500_000  # of one picture; some services take 5 MB
MOST_PIXELS = 178_956_970  # Pillow's own limit
THUMBNAIL_BYTES = 12_000
QUALITY = 90  # of JPEG

# Only these are tried: Pillow reads others by starting programs.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
_SENT = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_PLAIN = ("RGB", "RGBA", "L", "LA")
_NUMBERS = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_PRIVATE = ("exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp")


def is_image(value: object) -> bool:
    """Is it a picture of Pillow's? Where Pillow was not imported, nothing can be one."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def from_file(
    data: bytes,
    name: str,
    longest_side: int = LONGEST_SIDE,
    note: str = "",
    *,
    on_white: bool = False,
) -> Picture:
    """The picture in a file's bytes (PNG, JPEG, GIF, WEBP, BMP, TIFF). Raises `BadAttachment`.

    `longest_side` in pixels: a larger one is scaled down. `on_white`: what is
    transparent becomes white, else it stays as it is.
    """
    with _guarded(name):
        image = _opened(data)
        kind = "JPEG" if image.format == "MPO" else image.format or ""
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if frames > 1:
            note = _joined(note, f"first of {frames:,} {'pages' if kind == 'TIFF' else 'frames'}")
            image.seek(0)
        image.load()
        if on_white and image.mode == "RGBA" and _is_clear(image):
            return _picture(_on_white(image), name, longest_side, note)
        if frames == 1 and _is_fit(image, kind, longest_side):
            same = data
            if kind in ("PNG", "JPEG"):
                same = without_metadata(data, kind) or b""
            if same and len(same) <= MOST_BYTES:
                return Picture(name, _SENT[kind], same, size=image.size, note=note)
        return _picture(image, name, longest_side, note, jpeg=kind == "JPEG")


def from_image(
    image: Any, name: str, longest_side: int = LONGEST_SIDE, note: str = "", most: int = MOST_BYTES
) -> Picture:
    """A picture of Pillow's; `most` bytes as PNG, else it becomes JPEG."""
    with _guarded(name):
        return _picture(image, name, longest_side, note, most=most)


def from_pixels(
    mode: str,
    size: tuple[int, int],
    pixels: Any,
    name: str,
    longest_side: int = LONGEST_SIDE,
    note: str = "",
    stride: int = 0,
    most: int = MOST_BYTES,
) -> Picture:
    """Rows of bytes from the top; `mode` is L, RGB, RGBA, BGR or BGRX, `size` width and height.

    `stride` is the bytes from one row to the next, 0 where nothing is between them.
    """
    with _guarded(name):
        plain = {"BGR": "RGB", "BGRX": "RGB"}.get(mode, mode)
        image = _pillow().Image.frombytes(plain, size, pixels, "raw", mode, stride)
        return _picture(image, name, longest_side, note, most=most)


def thumbnail(picture: Picture, height: int = 96) -> tuple[bytes, str]:
    """A small copy to show above the answer, `height` pixels high or less: bytes, MIME type.

    At most `THUMBNAIL_BYTES` where that can be had. Raises `BadAttachment`.
    """
    with _guarded(picture.name):
        image = _opened(picture.data)
        image.draft("RGB", (8 * height, 2 * height))  # JPEG is read smaller at once
        image = _plain(image)[0]
        image.thumbnail((4 * height, height))
        image.info = {}
        data = _encoded(image, "PNG", optimize=True)
        if len(data) <= THUMBNAIL_BYTES:
            return data, "image/png"
        flat = _on_white(image)
        for quality in (80, 50, 25):
            data = _encoded(flat, "JPEG", quality=quality)
            if len(data) <= THUMBNAIL_BYTES:
                break
        return data, "image/jpeg"


# -- reading ---------------------------------------------------------------------------------


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise BadAttachment("pictures need Pillow.", "Run: pip install pillow") from None
    return PIL


@contextmanager
def _guarded(name: str) -> Iterator[None]:
    """Whatever is wrong with a picture becomes one line; Pillow's warnings are for nobody here."""
    bomb: Any = _pillow().Image.DecompressionBombError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BadAttachment:
        raise
    except (bomb, MemoryError):
        raise BadAttachment(
            f"{name} has too many pixels; up to {MOST_PIXELS // 1_000_000} million are read.",
            "Attach a smaller copy, or a part of it.",
        ) from None
    except Exception:  # noqa: BLE001 - Pillow's decoders raise whatever they like
        raise BadAttachment(
            f"{name} is a picture that is damaged or not complete.", "Attach another copy of it."
        ) from None


def _opened(data: bytes) -> Image.Image:
    image_module = _pillow().Image
    image: Image.Image = image_module.open(io.BytesIO(data), formats=_FORMATS)
    # The person may have lifted Pillow's limit for work of their own.
    if image.width * image.height > MOST_PIXELS:
        raise image_module.DecompressionBombError
    return image


def _is_fit(image: Image.Image, kind: str, longest_side: int) -> bool:
    """May the file go as it is?"""
    modes = ("RGB", "L") if kind == "JPEG" else (*_PLAIN, "P", "1")
    known = kind in _SENT and image.mode in modes and max(image.size) <= longest_side
    # What cannot be taken out of the file's bytes is left behind when it is written anew.
    private = kind in ("WEBP", "GIF") and any(image.info.get(key) for key in _PRIVATE)
    return known and not private and image.getexif().get(0x0112, 1) == 1


# -- writing ---------------------------------------------------------------------------------


def _picture(
    image: Image.Image,
    name: str,
    longest_side: int,
    note: str,
    *,
    jpeg: bool = False,
    most: int = MOST_BYTES,
) -> Picture:
    if not image.width or not image.height:
        raise BadAttachment(f"{name} has no pixels.")
    image = _pillow().ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile") if image.mode in _PLAIN else None
    plain, meaning = _plain(image)
    scaled, scaling = _scaled(plain, longest_side)
    scaled.info = {}
    data = b"" if jpeg else _encoded(scaled, "PNG", icc_profile=profile)
    kind, said = "PNG", ""
    if jpeg or len(data) > most:
        kind, said = "JPEG", "" if jpeg else f"as JPEG of quality {QUALITY}"
        data = _encoded(_on_white(scaled), "JPEG", quality=QUALITY, icc_profile=profile)
    words = _joined(note, meaning, scaling, said)
    return Picture(name, _SENT[kind], data, size=scaled.size, note=words)


def _plain(image: Image.Image) -> tuple[Image.Image, str]:
    """The picture in grey or colours, with alpha if it has any, and what was assumed for it."""
    if image.mode in _NUMBERS:
        return _grey(image)
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if transparent else "L"
    else:
        mode = "RGBA" if transparent else "RGB"
    return (image.copy() if image.mode == mode else image.convert(mode)), ""


def _grey(image: Image.Image) -> tuple[Image.Image, str]:
    """Pixels that are numbers, of 16 bits or more, as greys."""
    floats = image if image.mode == "F" else image.convert("I").convert("F")
    values = array("f", floats.tobytes())
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        raise ValueError("no number in it")
    level = levels(min(finite), max(finite), whole=image.mode != "F")
    scale = 255 / (level.white - level.black)
    shift = 0.5 - level.black * scale  # a half, because what follows cuts off
    lost = len(values) - len(finite)
    if lost:
        bottom = level.black
        good = array("f", (each if math.isfinite(each) else bottom for each in values))
        floats = _pillow().Image.frombytes("F", floats.size, good.tobytes())
    grey = floats.point(lambda value: value * scale + shift).convert("L")
    return grey, _joined(level.note, f"{lost:,} pixels without a number are black" * bool(lost))


def _scaled(image: Image.Image, longest_side: int) -> tuple[Image.Image, str]:
    longest = max(image.size)
    if longest <= longest_side:
        return image, ""
    width, height = (max(1, round(side * longest_side / longest)) for side in image.size)
    resampling = _pillow().Image.Resampling.LANCZOS
    smaller = image.resize((width, height), resampling, reducing_gap=3.0)
    return smaller, "scaled from {:,} × {:,} px".format(*image.size)


def _on_white(image: Image.Image) -> Image.Image:
    """Without alpha, which JPEG has not: as on paper."""
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    clear = image.convert("RGBA")
    paper: Image.Image = _pillow().Image.new("RGBA", clear.size, "white")
    paper.alpha_composite(clear)
    return paper.convert("RGB")


def _is_clear(image: Image.Image) -> bool:
    """Is anything of it transparent?"""
    least, _ = image.getchannel("A").getextrema()
    return least != 255


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _joined(*notes: str) -> str:
    return ", ".join(filter(None, notes))
