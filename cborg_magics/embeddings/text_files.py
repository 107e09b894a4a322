"""Which texts are in a folder? Its files that are text, each whole; the others are counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cborg_magics.attachments import contents
from cborg_magics.attachments.kinds import file
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, BadTexts
from cborg_magics.exchange import Document, Picture

MOST_FILES = 100_000  # in one folder; more is a slip, such as "/"
_LONGEST_NAME = 500  # characters; a longer string is a text
_HEAD = 65_536  # bytes, within which a binary file shows itself
_NO_TEXT = contents.PICTURES - {"svg"} | {"pdf"}


def folder(value: str | os.PathLike[str]) -> Path | None:
    """The folder that a path, or a string, names; None if there is none."""
    path = _path(value)
    return path if path and path.is_dir() else None


def is_file(value: str) -> bool:
    """Is there a file of that name?"""
    path = _path(value)
    return path is not None and path.is_file()


def read_folder(root: Path, name: str) -> tuple[list[str], tuple[str, ...], str]:
    """The texts of all files below `root`, in the order of their names; their paths from there;
    and a line that says how many files were read and left out. Raises `BadTexts`."""
    texts: list[str] = []
    labels: list[str] = []
    left_out: Counter[str] = Counter()
    for path in _files(root, left_out):
        label = path.relative_to(root).as_posix()
        text = _text(path, label, left_out)
        if text is not None:
            texts.append(text)
            labels.append(label)
    rest = ", ".join(f"{count:,} {why}" for why, count in sorted(left_out.items()) if count)
    if not texts:
        raise BadTexts(
            f"the folder {root} has no text files{f' ({rest})' if rest else ''}.",
            f"Give pictures as a list: sorted(Path({str(root)!r}).glob('*.png')).",
        )
    files = "1 file" if len(texts) == 1 else f"{len(texts):,} files"
    return texts, tuple(labels), f"{files} of {root}{f'; left out: {rest}' if rest else ''}"


def read_file(path: Path, name: str) -> list[str | Picture]:
    """The file's text, or its pictures. Raises `BadAttachment` where it can be neither."""
    path = path.expanduser()
    if path.is_file() and path.stat().st_size < _HEAD and not path.read_bytes().strip():
        return [""]
    made = file.make(path, name, Place()) or []
    return [_whole(path, each) if isinstance(each, Document) else each for each in made]


def _files(root: Path, left_out: Counter[str]) -> Iterator[Path]:
    """All files below `root` that may be read, in the order of their paths."""
    found: list[Path] = []
    inside = root.resolve()
    for where, folders, files in os.walk(root):
        here = Path(where)
        linked = [each for each in folders if (here / each).is_symlink()]
        hidden = [each for each in (*folders, *files) if each.startswith(".")]
        folders[:] = [each for each in folders if each not in (*linked, *hidden)]
        left_out["hidden"] += len(hidden)
        left_out["linked folders"] += len({*linked} - {*hidden})
        for path in (here / each for each in files if not each.startswith(".")):
            if not path.is_file():
                left_out["no files"] += 1
            elif not path.resolve().is_relative_to(inside):
                left_out["linked from elsewhere"] += 1
            else:
                found.append(path)
        if len(found) > MOST_FILES:
            raise BadTexts(f"{root} has more than {MOST_FILES:,} files.", "Name a folder in it.")
    yield from sorted(found)


def _text(path: Path, name: str, left_out: Counter[str]) -> str | None:
    """The file's text; None, and counted, where it is something else or not to be sent."""
    try:
        if contents.suffix_of(path.name) not in _NO_TEXT:
            with path.open("rb") as opened:
                head = opened.read(_HEAD)
            if not head.strip():
                return ""
            if b"\0" not in head and not contents.is_picture(head) and b"%PDF-" not in head[:1024]:
                (made,) = file.make(path, name, Place()) or (None,)
                if isinstance(made, Document):
                    return _whole(path, made)
    except OSError:
        left_out["not readable"] += 1
        return None
    except BadAttachment as problem:
        secret = "key" in problem.what.removeprefix(name)
        left_out["with keys" if secret else "not text"] += 1
        return None
    left_out["not text"] += 1
    return None


def _whole(path: Path, document: Document) -> str:
    """All of a text; of a long one the document holds only the beginning."""
    if not document.note or contents.suffix_of(path.name) == "ipynb":
        return document.text
    return path.read_text(encoding="utf-8-sig")


def _path(value: str | os.PathLike[str]) -> Path | None:
    if isinstance(value, str) and (not value.strip() or len(value) > _LONGEST_NAME):
        return None
    try:
        path = Path(value).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # no name that a file could have
        return None
