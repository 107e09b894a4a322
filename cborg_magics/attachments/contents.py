"""What is in these bytes? A picture, the pages of a PDF, a drawing, text. Their names do not tell.

Keys are refused, not blacked out: a file that holds one was attached by mistake.
"""

from __future__ import annotations

import codecs
import json
import re
from pathlib import PurePath
from typing import Any

from cborg_magics.attachments import pdf, raster, svg
from cborg_magics.attachments.pdf import Pages
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, has_key
from cborg_magics.exchange import Attachment, Document

MOST_CHARACTERS = 100_000

PICTURES = frozenset(
    ["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "svg", "avif", "ppm", "pgm"]
)
# What a fence calls the text of a file with this suffix.
LANGUAGES = {
    "bash": "bash",
    "bib": "bibtex",
    "c": "c",
    "cfg": "ini",
    "cpp": "cpp",
    "css": "css",
    "csv": "csv",
    "cu": "cuda",
    "f": "fortran",
    "f90": "fortran",
    "go": "go",
    "h": "c",
    "hpp": "cpp",
    "htm": "html",
    "html": "html",
    "ini": "ini",
    "java": "java",
    "jl": "julia",
    "js": "javascript",
    "json": "json",
    "jsonl": "json",
    "log": "text",
    "m": "matlab",
    "md": "markdown",
    "out": "text",
    "py": "python",
    "pyi": "python",
    "r": "r",
    "rs": "rust",
    "rst": "rst",
    "sh": "bash",
    "sql": "sql",
    "tex": "latex",
    "toml": "toml",
    "ts": "typescript",
    "tsv": "tsv",
    "txt": "text",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
}
_HEADS = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = re.compile(r"[\0-\x06\x0e-\x1a]")
_HEAD = 65_536  # bytes, within which the first tag stands


def read(
    data: bytes, name: str, place: Place, file: str = "", pages: Pages | None = None
) -> list[Attachment]:
    """What is sent of `data`, called `name`. Raises `BadAttachment`.

    `file` is the name of the file it came from, if it came from one; `pages` are
    the pages of it that were asked for.
    """
    suffix = suffix_of(file)
    if not data:
        raise BadAttachment(f"{name} is empty.")
    if b"%PDF-" in data[:1024]:
        return [*pdf.draw(data, name, place.longest_side, pages)]
    if pages:
        raise BadAttachment(f"{name} is no PDF, so it has no pages to choose from.")
    if is_picture(data):
        return [raster.from_file(data, name, place.longest_side)]
    if _first_tag(data) == "svg":
        return [svg.draw(data, name, place.longest_side)]
    if suffix in PICTURES:
        what = "a web page" if is_web_page(data) else "not what its name says"
        raise BadAttachment(f"{name} is {what}, no picture that can be read.")
    return [_document(data, name, suffix)]


def is_picture(data: bytes) -> bool:
    """Do the first bytes say that it is a picture?"""
    kind = data[8:12]
    boxed = data[4:8] == b"ftyp" and kind in (b"avif", b"avis")
    portable = data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace()
    return data.startswith(_HEADS) or (data[:4] == b"RIFF" and kind == b"WEBP") or boxed or portable


def is_web_page(data: bytes) -> bool:
    """Do the first bytes say that it is HTML?"""
    return _first_tag(data) in ("html", "head", "body")


def suffix_of(file: str) -> str:
    """`py` of `src/Main.PY`."""
    return PurePath(file).suffix.lower().lstrip(".")


def words(text: str, name: str, language: str = "text") -> Document:
    """Text as it is sent, `MOST_CHARACTERS` at most. Raises `BadAttachment` where it is none."""
    if not text.strip():
        raise BadAttachment(f"{name} is empty.")
    note = ""
    if len(text) > MOST_CHARACTERS:
        note = f"first {MOST_CHARACTERS:,} of {len(text):,} characters"
        text = f"{text[:MOST_CHARACTERS]}\n... cut here: {note}"
    return Document(name, text, language, note)


def refuse_keys(text: str, name: str) -> None:
    """Raises `BadAttachment` where a password or an API key stands in the text."""
    if has_key(text):
        raise BadAttachment(
            f"{name} holds a key, which is not sent.", "Take the key out, or attach another file."
        )


def _first_tag(data: bytes) -> str:
    """What the first element of XML or HTML is called; empty if it is neither."""
    text = data[:_HEAD].decode(_encoding(data, "latin-1"), errors="replace")
    at = 0
    while True:
        while text[at : at + 1] in ("\ufeff", " ", "\t", "\r", "\n"):
            at += 1
        if text[at : at + 2] == "<?":
            end = text.find("?>", at) + 2
        elif text[at : at + 4] == "<!--":
            end = text.find("-->", at) + 3
        elif text[at : at + 9].lower() == "<!doctype":
            if re.match(r"\s+html\b", text[at + 9 :], re.IGNORECASE):
                return "html"
            # It may hold definitions, which have a > of their own.
            inside = text.find("[", at, text.find(">", at))
            end = text.find(">", text.find("]", at) if inside > 0 else at) + 1
        else:
            match = re.match(r"<(?:\w+:)?(\w+)", text[at : at + 100])
            return match[1].lower() if match else ""
        if end <= at:
            return ""
        at = end


def _encoding(data: bytes, otherwise: str) -> str:
    return next((known for mark, known in _MARKS if data.startswith(mark)), otherwise)


def _document(data: bytes, name: str, suffix: str) -> Document:
    try:
        text = data.decode(_encoding(data, "utf-8")).replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = "\0"
    if _BINARY.search(text):
        raise BadAttachment(
            f"{name} is neither a picture that is known, nor a PDF, nor text in UTF-8.",
            "Convert it, or load it and attach the variable.",
        )
    refuse_keys(text, name)
    if suffix == "ipynb":
        text, language = _cells(text, name), "markdown"
    else:
        language = LANGUAGES.get(suffix, "text")
    return words(text, name, language)


def _cells(text: str, name: str) -> str:
    """The cells of a notebook, without what they showed."""
    try:
        notebook = json.loads(text)
        told = (notebook.get("metadata") or {}).get("kernelspec") or {}
        language = str(told.get("language", "python"))
        return "\n\n".join(_cell(each, language) for each in notebook["cells"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadAttachment(f"{name} is not a notebook that can be read.") from None


def _cell(cell: dict[str, Any], language: str) -> str:
    source = "".join(cell.get("source") or "")
    if cell.get("cell_type") != "code":
        return source
    longest = max((len(run) for run in re.findall(r"`{3,}", source)), default=2)
    fence = "`" * (longest + 1)
    return f"In[{cell.get('execution_count') or ' '}]:\n{fence}{language}\n{source}\n{fence}"
