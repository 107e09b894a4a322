"""How are embeddings kept on disk? A folder of four files, that other programs can read too.

    vectors.npy    float32 (n, d), as numpy writes it; mapped into memory, not read
    texts.jsonl    a JSON object on each line: {"label": ..., "text": ...}
    offsets.npy    int64 (n + 1): where each line begins, in bytes, so that one can be read alone
    meta.json      format, model, service, count, size, label_name, cost, made, version

Labels that JSON does not have (dates, tuples) are kept as their text.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload

import numpy as np

import cborg_magics
from cborg_magics.display.wording import count
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import BadValue
from cborg_magics.exchange import Cost, Source

if TYPE_CHECKING:
    from cborg_magics.embeddings.embeddings import Embeddings

FORMAT = 1  # raised when an older release could not read what is written
VECTORS, TEXTS, OFFSETS, META = FILES = ("vectors.npy", "texts.jsonl", "offsets.npy", "meta.json")


class Lines(Sequence[Any]):
    """One `field` of the lines of a texts.jsonl, each read when it is asked for. In a pickle it
    is a tuple of them all."""

    def __init__(self, data: bytes | mmap.mmap, offsets: Any, field: str, rows: range) -> None:
        self._data, self._offsets, self._field, self._rows = data, offsets, field, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> Lines: ...
    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            return Lines(self._data, self._offsets, self._field, self._rows[key])
        row = self._rows[key]
        return json.loads(self._data[self._offsets[row] : self._offsets[row + 1]])[self._field]

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))  # Sequence's own asks for one more

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self),)

    def __repr__(self) -> str:
        return f"<{count(len(self), self._field)} on disk>"


# -- writing -------------------------------------------------------------------------------


def save(embeddings: Embeddings, path: str | os.PathLike[str]) -> None:
    """Write a folder, whole or not at all. One that `save` wrote is replaced, also while it is
    mapped; anything else there is left alone, with a `FileExistsError`."""
    target = Path(path).expanduser().resolve()
    _must_be_ours(target)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent} to save {target.name} in")
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex}.new")
    old = fresh.with_suffix(".old")
    try:
        fresh.mkdir()
        _write(embeddings, fresh)
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _must_be_ours(target: Path) -> None:
    if not target.exists():
        return
    what = f"{target} is not a folder of embeddings"
    if not target.is_dir():
        raise FileExistsError(f"{what}, so it was not replaced")
    names = {entry.name for entry in target.iterdir()}
    if more := sorted(names - set(FILES)):
        raise FileExistsError(f"{what} alone (it holds {more[0]}), so it was not replaced")
    if names and META not in names:
        raise FileExistsError(f"{what}, so it was not replaced")


def _write(embeddings: Embeddings, folder: Path) -> None:
    with (folder / VECTORS).open("wb") as file:
        np.save(file, embeddings.vectors)
        _to_disk(file)
    offsets = np.zeros(len(embeddings) + 1, np.int64)
    with (folder / TEXTS).open("wb") as file:
        rows = zip(embeddings.labels, embeddings.texts, strict=True)
        for number, (label, text) in enumerate(rows, start=1):
            line = {"label": _as_json(label), "text": str(text)}
            offsets[number] = offsets[number - 1] + file.write(_encoded(line))
        _to_disk(file)
    with (folder / OFFSETS).open("wb") as file:
        np.save(file, offsets)
        _to_disk(file)
    with (folder / META).open("wb") as file:
        meta = json.dumps(_meta(embeddings), indent=1, ensure_ascii=False)
        file.write(meta.encode(errors="replace"))
        _to_disk(file)


def _meta(embeddings: Embeddings) -> dict[str, Any]:
    cost, name = embeddings.cost, embeddings.label_name
    return {
        "format": FORMAT,
        "model": embeddings.model,
        "service": embeddings.service,
        "count": len(embeddings),
        "size": embeddings.vectors.shape[1],
        "labels": "own" if embeddings.has_labels else "rows",
        "label_name": None if name is None else str(name),
        "cost": {
            "dollars": None if cost.dollars is None else f"{cost.dollars:f}",
            "source": cost.source.value,
        },
        "made": embeddings.made.isoformat(),
        "version": cborg_magics.__version__,
    }


def _to_disk(file: IO[bytes]) -> None:
    """What is renamed into place must be there after a power cut too."""
    file.flush()
    os.fsync(file.fileno())


def _encoded(line: dict[str, Any]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half of a character; JSON can spell it
        return json.dumps(line).encode() + b"\n"


def _as_json(label: Any) -> str | int | float | bool | None:
    if isinstance(label, np.generic) and label.dtype.kind not in "mM":
        label = label.item()
    return label if isinstance(label, str | int | float | None) else str(label)


# -- reading -------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Embeddings:
    """The embeddings in a folder, mapped. Raises `OSError`, or `ValueError` where its files do not
    agree or a newer release wrote them."""
    from cborg_magics.embeddings.embeddings import Embeddings

    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}, so it holds no embeddings")
    meta = _read_meta(folder)
    rows = range(meta["count"])
    vectors, offsets = _mapped(folder / VECTORS), _mapped(folder / OFFSETS)
    size = (folder / TEXTS).stat().st_size
    _must_agree(folder, VECTORS, vectors, (len(rows), meta["size"]), np.float32)
    _must_agree(folder, OFFSETS, offsets, (len(rows) + 1,), np.int64)
    if offsets[0] != 0 or offsets[-1] != size or (offsets[1:] <= offsets[:-1]).any():
        raise BadValue(f"{folder}: {TEXTS} and {OFFSETS} do not agree")
    data = _bytes(folder / TEXTS)
    return Embeddings(
        Lines(data, offsets, "text", rows),
        vectors,
        Origin(meta["service"], meta["model"]),
        labels=Lines(data, offsets, "label", rows) if meta["labels"] == "own" else None,
        label_name=meta["label_name"],
        cost=meta["cost"],
        made=meta["made"],
    )


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["format"] > FORMAT:
            raise _Newer
        cost = meta["cost"]
        dollars = None if cost["dollars"] is None else Decimal(cost["dollars"])
        meta["cost"] = Cost(dollars, Source(cost["source"]))
        meta["made"] = datetime.fromisoformat(meta["made"])
        meta["count"], meta["size"] = int(meta["count"]), int(meta["size"])
        _ = meta["service"], meta["model"], meta["labels"], meta["label_name"]
    except _Newer:
        version = meta.get("version", "unknown")
        raise BadValue(
            f"{folder} was written by a newer cborg_magics ({version}); update yours to read it"
        ) from None
    except (ValueError, LookupError, TypeError, ArithmeticError):
        raise BadValue(f"{folder}: {META} cannot be read") from None
    return meta


class _Newer(Exception):
    """The format is of a later release."""


def _mapped(path: Path) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an array of no bytes cannot be mapped; a broken one cannot be loaded
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError):
            raise BadValue(f"{path.parent}: {path.name} cannot be read") from None
    except EOFError:
        raise BadValue(f"{path.parent}: {path.name} cannot be read") from None
    return array


def _must_agree(folder: Path, name: str, array: Any, shape: tuple[int, ...], kind: type) -> None:
    if array.shape != shape or array.dtype != kind:
        said, found = (" × ".join(f"{side:,}" for side in one) for one in (shape, array.shape))
        raise BadValue(f"{folder}: {name} holds {found} {array.dtype}, not {said} {np.dtype(kind)}")


def _bytes(path: Path) -> bytes | mmap.mmap:
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
