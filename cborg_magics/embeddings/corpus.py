"""Which texts does a value of the notebook hold? One, a column, a folder of files, or pictures."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cborg_magics.attachments.kinds import array, exported, figure, image
from cborg_magics.attachments.place import Place
from cborg_magics.embeddings import faults, text_files
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.faults import Kind
from cborg_magics.errors import BadAttachment, BadTexts
from cborg_magics.exchange import Picture

_KINDS = (figure.make, image.make, array.make, exported.make)  # what is a picture
_PLACE = Place(fetch=True)  # of chat's own size, and none that a service would have to fetch
_TEXTUAL = ("U", "O", "T", "S")  # numpy's kinds of arrays that may hold texts
_PLAIN = (bool, int, float, complex, bytes, bytearray, list, tuple, dict)
_COLUMNS = 5  # that an error names


@dataclass(frozen=True)
class Corpus:
    """Texts to embed, in order. `labels` tell one from the other, one for each (a Series' index,
    a dict's keys, files' names); None: they are numbered from 0.

    `pictures`, where there are any, are embedded in the place of the texts, which are their
    names. `notes` say in one line each what was assumed or left out.
    """

    texts: tuple[str, ...]
    labels: tuple[Any, ...] | None = None
    label_name: str | None = None
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


def read(value: object, name: str, *, skip_empty: bool = False) -> Corpus:
    """What is to be embedded of `value`, called `name`.

    Strings, collections and columns of strings (pandas, polars, Arrow, numpy), a dict by name,
    a file or a folder by its path, any iterable, pictures. `skip_empty` leaves out rows that are
    empty or missing. Raises `BadTexts`, which names the rows that cannot be embedded, counted
    from 0.
    """
    try:
        found = _found(value, name)
        if faults.none_in(found.rows):
            return Corpus(tuple(found.rows), found.labels, found.label_name, notes=found.notes)
        return _sorted_out(found, value, name, skip_empty)
    except BadAttachment as problem:
        raise BadTexts(problem.what, problem.do) from None


# -- what it holds: any objects, one a row -------------------------------------------------


@dataclass(frozen=True)
class _Found:
    rows: Sequence[Any]
    labels: tuple[Any, ...] | None = None
    label_name: str | None = None
    notes: tuple[str, ...] = ()


def _found(value: Any, name: str) -> _Found:
    _refuse(value, name)
    if isinstance(value, str | os.PathLike):
        return _of_path(value, name)
    if (columns := _columns(value)) is not None:
        return _found(_only(value, columns, name), name)
    if isinstance(value, Mapping):
        return _Found(list(value.values()), tuple(value))
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    is_empty = getattr(value, "size", None) == 0
    if kind not in _TEXTUAL and not is_empty and (pictures := _pictures(value, name)):
        return _Found(pictures)
    if getattr(value, "ndim", 1) != 1:
        return _of_shape(value, name)
    if hasattr(type(value), "to_frame") and hasattr(value, "index"):
        return _of_series(value)
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(type(value), method):
            return _Found(getattr(value, method)())
    if hasattr(type(value), "to_numpy"):  # xarray's
        return _found(value.to_numpy(), name)
    return _Found(_walked(value, name))


def _refuse(value: object, name: str) -> None:
    """Raises `BadTexts` for what has no texts, or has them elsewhere."""
    kind, do = type(value), ""
    if isinstance(value, Embeddings):
        do = f"It has its vectors already; its texts are {name}.texts."
    elif isinstance(value, bytes | bytearray | memoryview):
        do = "Make it text with .decode()."
    elif kind.__module__.startswith("dask"):
        do = f"It is computed later; fetch it with {name}.compute()."
    elif kind.__name__ == "LazyFrame":
        do = f"It is computed later; fetch it with {name}.collect()."
    if do:
        raise BadTexts(f"{name} is {faults.a(value)}, not text.", do)


def _of_path(value: str | os.PathLike[str], name: str) -> _Found:
    folder = text_files.folder(value)
    if folder is not None:
        texts, labels, note = text_files.read_folder(folder, name)
        return _Found(texts, labels, "file", (note,))
    is_file = isinstance(value, str) and text_files.is_file(value)
    note = f"{value!r} was taken as a text; the file of that name is Path({value!r})"
    return _Found([value], notes=(note,) if is_file else ())


def _columns(value: Any) -> list[Any] | None:
    """The columns of a table (pandas, polars, Arrow); None if it is none."""
    for names in ("column_names", "columns"):
        if hasattr(type(value), names):
            return list(getattr(value, names))
    return None


def _only(table: Any, columns: list[Any], name: str) -> Any:
    """The table's one column."""
    if len(columns) != 1:
        named = [*map(str, columns[:_COLUMNS]), *(["..."] if len(columns) > _COLUMNS else [])]
        raise BadTexts(
            f"{name} has {len(columns)} columns{': ' if columns else ''}{', '.join(named)}.",
            f"Take one of them, as {name}[{columns[0]!r}]." if columns else "",
        )
    if hasattr(table, "iloc"):
        return table.iloc[:, 0]
    return table.to_series(0) if hasattr(table, "to_series") else table.column(0)


def _of_series(series: Any) -> _Found:
    """A Series of pandas: its index says which row is which, unless it only counts them."""
    index, rows = series.index, series.tolist()
    counts = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
    name = None if index.name is None else str(index.name)
    return _Found(rows, None if counts and name is None else tuple(index.tolist()), name)


def _of_shape(value: Any, name: str) -> _Found:
    if value.ndim == 0:
        return _found(value.item(), name)
    shape = " × ".join(f"{side:,}" for side in value.shape)
    raise BadTexts(
        f"{name} is an array of {shape}; texts stand in one row.",
        f"Take a part of it, as {name}[:, 0], or all with {name}.ravel().",
    )


def _walked(value: object, name: str) -> list[Any]:
    """What an iterable gives, however long that takes."""
    if not isinstance(value, Iterable):
        raise BadTexts(
            f"{name} is {faults.a(value)}, not text.",
            "Give a string, a list or a column of strings, or a folder of text files.",
        )
    try:
        if isinstance(value, io.TextIOBase):
            return [line.rstrip("\n") for line in value]
        rows = list(value)
        # A set comes in another order in every kernel.
        is_set = isinstance(value, set | frozenset) and set(map(type, rows)) == {str}
        return sorted(rows) if is_set else rows
    except Exception as problem:  # noqa: BLE001 - a generator runs any code of its author's
        why = " ".join(f"{type(problem).__name__}: {problem}".split())[:160]
        raise BadTexts(f"{name} cannot be read to its end: {why}") from None


def _sorted_out(found: _Found, value: object, name: str, skip_empty: bool) -> Corpus:
    """The same row by row: files and pictures read in, empty rows left out, faults collected."""
    given = found.labels or range(len(found.rows))
    kept: list[str | Picture] = []
    labels: list[Any] = []
    bad: list[faults.Fault] = []
    for row, (label, item) in enumerate(zip(given, found.rows, strict=True)):
        if type(item) is str and faults.is_text(item):
            kept.append(item)
            labels.append(label)
            continue
        made = _made(item, found, row, name)
        if fault := faults.of(row, label if found.labels else None, made or [item]):
            bad.append(fault)
            continue
        kept += made
        # A file of a list goes by its path; one of a dict has a label of its own.
        is_path = isinstance(item, os.PathLike) and not found.labels
        labels += [str(item) if is_path else label] * len(made)
    empty = [fault for fault in bad if fault.kind is Kind.EMPTY]
    if len(bad) > len(empty) or (empty and not skip_empty):
        raise faults.error(bad, name, is_array=hasattr(type(value), "astype"))
    if not kept:
        gone = isinstance(value, Iterator)
        raise BadTexts(
            f"{name} has no row with text." if empty else f"{name} is empty.",
            "An iterator is used up by its first reading; make it anew." if gone else "",
        )
    pictures = tuple(each for each in kept if isinstance(each, Picture))
    if pictures and len(pictures) < len(kept):
        raise BadTexts(f"{name} mixes pictures and texts.", "Embed each by itself.")
    left_out = f"{len(empty):,} empty row{'s were' if len(empty) > 1 else ' was'} left out"
    return Corpus(
        tuple(each.name if isinstance(each, Picture) else each for each in kept),
        None if labels == list(range(len(kept))) else tuple(labels),
        found.label_name,
        pictures,
        (*found.notes, *([left_out] if empty else [])),
    )


def _made(item: Any, found: _Found, row: int, name: str) -> Sequence[str | Picture]:
    """What is embedded of a row; nothing where it is neither a text nor a picture."""
    if isinstance(item, str):
        return [str.__str__(item)]  # numpy has strings of its own
    if isinstance(item, Picture):
        return [item]
    if item is None or isinstance(item, _PLAIN):
        return ()
    if isinstance(item, os.PathLike):
        return text_files.read_file(Path(item), str(item))
    if found.labels:
        return _pictures(item, str(found.labels[row]))
    return _pictures(item, f"{name}[{row}]")


def _pictures(value: object, name: str) -> list[Picture]:
    """The pictures that a value is; none if it is something else. Raises `BadAttachment`."""
    for make in _KINDS:
        made = make(value, name, _PLACE)
        if made is not None:
            return [each for each in made if isinstance(each, Picture)]
    return []
