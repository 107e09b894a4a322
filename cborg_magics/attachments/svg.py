"""How does a drawing (SVG) become a picture? resvg draws it, in a process of its own.

Some drawings end the process that draws them: those with a pattern of 100,000 pixels,
or with groups three hundred deep. That must not be the notebook's kernel.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from cborg_magics.attachments import raster
from cborg_magics.attachments.place import LONGEST_SIDE
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Picture

SECONDS = 30.0  # to draw it
_UNSIZED = 1024.0  # pixels of the longest side, for a drawing that names no size
# In pixels, as browsers have it.
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54}
_UNITS |= {"in": 96.0, "em": 16.0, "ex": 8.0}
_NUMBER = r"\d*\.?\d+(?:[eE][+-]?\d{1,3})?"
_LENGTH = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Z]*)\s*")
_BOX = re.compile(rf"\s*-?{_NUMBER}[\s,]+-?{_NUMBER}[\s,]+({_NUMBER})[\s,]+({_NUMBER})\s*")
_REFERRING = ("image", "feImage", "use", "tref")  # elements that draw what they refer to

# What the other process runs, with bounded memory (bytes) and not in the notebook's folder.
# On white, as on paper: where a service drops transparency, black lines would stand on black.
_PROGRAM = """
import sys
sys.path[:] = [each for each in sys.path if each] + [sys.argv[1]]
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
except (ImportError, ValueError, OSError):
    pass
import resvg_py
source = sys.stdin.buffer.read().decode()
width, height = int(sys.argv[2]), int(sys.argv[3])
drawn = resvg_py.svg_to_bytes(
    svg_string=source, width=width, height=height, dpi=96, background="white"
)
sys.stdout.buffer.write(drawn)
"""


def draw(source: str | bytes, name: str, longest_side: int = LONGEST_SIDE) -> Picture:
    """The drawing as a picture of its own size, or of `longest_side` pixels if it is larger.

    Raises `BadAttachment`, also where it refers to other files: they are not read.
    """
    text = source if isinstance(source, str) else _text(source, name)
    # Whatever encoding it speaks of was that of the bytes.
    data = (
        re.sub(r"\A\s*<\?xml\b.*?\?>", "", text, flags=re.DOTALL).strip().encode(errors="replace")
    )
    size = _measured(data, name)
    width, height = size or (_UNSIZED, _UNSIZED)
    factor = min(1.0, longest_side / max(width, height))
    box = [max(1, round(side * factor)) for side in (width, height)]
    scaled = size is not None and factor < 1
    note = f"scaled from {round(width):,} × {round(height):,} px" if scaled else ""
    return raster.from_file(_drawn(data, name, box), name, longest_side, note)


def _text(data: bytes, name: str) -> str:
    declared = re.match(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.-]+)[\"']", data[:200])
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if wide else declared[1].decode() if declared else "utf-8"
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except (LookupError, UnicodeDecodeError):
        raise BadAttachment(f"{name} is an SVG drawing that is not in {encoding}.") from None


def _drawn(data: bytes, name: str, box: list[int]) -> bytes:
    """The drawing as PNG, as large as it can be inside `box`."""
    import subprocess
    import tempfile

    found = importlib.util.find_spec("resvg_py")
    if found is None or not found.origin:
        raise BadAttachment(
            f"{name} is an SVG drawing, which needs resvg.",
            "Run: pip install 'cborg_magics[attach]'",
        )
    folder = str(Path(found.origin).parent.parent)
    command = [sys.executable, "-c", _PROGRAM, folder, *map(str, box)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program; the drawing is its input only
            command,
            input=data,
            capture_output=True,
            timeout=SECONDS,
            cwd=tempfile.gettempdir(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadAttachment(f"{name} takes longer than {SECONDS:g} s to draw.") from None
    except OSError as error:
        raise BadAttachment(f"{name} cannot be drawn: {error.strerror}.") from None
    if done.returncode or not done.stdout:
        raise BadAttachment(
            f"{name} is an SVG drawing that cannot be drawn.",
            _reason(done.stderr) or "Save it as PNG, and attach that.",
        )
    return done.stdout


def _reason(said: bytes) -> str:
    """resvg's own words, where it could still say them."""
    lines = said.decode(errors="replace").strip().splitlines()
    words = lines[-1].removeprefix("ValueError: ") if lines else ""
    return f"resvg says: {words}." if lines and words != lines[-1] else ""


def _measured(data: bytes, name: str) -> tuple[float, float] | None:
    """Width and height in pixels; None if it names none. What cannot be drawn is refused here."""
    from xml.parsers import expat

    roots: list[dict[str, str]] = []
    outside: list[str] = []

    def element(tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rpartition(":")[2]
        if not roots:
            if kind != "svg":
                raise BadAttachment(f"{name} is no SVG drawing.")
            roots.append(attributes)
        for key, value in attributes.items() if kind in _REFERRING else ():
            if key.rpartition(":")[2] == "href" and not _is_inside(value):
                outside.append(value)

    parser = expat.ParserCreate()
    parser.StartElementHandler = element
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadAttachment(
            f"{name} is an SVG drawing that is damaged or cut off.",
            f"In line {error.lineno}: {expat.ErrorString(error.code)}.",
        ) from None
    if outside:
        raise BadAttachment(
            f"{name} refers to another file ({outside[0][:60]}), which is not read.",
            "Save the drawing with its pictures embedded.",
        )
    return _size(roots[0])


def _is_inside(reference: str) -> bool:
    """`#part` of the drawing, or data that it holds."""
    return not reference.strip() or reference.strip().startswith(("#", "data:"))


def _size(root: dict[str, str]) -> tuple[float, float] | None:
    """Of the root's attributes. Where one is missing, the shape of the view box tells."""
    width, height = _length(root.get("width", "")), _length(root.get("height", ""))
    box = _BOX.fullmatch(root.get("viewBox", ""))
    across, down = (float(box[1]), float(box[2])) if box else (0.0, 0.0)
    if width and height:
        return width, height
    if not across or not down:
        return None
    if width or height:
        return width or height * across / down, height or width * down / across
    return across, down


def _length(text: str) -> float:
    """In pixels; 0 for a part of a page, and for what is no length."""
    match = _LENGTH.fullmatch(text)
    return float(match[1]) * _UNITS.get(match[2].lower(), 0.0) if match else 0.0
