"""How are the pages of a PDF sent? Each as a picture, 144 dots per inch where that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cborg_magics.attachments import raster
from cborg_magics.attachments.place import LONGEST_SIDE
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Picture

MOST_PAGES = 20
DOTS_PER_INCH = 144
_PAGE_BYTES = 1_000_000  # as PNG; a scanned page is smaller as JPEG, and there may be twenty
_LOCKED = (4, 5)  # PDFium's numbers: a password is needed, a protection is not known


@dataclass(frozen=True)
class Pages:
    """Pages `first` to `last` of a document, counted from 1."""

    first: int
    last: int


def pages_of(words: str) -> Pages | None:
    """What follows the # of a name; None if it names no pages.

    >>> pages_of("3"), pages_of("2-4"), pages_of("intro")
    (Pages(first=3, last=3), Pages(first=2, last=4), None)
    """
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", words)
    return Pages(int(match[1]), int(match[2] or match[1])) if match else None


def draw(
    data: bytes, name: str, longest_side: int = LONGEST_SIDE, pages: Pages | None = None
) -> list[Picture]:
    """The pages as pictures, `MOST_PAGES` at most; each says if others are left out.

    `longest_side` in pixels. Raises `BadAttachment`.
    """
    with _document(data, name) as document:
        count = len(document)
        if not count:
            raise BadAttachment(f"{name} has no pages.")
        wanted = pages or Pages(1, count)
        if not 1 <= wanted.first <= wanted.last <= count:
            several = wanted.first != wanted.last
            asked = f"pages {wanted.first}-{wanted.last}" if several else f"page {wanted.first}"
            has = "one page" if count == 1 else f"pages 1 to {count:,}"
            raise BadAttachment(f"{name} has no {asked}.", f"It has {has}.")
        last = min(wanted.last, wanted.first + MOST_PAGES - 1)
        cut = f"pages {wanted.first} to {last} of {count:,} are sent" * (last < wanted.last)
        return [
            _page(document, number, f"{name} page {number}", longest_side, cut)
            for number in range(wanted.first, last + 1)
        ]


def _page(document: Any, number: int, name: str, longest_side: int, note: str) -> Picture:
    page = document[number - 1]
    try:
        longest = max(page.get_size())
        # PDFium rounds up: half a pixel less, so that it is not scaled down once more.
        scale = min(DOTS_PER_INCH / 72, (longest_side - 0.5) / longest)
        bitmap = page.render(scale=scale)
    except (RuntimeError, ValueError, ZeroDivisionError, MemoryError):
        raise BadAttachment(f"{name} is damaged and cannot be drawn.") from None
    finally:
        page.close()
    try:
        mode = {1: "L", 3: "BGR", 4: "BGRX"}[bitmap.n_channels]
        size = (bitmap.width, bitmap.height)
        pixels = memoryview(bitmap.buffer).cast("B")
        return raster.from_pixels(
            mode, size, pixels, name, longest_side, note, bitmap.stride, _PAGE_BYTES
        )
    finally:
        bitmap.close()


@contextmanager
def _document(data: bytes, name: str) -> Iterator[Any]:
    try:
        import pypdfium2
    except ImportError:
        raise BadAttachment(
            f"{name} is a PDF, which needs PDFium.", "Run: pip install 'cborg_magics[attach]'"
        ) from None
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _LOCKED:
            raise BadAttachment(
                f"{name} is locked with a password.", "Save a copy without it, and attach that."
            ) from None
        raise BadAttachment(f"{name} is a PDF that is damaged, or has no pages.") from None
    try:
        yield document
    except pypdfium2.PdfiumError:
        raise BadAttachment(f"{name} is a PDF that is damaged.") from None
    finally:
        document.close()
