"""What do texts become? Vectors of one model, with the texts, their labels and the cost."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from os import PathLike
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cborg_magics.display import tables
from cborg_magics.display.tables import Column
from cborg_magics.display.wording import DOT, cost, count
from cborg_magics.embeddings import folder
from cborg_magics.embeddings.hits import IN_HTML, IN_TEXT, Hit, Hits, beginning, labels, named
from cborg_magics.embeddings.origin import Origin
from cborg_magics.embeddings.search import Floats, Index
from cborg_magics.errors import BadValue
from cborg_magics.exchange import Cost, Source
from cborg_magics.pricing import FREE, UNKNOWN, add

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

    from cborg_magics.embeddings.scatter import Map

SHOWN = 5  # texts, in the summary


class Embeddings:
    """`n` texts and their vectors, all of one model at one service.

    `vectors` is float32 (n, d), read-only, perhaps a memory map; `numpy.asarray` gives the same.
    `texts` and `labels` are sequences; without labels of their own, texts have their row numbers.
    `cost` is what the call came to that made them, unknown for a part of what was paid for;
    `made` is when, in UTC. For pictures, `texts` are their names.

    Raises `ValueError` where the numbers of texts, vectors and labels differ, or a vector is
    not finite. (A memory map is not read for that; it is checked when it is searched.)
    """

    def __init__(
        self,
        texts: Sequence[str],
        vectors: ArrayLike,
        origin: Origin,
        *,
        labels: Sequence[Any] | None = None,
        label_name: str | None = None,
        cost: Cost = FREE,
        made: datetime | None = None,
    ) -> None:
        if isinstance(texts, str):
            raise BadValue("texts must be a sequence of texts, not one text")
        self.texts: Sequence[str] = _kept(texts)
        rows = _float_rows(vectors)
        if len(rows) != len(self.texts):
            raise BadValue(
                f"{count(len(self.texts), 'text')} and {count(len(rows), 'vector')} do not match"
            )
        self.labels: Sequence[Any] = range(len(rows)) if labels is None else _kept(labels)
        if len(self.labels) != len(rows):
            raise BadValue(
                f"{count(len(rows), 'text')} and {count(len(self.labels), 'label')} do not match"
            )
        self._index = Index(rows)
        if not isinstance(vectors, np.memmap):
            _ = self._index.lengths  # measured now: what is not finite is found here
        self.label_name, self.cost, self.origin = label_name, cost, origin
        self.made = made or datetime.now(timezone.utc)

    @property
    def vectors(self) -> Floats:
        """The vectors, float32 (n, d), in the order of the texts."""
        return self._index.vectors

    @property
    def has_labels(self) -> bool:
        """Are the labels something else than row numbers from 0?"""
        rows = range(len(self))
        return self.labels != rows and self.labels != tuple(rows)

    @property
    def model(self) -> str:
        """The model that made the vectors."""
        return self.origin.model

    @property
    def service(self) -> str:
        """Where the model was asked."""
        return self.origin.service

    # -- as a sequence ---------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[Floats]:
        return iter(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if dtype is not None and np.dtype(dtype) != self.vectors.dtype:
            if copy is False:
                raise ValueError(f"vectors are float32; as {np.dtype(dtype)} they must be copied")
            return self.vectors.astype(dtype)
        return self.vectors.copy() if copy else self.vectors

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Floats: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Embeddings: ...
    def __getitem__(self, key: Any) -> Floats | Embeddings:
        """A row number: its vector. A slice, a mask or row numbers: the Embeddings of these."""
        if isinstance(key, slice):
            return self._part(key, self.texts[key], self.labels[key])
        if hasattr(key, "__index__") and np.ndim(key) == 0:
            vector: Floats = self.vectors[self._row(key)]
            return vector
        chosen = np.asarray(key)
        chosen = chosen.astype(np.intp) if not chosen.size and chosen.dtype != bool else chosen
        if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
            raise TypeError("rows are chosen by a number, a slice, a mask or a list of numbers")
        rows = np.arange(len(self))[chosen].tolist()
        return self._part(rows, [self.texts[i] for i in rows], [self.labels[i] for i in rows])

    def __add__(self, other: Embeddings) -> Embeddings:
        """Both, one after the other. Raises `DifferentModel` where they cannot be compared."""
        if not isinstance(other, Embeddings):
            return NotImplemented
        self.origin.must_match(other.origin)
        full = [each for each in (self, other) if len(each)] or [self]
        if len({each.vectors.shape[1] for each in full}) > 1:
            sizes = " and ".join(f"{each.vectors.shape[1]:,}" for each in full)
            raise BadValue(f"vectors of {sizes} numbers cannot be appended to each other")
        return Embeddings(
            [*self.texts, *other.texts],
            np.concatenate([each.vectors for each in full]),
            self.origin,
            labels=[*self.labels, *other.labels] if any(e.has_labels for e in full) else None,
            label_name=self.label_name if self.label_name == other.label_name else None,
            cost=add(self.cost, other.cost),
            made=max(self.made, other.made),
        )

    def _part(self, key: Any, texts: Sequence[str], labels: Sequence[Any]) -> Embeddings:
        part = object.__new__(Embeddings)
        part.__dict__ |= self.__dict__
        part._index = self._index.part(key)
        part.texts, part.labels = _kept(texts), _kept(labels)
        if len(part) < len(self) and self.cost.source is not Source.FREE:
            part.cost = UNKNOWN  # nobody knows its share
        return part

    def _row(self, number: SupportsIndex) -> int:
        row = operator.index(number)
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no row {row:,} in {count(len(self), 'text')}")
        return row % len(self)

    # -- searching -------------------------------------------------------------------------

    @overload
    def search(self, query: str, k: int = 5) -> Hits: ...
    @overload
    def search(self, query: list[str] | tuple[str, ...] | Embeddings, k: int = 5) -> list[Hits]: ...
    @overload
    def search(self, query: ArrayLike, k: int = 5) -> Hits | list[Hits]: ...
    def search(self, query: Any, k: int = 5) -> Hits | list[Hits]:
        """The k texts whose vectors have the highest cosine with that of the query.

        A text is embedded as a query first, by the same model (that call costs); so are the
        texts of a list, which give one Hits for each. A vector (d,) gives Hits, an array (m, d)
        or Embeddings a list of m. Ties are in the order of the rows; k beyond n gives n.

        Raises `ValueError` for an empty query, another d, or k below 1; `DifferentModel`;
        and `CborgError` where the service does not answer.
        """
        k = _at_least_one(k)
        if isinstance(query, Embeddings):
            self.origin.must_match(query.origin)
            return self._found(query.vectors, query.texts, k)
        if isinstance(query, str):
            return self._asked([query], k)[0]
        if not hasattr(query, "__iter__"):
            raise BadValue("a query is a text, a list of texts, a vector, or n × d numbers")
        if not isinstance(query, np.ndarray):
            query = list(query)
        if len(query) and all(isinstance(each, str) for each in query):
            return self._asked([str(each) for each in query], k)
        vectors = _numbers(query)
        if vectors.ndim == 1 and vectors.size:
            return self._found(vectors[None], [""], k)[0]
        return self._found(vectors, [""] * len(vectors), k)

    def similar(self, row: Any, k: int = 5) -> Hits:
        """The k texts nearest to that of a row, which is left out itself. Where labels are not
        whole numbers, a label may stand for the row (the first that has it).

        Raises `IndexError` for a row, `ValueError` for a label that is not there.
        """
        k = _at_least_one(k)
        row = self._row(row) if hasattr(row, "__index__") else self._row_of(row)
        # With so many duplicates before it that it is not among them, k of k + 1 are left.
        found = self._index.nearest(self.vectors[row : row + 1], k + 1)[0]
        others = [(r, s) for r, s in zip(*found, strict=True) if r != row][:k]
        return self._hits(others, self.texts[row])

    def _asked(self, queries: list[str], k: int) -> list[Hits]:
        if not all(query.strip() for query in queries):
            raise BadValue("a query is empty")
        if not len(self):
            return [self._hits([], query) for query in queries]
        from cborg_magics.embeddings.asking import vectors_of

        return self._found(vectors_of(queries, self.origin), queries, k)

    def _found(self, vectors: NDArray[Any], queries: Sequence[str], k: int) -> list[Hits]:
        if not len(self) or not len(vectors):
            return [self._hits([], query) for query in queries]
        size = self.vectors.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != size:
            shape = " × ".join(f"{side:,}" for side in vectors.shape[min(vectors.ndim - 1, 1) :])
            raise BadValue(f"a query must have {size:,} numbers, not {shape}")
        found = self._index.nearest(vectors, k)
        return [
            self._hits(list(zip(*each, strict=True)), query)
            for each, query in zip(found, queries, strict=True)
        ]

    def _hits(self, found: Sequence[tuple[Any, Any]], query: str) -> Hits:
        hits = [
            Hit(rank, float(score), self.labels[int(row)], self.texts[int(row)], int(row))
            for rank, (row, score) in enumerate(found, start=1)
        ]
        return Hits(hits, query, self.origin, of=len(self), label_name=self.label_name)

    def _row_of(self, label: object) -> int:
        try:
            return self.labels.index(label)
        except ValueError:
            raise BadValue(f"no text has the label {beginning(repr(label), 60)}") from None

    # -- keeping and looking ---------------------------------------------------------------

    def to_frame(self) -> pandas.DataFrame:
        """A DataFrame: the labels are the index, `text` and `vector` (an array of d) the columns.
        Labels that are tuples become a MultiIndex."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        index = pandas.Index(self.labels if isinstance(self.labels, range) else list(self.labels))
        if index.nlevels == 1:
            index.name = self.label_name
        columns = {"text": list(self.texts), "vector": list(self.vectors)}
        return pandas.DataFrame(columns, index=index)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a folder that `Embeddings.load` reads; one that was saved there is replaced.

        Labels are kept where JSON has them (numbers, texts, True, False, None); of others, such
        as dates and tuples, their text. Raises `OSError`, also where something else is there.
        """
        folder.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Embeddings:
        """What `save` wrote. Vectors and texts stay on the disk until they are used, so there may
        be more of them than memory holds. Raises `OSError`, or `ValueError` where it is broken."""
        return folder.load(path)

    def plot(
        self,
        by: Sequence[Any] | Callable[[Any], Any] | Mapping[Any, Any] | None = None,
        most: int = 2000,
    ) -> Map:
        """A map of the texts in two dimensions: the principal components of their directions.

        `by` colours the points: n categories, or a function (or a dict) from a label to one. No
        more than `most` points are drawn, evenly chosen.
        """
        from cborg_magics.embeddings.scatter import draw

        return draw(self, by, _at_least_one(most, "most"))

    def _repr_html_(self) -> str:
        table = tables.html(self._columns(), self._cells(IN_HTML), self.summary)
        return f"<div style='overflow-x:auto'>{table}</div>"

    def __repr__(self) -> str:
        return tables.plain(self._columns(), self._cells(IN_TEXT), self.summary)

    @property
    def summary(self) -> str:
        """How many, whose, and at what cost, in one line."""
        size = f"{count(len(self), 'text')} × {count(self.vectors.shape[1], 'number')}"
        return DOT.join([size, str(self.origin), cost(self.cost)])

    def _columns(self) -> list[Column]:
        return [labels(self.label_name, self.labels[:SHOWN]), Column("text")]

    def _cells(self, most: int) -> list[list[str]]:
        rows = zip(self.labels[:SHOWN], self.texts[:SHOWN], strict=True)
        cells = [[named(label), beginning(text, most)] for label, text in rows]
        more = len(self) - SHOWN
        return [*cells, ["", f"and {more:,} more"]] if more > 0 else cells


def _kept(values: Sequence[Any]) -> Sequence[Any]:
    """A sequence that nobody can change; a lazy one of our own stays as it is."""
    return values if isinstance(values, tuple | range | folder.Lines) else tuple(values)


def _numbers(values: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values)
        if array.dtype == object and array.ndim == 1:  # a column of vectors
            array = np.asarray(list(array))
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise BadValue("vectors must be an array of real numbers, all of one length")
    return array


def _float_rows(vectors: ArrayLike) -> Floats:
    array = _numbers(vectors)
    array = array.reshape(0, 0) if array.shape == (0,) else array
    if array.ndim != 2:
        shape = " × ".join(f"{side:,}" for side in array.shape) or "one number"
        raise BadValue(f"vectors must be n × d numbers, one row for each text, not {shape}")
    with np.errstate(over="ignore"):  # too large for float32: told as not finite
        return np.asarray(array, dtype=np.float32, order="C").view(np.ndarray)


def _at_least_one(value: Any, name: str = "k") -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise BadValue(f"{name} must be a whole number above 0, not {beginning(repr(value), 40)}")
    return number
