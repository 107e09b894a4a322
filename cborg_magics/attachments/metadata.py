"""What in a picture's file is not the picture? Where it was taken, by whom, with what.

It is taken out without touching a pixel: nobody who attaches a photograph means to
tell where they live.
"""

from __future__ import annotations

# What a decoder needs. Everything else says something about the picture.
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
# Of JPEG's application segments: JFIF, the colour profile, Adobe's colour transform.
_JPEG_SEGMENTS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE


def without_metadata(data: bytes, kind: str) -> bytes | None:
    """The file with the same pixels and nothing else; `kind` is PNG or JPEG.

    None where its structure is not understood, so that it must be written anew.
    """
    try:
        return {"PNG": _png, "JPEG": _jpeg}[kind](data)
    except (IndexError, KeyError, ValueError):
        return None


def _png(data: bytes) -> bytes:
    kept, at = [_PNG_HEAD], len(_PNG_HEAD)
    while True:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if len(name) < 4 or end > len(data):
            raise ValueError
        if name in _PNG_CHUNKS:
            kept.append(data[at:end])
        if name == b"IEND":
            return b"".join(kept)
        at = end


def _jpeg(data: bytes) -> bytes:
    kept, at = [data[:2]], 2
    while True:
        if data[at] != 0xFF:
            raise ValueError
        while data[at + 1] == 0xFF:  # padding
            at += 1
        marker = data[at + 1]
        if marker == _END:
            # What follows is not part of it: a camera's preview, a phone's short film.
            return b"".join([*kept, b"\xff\xd9"])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or marker == _START:
            raise ValueError
        if marker == _SCAN:
            end = _end_of_scan(data, end)
        if _is_kept(marker, data[at + 4 : end]):
            kept.append(b"\xff" + data[at + 1 : end])
        at = end


def _is_kept(marker: int, payload: bytes) -> bool:
    if marker == _COMMENT:
        return False
    if 0xE0 <= marker <= 0xEF:
        return marker in _JPEG_SEGMENTS and payload.startswith(_JPEG_SEGMENTS[marker])
    return True


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the next marker stands; inside a scan, 0xFF is followed by 0 or a restart mark."""
    while True:
        at = data.index(b"\xff", at)
        following = data[at + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7:
            return at
        at += 2
