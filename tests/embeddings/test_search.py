"""Search promises: exact, in order, of bounded memory, and no NaN."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cborg_magics.embeddings import search
from cborg_magics.embeddings.search import Index

DRAW = np.random.default_rng(6)


def vectors(rows: int, size: int = 24) -> NDArray[np.float32]:
    return DRAW.standard_normal((rows, size), np.float32)


def by_hand(rows: NDArray[Any], query: NDArray[Any], k: int) -> list[int]:
    """The k nearest, found the slow way in float64."""
    rows, query = rows.astype(float), query.astype(float)
    lengths = np.linalg.norm(rows, axis=1)
    cosines = rows @ query / np.where(lengths, lengths, 1) / (np.linalg.norm(query) or 1)
    return sorted(range(len(rows)), key=lambda row: (-cosines[row].round(7), row))[:k]


@pytest.fixture(params=[1 << 12, 1 << 25], ids=["many blocks", "one block"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of some rows, and of all."""
    monkeypatch.setattr(search, "BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.mark.parametrize("k", [1, 5, 200])
@pytest.mark.usefixtures("block")
def test_the_nearest_are_exactly_those_of_a_slow_search(k: int) -> None:
    rows, queries = vectors(1000) * DRAW.uniform(0.01, 50, (1000, 1)).astype("f4"), vectors(7)
    found = Index(rows).nearest(queries, k)
    assert [each.tolist() for each, _ in found] == [by_hand(rows, query, k) for query in queries]
    assert all((np.diff(scores) <= 0).all() for _, scores in found)


@pytest.mark.usefixtures("block")
def test_a_batch_finds_what_its_queries_find_alone() -> None:
    index, queries = Index(vectors(700)), vectors(50)
    for query, (rows, scores) in zip(queries, index.nearest(queries, 9), strict=True):
        [alone] = index.nearest(query[None], 9)
        assert (rows.tolist(), scores.tolist()) == (alone[0].tolist(), alone[1].tolist())


def test_many_queries_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = vectors(100), vectors(33)
    whole = Index(rows).nearest(queries, 3)
    monkeypatch.setattr(search, "SCORES", 1)
    parts = Index(rows).nearest(queries, 3)
    assert [each.tolist() for each, _ in parts] == [each.tolist() for each, _ in whole]


@pytest.mark.usefixtures("block")
def test_ties_are_in_the_order_of_the_rows() -> None:
    rows = vectors(900)
    same = [3, 250, 251, 512, 700, 899]
    for times, row in enumerate(same, start=1):
        rows[row] = rows[3] * np.float32(times)  # another length, the same direction
    for k in range(1, 8):
        found, scores = Index(rows).nearest(rows[3][None], k)[0]
        assert found.tolist()[:6] == same[:k]
        assert scores[:6].tolist() == [1.0] * min(k, 6)


def test_all_alike_is_one_long_tie() -> None:
    found, scores = Index(np.ones((5000, 16), np.float32)).nearest(np.ones((1, 16)), 4)[0]
    assert found.tolist() == [0, 1, 2, 3]
    assert scores.tolist() == [1.0] * 4


@pytest.mark.usefixtures("block")
def test_nearly_equal_scores_are_told_apart_beyond_float32() -> None:
    """What float32 cannot order in one product, the second weighing does."""
    rows, query = np.tile(vectors(1, 768), (400, 1)), vectors(1, 768)[0]
    rows[:, np.abs(query).argmax()] += DRAW.permutation(np.linspace(0, 0.04, 400)).astype("f4")
    for k in (3, 400):
        found, _ = Index(rows).nearest(query[None], k)[0]
        assert found.tolist() == by_hand(rows, query, k)


def test_a_vector_of_zeros_has_the_score_zero() -> None:
    rows = vectors(20)
    rows[4] = 0
    found, scores = Index(rows).nearest(rows[:1], 20)[0]
    assert scores[found.tolist().index(4)] == 0
    assert np.isfinite(scores).all()
    found, scores = Index(rows).nearest(np.zeros((1, 24)), 3)[0]
    assert (found.tolist(), scores.tolist()) == ([0, 1, 2], [0, 0, 0])


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_lengths_that_float32_cannot_square_are_no_zeros(factor: float) -> None:
    rows = vectors(50)
    rows[10] *= np.float32(factor)
    found, scores = Index(rows).nearest(rows[10][None], 1)[0]
    assert found.tolist() == [10]
    assert scores.tolist() == [1.0]


def test_k_beyond_n_gives_all_and_no_rows_give_none() -> None:
    assert len(Index(vectors(4)).nearest(vectors(1), 9)[0][0]) == 4
    assert len(Index(vectors(0)).nearest(vectors(1), 9)[0][0]) == 0
    assert len(Index(vectors(0)).lengths) == 0


def test_what_is_not_finite_is_named() -> None:
    rows = vectors(300)
    rows[[123, 200], 5] = np.inf
    with pytest.raises(ValueError, match="the vector of row 123 has numbers that are not finite"):
        Index(rows).nearest(vectors(1), 2)
    with pytest.raises(ValueError, match="not finite"):
        Index(vectors(3)).nearest(np.full((1, 24), np.nan), 2)


def test_lengths_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vectors(50)
    index = Index(rows)
    index.nearest(vectors(1), 1)
    monkeypatch.delattr(search, "_lengths")  # nothing can be measured from here on
    index.nearest(vectors(1), 1)
    index.part(slice(5, 9)).nearest(vectors(1), 1)
    assert np.allclose(index.lengths, np.linalg.norm(rows, axis=1))


SEARCH_A_MAP = """
import sys
import numpy as np
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin

def own_memory():  # what the kernel cannot take back at any time, in kB
    words = open("/proc/self/status").read().split()
    return int(words[words.index("RssAnon:") + 1])

rows, size = 200_000, 768
vectors = np.memmap(sys.argv[1], np.float32, "r", shape=(rows, size))
embeddings = Embeddings([""] * rows, vectors, Origin("here", "model"))
before, query = own_memory(), np.ones(size, np.float32)
found = embeddings.search(np.stack([query] * 20), k=1)
print([hit.row for hit in found[19]], own_memory() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_larger_than_what_it_may_take_is_searched_where_it_lies(tmp_path: Path) -> None:
    """0.6 GB, nearly all of it a hole of the file."""
    path = tmp_path / "vectors"
    with path.open("wb") as file:
        file.truncate(200_000 * 768 * 4)
        file.write(np.arange(1, 769, dtype=np.float32).tobytes())
        file.seek(150_000 * 768 * 4)
        file.write(np.ones(768, np.float32).tobytes())
    ran = subprocess.run(
        [sys.executable, "-c", SEARCH_A_MAP, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    rows, _, extra = ran.stdout.strip().rpartition(" ")
    assert rows == "[150000]"
    assert int(extra) < 150_000
