"""Is it in the notebook's file? A picture pasted into a Markdown cell, a saved output."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cborg_magics.attachments.place import Found, Place
from cborg_magics.attachments.shown import TYPES, Shown
from cborg_magics.attachments.sources import cell
from cborg_magics.errors import BadAttachment

MOST_BYTES = 100 * 1024 * 1024
_PASTED = "attachment:"
_PICTURE = re.compile(r"[^/\\:]+\.(png|jpe?g|gif|webp|svg)", re.IGNORECASE)


def find(name: str, place: Place) -> list[Found] | None:
    name = name.strip()
    number = cell.number_of(name)
    if number is not None:
        return _cell(number, place)
    if name == "last":
        return _last(place)
    if name.startswith(_PASTED):
        return _pasted(name.removeprefix(_PASTED), place)
    if _PICTURE.fullmatch(name) and place.notebook:
        # It may just as well be a file: only what is there is said.
        try:
            return _named(name, _read(place.notebook)) or None
        except BadAttachment:
            return None
    return None


@dataclass(frozen=True)
class _Ran:
    """A code cell of the file that has run: `number` is n of In[n] then."""

    number: int
    source: str
    shown: list[Shown]


def _cell(number: int, place: Place) -> list[Found]:
    what = f"cell {number} showed no picture since the extension was loaded"
    if place.notebook is None:
        raise BadAttachment(
            f"{what}.", "Run it again. (Its saved outputs are not known: " + _unknown_file() + ")"
        )
    now = cell.source_of(number, place)
    for ran in _ran(_read(place.notebook)):
        # Where this kernel has a cell of that number, another one's output would be a mistake.
        if ran.number == number and ran.shown and (now is None or _same(now, ran.source)):
            return cell.pictures(ran.shown, " (as saved)")
    raise BadAttachment(f"{what}, and the notebook's file has none of it.", "Run it again.")


def _last(place: Place) -> list[Found]:
    what = "no picture was shown since the extension was loaded"
    if place.notebook is None:
        raise BadAttachment(
            f"{what}.", "Show one. (Saved outputs are not known: " + _unknown_file() + ")"
        )
    ran = [each for each in _ran(_read(place.notebook)) if each.shown]
    if not ran:
        raise BadAttachment(f"{what}, and the notebook's file has none.", "Show one first.")
    newest = max(ran, key=lambda each: each.number)
    return cell.pictures(newest.shown, " (as saved)")[-1:]


def _pasted(name: str, place: Place) -> list[Found]:
    if place.notebook is None:
        raise BadAttachment(
            f"a pasted picture is found in the notebook's file only. {_unknown_file(capital=True)}",
            "Save the notebook, or keep the picture in a file and attach that.",
        )
    contents = _read(place.notebook)
    if found := _named(name, contents):
        return found
    names = sorted({each for each, _ in _attachments(contents)})
    near = difflib.get_close_matches(name, names, n=1) or names[:1]
    raise BadAttachment(
        f"no cell of {place.notebook.name}, as it was last saved, has a pasted picture {name!r}.",
        f"Save the notebook. It has {near[0]!r}." if near else "Save the notebook.",
    )


def _unknown_file(capital: bool = False) -> str:
    return f"{'T' if capital else 't'}he notebook's file is not known here."


def _named(name: str, contents: Mapping[str, Any]) -> list[Found]:
    """The pasted pictures of that name. Several cells may have one each; equal ones count once."""
    different = list(dict.fromkeys(data for each, data in _attachments(contents) if each == name))
    return [Found(name if n == 1 else f"{name} ({n})", data) for n, data in enumerate(different, 1)]


def _attachments(contents: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every picture pasted into a cell, from the top."""
    for each in contents["cells"]:
        attachments = each.get("attachments")
        for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
            shown = _shown(0, bundle)
            if shown is None:
                continue
            try:
                svg = shown.type == "image/svg+xml" and "<" in shown.data
                yield name, shown.data.encode() if svg else base64.b64decode(shown.data)
            except (ValueError, binascii.Error):
                raise BadAttachment(f"the pasted picture {name!r} cannot be read.") from None


def _ran(contents: Mapping[str, Any]) -> list[_Ran]:
    found = []
    for each in contents["cells"]:
        number = each.get("execution_count")
        if each.get("cell_type") != "code" or not isinstance(number, int):
            continue
        outputs = [out for out in each.get("outputs") or () if isinstance(out, dict)]
        shown = [_shown(number, out.get("data")) for out in outputs]
        found.append(_Ran(number, _text(each.get("source")), [one for one in shown if one]))
    return found


def _shown(number: int, bundle: object) -> Shown | None:
    if not isinstance(bundle, dict):
        return None
    for kind in TYPES:
        if isinstance(bundle.get(kind), str | list):
            return Shown(number, kind, _text(bundle[kind]))
    return None


def _read(path: Path) -> dict[str, Any]:
    """The notebook as it was last saved."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise BadAttachment(
                f"{path.name} has {size // 1_000_000} MB; up to {MOST_BYTES >> 20} MB is read.",
                "Run the cell again, and attach what it shows.",
            )
        contents = json.loads(path.read_bytes())
        if all(isinstance(each, dict) for each in contents["cells"]):
            return dict(contents)
    except OSError as error:
        raise BadAttachment(f"{path.name} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise BadAttachment(f"{path.name} is not a notebook that can be read.", "Save it again.")


def _text(value: object) -> str:
    """Text that a notebook keeps whole or as lines."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _same(one: str, other: str) -> bool:
    return one.strip() == other.strip()
