"""What cannot be sent is refused in plain words that name it; nothing hangs, nothing breaks."""

from __future__ import annotations

import gzip
import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython import display
from matplotlib.figure import Figure
from PIL import Image

from cborg_magics.attachments.attach import load, of
from cborg_magics.attachments.kinds import file
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment

KEY = "sk-abcdefgh1234"
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">'


def encoded(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG that says it has that many pixels, and has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def gif(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x00\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame


def paper(*objects: str, trailer: str = "") -> bytes:
    """A PDF of these objects, with a right table of them."""
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj{each}endobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start, count = len(data), len(objects) + 1
    data += f"xref\n0 {count}\n0000000000 65535 f \n{table}".encode()
    data += f"trailer<</Size {count}/Root 1 0 R{trailer}>>\nstartxref\n{start}\n%%EOF".encode()
    return data


CATALOG = "<</Type/Catalog/Pages 2 0 R>>"
ONE_PAGE = (
    CATALOG,
    "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 50 50]>>",
)
NO_PAGE = (CATALOG, "<</Type/Pages/Kids[]/Count 0>>")
ID = "00" * 16
LOCKED = paper(
    *ONE_PAGE,
    f"<</Filter/Standard/V 1/R 2/P -4/O<{'11' * 32}>/U<{'22' * 32}>>>",
    trailer=f"/Encrypt 4 0 R/ID[<{ID}><{ID}>]",
)
ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<!DOCTYPE svg [<!ENTITY l0 "ha">{ENTITIES}]>{HEAD}<text>&l9;</text></svg>'
OUTSIDE = (
    '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + HEAD + "<text>&x;</text></svg>"
)
DEEP = f"{HEAD}{'<g>' * 2000}<path d='M0 0h9'/>{'</g>' * 2000}</svg>"
PATTERN = (
    f'{HEAD}<pattern id="p" width="1e5" height="1e5" patternUnits="userSpaceOnUse">'
    '<rect width="1e5" height="1e5"/></pattern>'
    '<rect width="1e5" height="1e5" fill="url(#p)"/></svg>'
)

# By the file's name: what is in it, and what is said.
FILES: dict[str, tuple[bytes | str, str]] = {
    "empty.png": (b"", "empty.png is empty."),
    "empty.txt": (b"", "empty.txt is empty."),
    "blank.txt": (b" \n\n", "blank.txt is empty."),
    "cut.png": (encoded()[:-2000], "is a picture that is damaged or not complete."),
    "cut.jpg": (encoded("JPEG")[:900], "is a picture that is damaged or not complete."),
    "cut.gif": (encoded("GIF")[:50], "is a picture that is damaged or not complete."),
    "cut.webp": (encoded("WEBP")[:200], "is a picture that is damaged or not complete."),
    "cut.bmp": (encoded("BMP")[:200], "is a picture that is damaged or not complete."),
    "cut.tiff": (encoded("TIFF")[:200], "is a picture that is damaged or not complete."),
    "head.png": (b"\x89PNG\r\n\x1a\n", "is a picture that is damaged or not complete."),
    "wrong.png": (encoded()[:100] + bytes(9000), "is a picture that is damaged or not complete."),
    "bomb.png": (png(40_000, 40_000), "has too many pixels"),
    "wide.png": (png(2**31 - 1, 1), "has too many pixels"),
    "bomb.gif": (gif(65_535, 65_535), "has too many pixels"),
    "large.png": (png(10_000, 10_000), "is a picture that is damaged or not complete."),
    "page.png": ("<!DOCTYPE html><html><p>log in", "page.png is a web page, no picture"),
    "page.svg": ("<html><p>log in</html>", "page.svg is a web page, no picture"),
    "words.png": ("just words", "words.png is not what its name says"),
    "table.xlsx": (b"PK\x03\x04" + bytes(100), "is neither a picture that is known"),
    "array.npy": (b"\x93NUMPY\x01\0v\0" + bytes(99), "is neither a picture that is known"),
    "latin.txt": ("naïve".encode("latin-1"), "is neither a picture that is known"),
    "drawing.svgz": (gzip.compress(HEAD.encode()), "is neither a picture that is known"),
    "cut.svg": (HEAD, "is an SVG drawing that is damaged or cut off."),
    "laughs.svg": (LAUGHS, "is an SVG drawing that"),
    "outside.svg": (OUTSIDE, "is an SVG drawing that"),
    "image.svg": (f'{HEAD}<image href="/etc/a.png"/></svg>', "refers to another file (/etc/a.png)"),
    "web.svg": (f'{HEAD}<image href="https://x.org/a.png"/></svg>', "refers to another file"),
    "filter.svg": (f'{HEAD}<filter><feImage href="a.png"/></filter></svg>', "another file (a.png)"),
    "deep.svg": (DEEP, "is an SVG drawing that cannot be drawn."),
    "pattern.svg": (PATTERN, "is an SVG drawing that cannot be drawn."),
    "nothing.svg": (HEAD.replace("10", "0") + "</svg>", "is an SVG drawing that cannot be drawn."),
    "cut.pdf": (paper(*ONE_PAGE)[:40], "is a PDF that is damaged"),
    "locked.pdf": (LOCKED, "locked.pdf is locked with a password."),
    "none.pdf": (paper(*NO_PAGE), "none.pdf"),
    "broken.ipynb": ('{"cells": [', "is not a notebook that can be read."),
    "other.ipynb": ("[1, 2]", "is not a notebook that can be read."),
    ".env": ("A=1", ".env is a file for keys and passwords"),
    ".env.local": ("A=1", ".env.local is a file for keys and passwords"),
    "id_rsa": ("x", "id_rsa is a file for keys and passwords"),
    "id_ed25519": ("x", "id_ed25519 is a file for keys and passwords"),
    "server.key": ("x", "server.key is a file for keys and passwords"),
    "notes.md": (f"my key is {KEY}", "notes.md holds a key"),
    "work.ipynb": (f'{{"cells": [{{"source": "{KEY}"}}]}}', "work.ipynb holds a key"),
    "cert.pem": ("-----BEGIN RSA PRIVATE KEY-----\nx", "cert.pem holds a key"),
}


def refused(attach: Callable[[], object], name: str) -> BadAttachment:
    """The error, which is one, is short, and comes soon."""
    began = time.monotonic()
    with pytest.raises(BadAttachment) as caught:
        attach()
    assert time.monotonic() - began < 20
    error = caught.value
    assert name in error.what
    lines = str(error).splitlines()
    assert len(lines) <= 2
    assert all(len(line) < 250 for line in lines)
    assert not any(mark in str(error) for mark in ("!", "Traceback", " object at 0x", KEY))
    return error


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_sent_is_refused(name: str) -> None:
    content, said = FILES[name]
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert said in refused(lambda: load(name, Place()), name).what


def closed(stream: Any) -> Any:
    stream.close()
    return stream


def raising() -> Figure:
    figure = Figure()
    figure.add_subplot().set_title(r"$\nonsense$")
    return figure


# By what it is: the value, and what is said of `x`.
VALUES: dict[str, tuple[Callable[[], object], str]] = {
    "no bytes": (lambda: b"", "x is empty."),
    "bytes of nothing": (lambda: b"\0\1\2", "x is neither a picture that is known"),
    "an empty buffer": (io.BytesIO, "x is empty."),
    "a closed buffer": (lambda: closed(io.BytesIO(b"1")), "x is closed."),
    "a pipe": (lambda: os.fdopen(os.pipe()[0], "rb"), "x is a stream"),
    "a picture of no pixels": (lambda: Image.new("RGB", (0, 5)), "x has no pixels."),
    "a closed picture": (lambda: closed(Image.new("L", (5, 5))), "x is a picture that is damaged"),
    "an array of nothing": (lambda: np.zeros((0, 10)), "x is an array without a single number."),
    "no numbers": (lambda: np.array([]), "x is an array without a single number."),
    "four dimensions": (lambda: np.zeros((2, 9, 9, 3)), "x is an array of 2 × 9 × 9 × 3;"),
    "two colours": (lambda: np.zeros((9, 9, 2)), "x is an array of 9 × 9 × 2;"),
    "a stack": (lambda: np.zeros((50, 60, 70)), "x is an array of 50 × 60 × 70;"),
    "objects": (lambda: np.array([[{}, {}]]), "x is an array of objects"),
    "complex numbers": (lambda: np.ones((9, 9)) * 1j, "x has complex numbers"),
    "only NaN": (lambda: np.full((9, 9), np.nan), "x has no number that is finite."),
    "a figure that fails": (raising, "x cannot be drawn:"),
    "an Image of nothing": (lambda: display.Image(b"\0\1"), "x is not what its name says"),
    "an SVG cut off": (lambda: display.Image(b"<svg>"), "x is an SVG drawing that is damaged"),
    "a path to nothing": (lambda: Path("none.png"), "there is no file x (none.png)."),
    "a path to a folder": (lambda: Path("/"), "x (/) is a folder."),
    "a path with a nul": (lambda: Path("a\0b"), "cannot be read"),
    "a path that is too long": (lambda: Path("a" * 5000), "File name too long"),
    "an empty string": (lambda: "", "x is empty."),
    "a private key": (lambda: "-----BEGIN PRIVATE KEY-----", "x holds a key"),
    "data that is cut off": (lambda: "data:image/png;base64,iVBORw0K", "x is a picture that is"),
    "data that is none": (lambda: "data:image/png;base64,?", "x is a data: address"),
    "an address with a password": (
        lambda: "https://me:secret@example.org/a.png",
        "the address x holds a name or password",
    ),
    "an address with a key": (
        lambda: f"https://example.org/a.png?key={KEY}",
        "the address x holds a key",
    ),
    "a port that is none": (lambda: "http://example.org:x/", "x is no address"),
}


@pytest.mark.parametrize("what", VALUES)
def test_a_value_that_cannot_be_sent_is_refused(what: str) -> None:
    make, said = VALUES[what]
    value = make()
    error = refused(lambda: of(value, "x"), "x")
    assert said in error.what
    assert "secret" not in str(error)
    if what == "a pipe":
        closed(value)


NAMES: dict[str, str] = {
    "phto.png": "Did you mean photo.png?",
    "plots/photo.png": "There is no folder plots either.",
    "other.dat/": "It was looked for in",
    "none.txt": "It was looked for in",
    "~no-such-user/a.png": "There is no folder ~no-such-user either.",
    "ftp://example.org/a.png": "Give one that begins with https:// or http://.",
    "file:///tmp/photo.png": "Give the file's path.",
    "s3://bucket/a.png": "Give one that begins with https:// or http://.",
    "subfolder": "Attach a file in it, as a.txt or b.txt.",
    "paper.pdf#9": "It has pages 1 to 2.",
    "paper.pdf#2-9": "It has pages 1 to 2.",
    "paper.pdf#0": "It has pages 1 to 2.",
    "paper.pdf#2-1": "It has pages 1 to 2.",
    "paper.pdf#intro": "Write paper.pdf#3 or paper.pdf#2-4.",
    "photo.png#1": "",
    "papr.pdf#1": "Did you mean paper.pdf?",
    "large.bin": "Attach a part of it.",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be_attached_is_refused(name: str, folder: Path) -> None:
    (folder / "photo.png").write_bytes(encoded())
    (folder / "subfolder").mkdir()
    for each in ("a.txt", "b.txt", ".hidden"):
        (folder / "subfolder" / each).write_text("x")
    page = Image.new("L", (5, 5))
    page.save("paper.pdf", save_all=True, append_images=[page])
    with (folder / "large.bin").open("wb") as large:
        large.truncate(file.MOST_BYTES + 1)
    error = refused(lambda: load(name, Place()), name.partition("#")[0])
    assert NAMES[name] in error.do


@pytest.mark.skipif(os.name != "posix", reason="there are no such files elsewhere")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "fifo", "link"])
def test_a_device_and_a_pipe_are_not_opened(name: str, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("/dev/zero")
    assert "a device or a pipe" in refused(lambda: load(name, Place()), name).what


@pytest.mark.skipif(os.name != "posix", reason="links need a permission elsewhere")
def test_a_link_to_a_secret_is_a_secret(folder: Path) -> None:
    (folder / ".env").write_text("PASSWORD=1")
    (folder / "notes.txt").symlink_to(folder / ".env")
    refused(lambda: load("notes.txt", Place()), "notes.txt")


def test_a_link_to_itself_is_refused(folder: Path) -> None:
    (folder / "a.txt").symlink_to("a.txt")
    refused(lambda: load("a.txt", Place()), "a.txt")


def test_what_looks_like_a_drawing_for_long_is_soon_known() -> None:
    (made,) = of(b"<?a?>" * 100_000 + b"<!---->" * 1000, "x")
    assert made.name == "x"
