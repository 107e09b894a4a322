"""Is it a file? A path, from the notebook's folder; `paper.pdf#2-4` names some of its pages."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from cborg_magics.attachments import contents, pdf
from cborg_magics.attachments.kinds.file import PagesOfFile
from cborg_magics.attachments.place import Found, Place
from cborg_magics.errors import BadAttachment

_KNOWN = contents.PICTURES | contents.LANGUAGES.keys() | {"pdf", "ipynb", "svgz", "docx", "xlsx"}


def find(name: str, place: Place) -> list[Found] | None:
    name = name.strip()
    if not name or len(name) > 1000 or "\n" in name or "\0" in name:
        return None
    path = _expanded(name)
    if _exists(path):
        return [Found(name, path)]
    whole, _, words = name.rpartition("#")
    file = _expanded(whole) if whole else path
    if whole and _exists(file):
        pages = pdf.pages_of(words)
        if pages:
            return [Found(whole, PagesOfFile(file, pages))]
        raise BadAttachment(
            f"{name} names no pages of {file.name}.", f"Write {file.name}#3 or {file.name}#2-4."
        )
    missing = _expanded(re.sub(r"#[\d-]+$", "", name))
    near = _nearest(missing)
    looks_like_one = re.search(r"[/\\]|^~", name) or contents.suffix_of(missing.name) in _KNOWN
    if not looks_like_one and not near:
        return None
    raise BadAttachment(f"there is no file {name}.", _hint(missing, near))


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # there is no such user
        return Path(name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def _nearest(path: Path) -> str | None:
    """The file beside it whose name is nearest."""
    try:
        names = [each.name for each in path.parent.iterdir() if not each.name.startswith(".")]
    except OSError:
        return None
    found = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return found[0] if found else None


def _hint(path: Path, near: str | None) -> str:
    if near:
        return f"Did you mean {path.with_name(near)}?"
    folder = path.parent
    if not _exists(folder):
        return f"There is no folder {folder} either."
    return f"It was looked for in {folder.absolute()}."
