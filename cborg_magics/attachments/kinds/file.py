"""How is a file sent? By what is in it: a picture, the pages of a PDF, text."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cborg_magics.attachments import contents
from cborg_magics.attachments.pdf import Pages
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment

MOST_BYTES = 100 * 1024 * 1024

# Files that are there to keep a secret. Their names say so; they are not even opened.
_SECRET = re.compile(
    r"\.env(\.(?!example|sample|template).+)?|[._]netrc|\.pgpass|\.git-credentials|credentials"
    r"|id_(rsa|dsa|ecdsa|ed25519)(_sk)?|.+\.(key|p12|pfx|keystore|jks|kdbx)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PagesOfFile:
    """Some pages of a document: what `paper.pdf#2-4` names."""

    path: Path
    pages: Pages


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    pages = value.pages if isinstance(value, PagesOfFile) else None
    named = value.path if isinstance(value, PagesOfFile) else value
    if not isinstance(named, os.PathLike):
        return None
    words = os.fspath(named)
    path = Path(words if isinstance(words, str) else os.fsdecode(words)).expanduser()
    # Of a variable, an error says which file it names.
    is_named = str(path) in name or (path.name and path.name in name)
    data = _bytes(path, name if is_named else f"{name} ({str(path)[-100:]})")
    return contents.read(data, name, place, path.name, pages)


def _bytes(path: Path, name: str) -> bytes:
    """All that is in the file. Raises `BadAttachment`."""
    try:
        status = path.stat()  # before it is opened: a pipe would wait for its other end
        if stat.S_ISDIR(status.st_mode):
            raise BadAttachment(f"{name} is a folder.", _in_folder(path))
        if not stat.S_ISREG(status.st_mode):
            raise BadAttachment(f"{name} is a device or a pipe, not a file.")
        for each in (path, path.resolve()):
            if _SECRET.fullmatch(each.name):
                raise BadAttachment(
                    f"{name} is a file for keys and passwords, which is not sent.",
                    "Attach another file.",
                )
        if status.st_size > MOST_BYTES:
            raise BadAttachment(
                f"{name} has {status.st_size / 1e6:,.0f} MB; up to {MOST_BYTES >> 20} MB are read.",
                "Attach a part of it.",
            )
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except FileNotFoundError:
        raise BadAttachment(f"there is no file {name}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no proper name"
        raise BadAttachment(f"{name} cannot be read: {reason}.") from None


def _in_folder(path: Path) -> str:
    """Some of its files, to choose from."""
    names = sorted(each.name for each in path.iterdir() if each.is_file())
    shown = [each for each in names if not each.startswith(".")][:3]
    return f"Attach a file in it, as {' or '.join(shown)}." if shown else "Attach a file."
