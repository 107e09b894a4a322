"""What does a search over a million vectors cost? Against the bare product and argpartition.

The array has 1,000,000 rows of 768 numbers, float32 (3 GB): in memory, and once more as a file
that is mapped. The first search, which measures the lengths of all vectors too, is told by itself.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from tests.bench.table import Figure, ratio

ROWS, SIZE, K = 1_000_000, 768, 5
ROUNDS = 15
MOST = 1.3  # times the bare product with argpartition
ORIGIN = Origin("bench", "random")


def measure() -> list[Figure]:
    """Search in memory, in a mapped file, and with 32 queries at a time."""
    draw = np.random.default_rng(6)
    vectors = np.empty((ROWS, SIZE), np.float32)
    for first in range(0, ROWS, 50_000):
        vectors[first : first + 50_000] = draw.standard_normal((50_000, SIZE), np.float32)
    queries = draw.standard_normal((32, SIZE), np.float32)
    texts = [""] * ROWS
    embeddings = Embeddings(texts, vectors, ORIGIN)
    figures = [_against_bare("one query, in memory", embeddings, vectors, queries, target=MOST)]
    loops = {"batch": _batch, "loop": _loop}
    times = _alternate({name: _call(run, embeddings, queries) for name, run in loops.items()}, 3)
    figures.append(ratio("32 queries at once, to one by one", times["batch"], times["loop"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, vectors)
        mapped = np.load(path, mmap_mode="r")
        kept = Embeddings(texts, mapped, ORIGIN)
        began = time.perf_counter()
        kept.search(queries[0], K)
        first_time = time.perf_counter() - began
        figures.append(_against_bare("one query, mapped", kept, mapped, queries))
        figures.append(Figure("the first search, mapped", first_time, "s", note="lengths as well"))
    return figures


def _against_bare(
    what: str, embeddings: Embeddings, vectors: NDArray[Any], queries: NDArray[Any], **more: float
) -> Figure:
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS + 1):
        query = queries[number % len(queries)]
        pair = [
            (ours, _call(_one, embeddings, query)),
            (bare, _call(_bare, vectors, query)),
        ]
        for times, run in pair if number % 2 else reversed(pair):
            times.append(_seconds(run))
    return ratio(what, ours[1:], bare[1:], **more)  # the first of each warms up


def _alternate(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(_seconds(run))
    return times


def _call(run: Callable[[Any, Any], object], first: Any, second: Any) -> Callable[[], object]:
    return lambda: run(first, second)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _one(embeddings: Embeddings, query: NDArray[Any]) -> object:
    return embeddings.search(query, K)


def _bare(vectors: NDArray[Any], query: NDArray[Any]) -> object:
    return np.argpartition(vectors @ query, -K)


def _batch(embeddings: Embeddings, queries: NDArray[Any]) -> object:
    return embeddings.search(queries, K)


def _loop(embeddings: Embeddings, queries: NDArray[Any]) -> object:
    return [embeddings.search(query, K) for query in queries]
