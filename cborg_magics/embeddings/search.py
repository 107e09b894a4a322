"""Which vectors are nearest? Exact cosine over all of them, a block of rows at a time.

A block fits the memory beside a memory map of any size. The sweep is one product in float32;
the few rows that may be among the best are weighed again in float64, so that equal vectors
score equal wherever they stand, and ties are in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cborg_magics.errors import BadValue

Floats = NDArray[np.float32]

BLOCK_BYTES = 1 << 28  # in one product: smaller ones leave a busy machine's cores waiting
WEIGHED = 1 << 12  # rows that are taken to float64 at a time
SCORES = 1 << 23  # kept at a time: rows of a block times queries
_SAFE = (1e-15, 1e15)  # lengths whose squares float32 can hold


class Index:
    """The rows of `vectors`, float32 (n, d), to be searched; its lengths are computed once.

    Vectors need not have length 1; one of zeros has the cosine 0 with everything.
    """

    def __init__(self, vectors: Floats, lengths: Floats | None = None) -> None:
        self.vectors = _read_only(vectors)
        self._lengths = lengths

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["vectors"], state["_lengths"])  # type: ignore[misc]

    @property
    def lengths(self) -> Floats:
        """The Euclidean length of every row, float32 (n,). Raises `ValueError` where one is
        not finite."""
        if self._lengths is None:
            parts = [_lengths(block, first) for first, block in _blocks(self.vectors)]
            self._lengths = np.concatenate(parts or [np.empty(0, np.float32)])
        return self._lengths

    def part(self, key: Any) -> Index:
        """The index of `vectors[key]`."""
        return Index(self.vectors[key], None if self._lengths is None else self._lengths[key])

    def nearest(self, queries: NDArray[Any], k: int) -> list[tuple[NDArray[np.intp], Floats]]:
        """For each of the queries (m, d): the rows of the k nearest, best first, and their
        cosines; all rows where there are no more than k."""
        wanted = queries.astype(np.float64)
        sizes = np.sqrt(np.einsum("ij,ij->i", wanted, wanted))
        if not np.isfinite(sizes).all():
            raise BadValue("a vector to search for has numbers that are not finite")
        wanted /= np.where(sizes, sizes, 1)[:, None]
        bests = [_Best(k, one) for one in wanted]
        rows = max(BLOCK_BYTES // max(self.vectors[:1].nbytes, 1), 1)
        many = max(SCORES // rows, 1)
        for first in range(0, len(bests), many):
            self._sweep(wanted[first : first + many], bests[first : first + many])
        return [(best.rows, best.scores) for best in bests]

    def _sweep(self, wanted: NDArray[np.float64], bests: list[_Best]) -> None:
        """Show every block to each of the queries; the first sweep measures lengths on its way,
        so that a file is read once."""
        narrow = wanted.astype(np.float32)
        known, seen = self._lengths, []
        for first, block in _blocks(self.vectors):
            here = _lengths(block, first) if known is None else known[first : first + len(block)]
            seen.append(here)
            # A product of matrices with one column is slower than one with a vector.
            scores = (block @ narrow[0])[None] if len(narrow) == 1 else narrow @ block.T
            scores /= np.where(here, here, 1)
            for best, one in zip(bests, scores, strict=True):
                best.see(first, block, one)
        if known is None and seen:
            self._lengths = np.concatenate(seen)


class _Best:
    """The best k rows so far for one query of length 1; `scores` are sorted, the best first."""

    def __init__(self, k: int, query: NDArray[np.float64]) -> None:
        self._k, self._query = k, query
        # How far a product in float32 may be off: one rounding for each addend, and some.
        self._error = np.float32((len(query) + 8) * 2.0**-23)
        self.rows: NDArray[np.intp] = np.empty(0, np.intp)
        self.scores: Floats = np.empty(0, np.float32)

    def see(self, first: int, block: Floats, about: Floats) -> None:
        """Take what is good enough of a block, whose first row is `first` and whose scores are
        `about` so much."""
        if len(self.scores) == self._k:
            near = np.flatnonzero(about >= self.scores[-1] - self._error)
        else:
            near = np.arange(len(about))
        if len(near) > self._k:
            least = np.partition(about[near], -self._k)[-self._k]
            near = near[about[near] >= least - 2 * self._error]
        if not len(near):
            return
        rows = np.concatenate([self.rows, first + near])
        scores = np.concatenate([self.scores, _cosines(block, near, self._query)])
        order = np.lexsort((rows, -scores))[: self._k]
        self.rows, self.scores = rows[order], scores[order]


def _cosines(block: Floats, rows: NDArray[np.intp], query: NDArray[np.float64]) -> Floats:
    parts = []
    for some in _pieces(rows):
        exact = block[some].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact))
        products = np.einsum("ij,j->i", exact, query) / np.where(lengths, lengths, 1)
        parts.append(products.astype(np.float32))
    return np.concatenate(parts)


def _pieces(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    return (rows[first : first + WEIGHED] for first in range(0, len(rows), WEIGHED))


def _read_only(vectors: Floats) -> Floats:
    """The same vectors, as an array that nobody writes to: their lengths are kept."""
    view: Floats = vectors.view()
    view.flags.writeable = False
    return view


def _blocks(vectors: Floats) -> Iterator[tuple[int, Floats]]:
    rows = max(BLOCK_BYTES // max(vectors[:1].nbytes, 1), 1)
    for first in range(0, len(vectors), rows):
        yield first, vectors[first : first + rows]


def _lengths(block: Floats, first: int) -> Floats:
    lengths: Floats = np.sqrt(np.einsum("ij,ij->i", block, block))
    odd = np.flatnonzero(~((lengths > _SAFE[0]) & (lengths < _SAFE[1])))
    if len(odd):
        lengths[odd] = np.concatenate(
            [np.linalg.norm(block[rows].astype(np.float64), axis=1) for rows in _pieces(odd)]
        )
        if not np.isfinite(lengths).all():
            row = first + int(np.flatnonzero(~np.isfinite(lengths))[0])
            raise BadValue(f"the vector of row {row:,} has numbers that are not finite")
    return lengths
