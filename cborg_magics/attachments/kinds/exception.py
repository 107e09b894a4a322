"""How is an error sent? As its traceback, keys and our own frames taken out."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import cborg_magics
from cborg_magics.attachments.place import Place
from cborg_magics.errors import without_keys
from cborg_magics.exchange import Attachment, Document

MOST_CHARACTERS = 20_000
_HEAD = 4_000  # of these; the rest is for the end, which says what happened
_OURS = str(Path(cborg_magics.__file__).parent)
_FILE = re.compile(r'File "([^"\n]+)", line (\d+)')


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    if not isinstance(value, BaseException):
        return None
    told = traceback.TracebackException.from_exception(value)
    _leave_out(told)
    text = without_keys(_with_cells("".join(told.format()), place)).strip()
    what = type(value).__name__
    return [Document(name, *_bounded(text, what))]


def _bounded(text: str, what: str) -> tuple[str, str, str]:
    """The text, its language and a note; the middle is what is missed least."""
    language = "python-traceback"
    cut = len(text) - MOST_CHARACTERS
    if cut <= 0:
        return text, language, what
    tail = text[_HEAD - MOST_CHARACTERS :]
    text = f"{text[:_HEAD]}\n... {cut:,} characters are left out here ...\n{tail}"
    return text, language, f"{what}, {cut:,} characters in the middle left out"


def _leave_out(told: traceback.TracebackException) -> None:
    """Take IPython's frames and our own out of this error and of those it came from."""
    waiting: list[traceback.TracebackException | None] = [told]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        *way, last = each.stack or [None]
        kept = [frame for frame in way if frame and not _is_machinery(frame.filename)]
        # Where IPython itself failed, that is where it happened. A SyntaxError has a place of
        # its own, in the text that IPython asked Python to read.
        elsewhere = getattr(each, "filename", None) is not None
        if last and not last.filename.startswith(_OURS):
            kept += [] if elsewhere and _is_machinery(last.filename) else [last]
        each.stack[:] = kept
        waiting += [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OURS, "<decorator-gen")) or "/IPython/core/" in filename.replace(
        "\\", "/"
    )


def _with_cells(text: str, place: Place) -> str:
    """Cells by their number: the file name that IPython gives them says nothing."""

    def named(match: re.Match[str]) -> str:
        number = place.cells.get(match[1])
        return f"In[{number}], line {match[2]}" if number is not None else match[0]

    return _FILE.sub(named, text)
