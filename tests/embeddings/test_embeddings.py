"""Embeddings promise: texts, vectors and labels stay together, and only what fits is compared."""

from __future__ import annotations

import copy
import pickle
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import CborgError, DifferentModel
from cborg_magics.exchange import Cost, Source
from cborg_magics.pricing import FREE, UNKNOWN

ORIGIN = Origin("cborg", "nomic-embed-text")
ESTIMATED = Cost(Decimal("0.0012"), Source.ESTIMATED)
BILLED = Cost(Decimal("0.002"), Source.BILLED)
HOSTILE = "<script>alert(1)</script> costs $5 or $6, \\(x\\) \x1b[31m\u202e"


def some(count: int = 6, size: int = 8, **more: Any) -> Embeddings:
    vectors = np.random.default_rng(count).standard_normal((count, size))
    return Embeddings([f"text {row}" for row in range(count)], vectors, ORIGIN, **more)


# -- what it holds -------------------------------------------------------------------------


def test_it_is_an_array_of_float32() -> None:
    e = some()
    assert (np.asarray(e).dtype, np.asarray(e).shape) == (np.float32, (6, 8))
    assert np.shares_memory(np.asarray(e), e.vectors)
    assert np.asarray(e, dtype=np.float64).dtype == np.float64
    own = np.array(e)
    own[0] = 0
    assert e.vectors[0].any()
    assert len(e) == len(list(e)) == 6
    assert (e[2] == e.vectors[2]).all()
    assert (e[np.int64(-1)] == e.vectors[5]).all()
    assert (e.model, e.service, e.labels) == ("nomic-embed-text", "cborg", range(6))


@pytest.mark.parametrize(
    "key", [slice(1, 4), [1, 2, 3], np.array([1, 2, 3]), np.arange(6) % 4 > 0, slice(3, 0, -1)]
)
def test_a_part_keeps_texts_vectors_and_labels_together(key: Any) -> None:
    e = some(labels=list("abcdef"), label_name="key")
    rows = np.arange(6)[key]
    part = e[key]
    assert list(part.texts) == [f"text {row}" for row in rows]
    assert list(part.labels) == ["abcdef"[row] for row in rows]
    assert (part.vectors == e.vectors[rows]).all()
    assert part.label_name == "key"
    assert part.similar(0, 1)[0].text in part.texts


def test_a_part_of_what_was_paid_for_has_no_price_of_its_own() -> None:
    assert some(cost=ESTIMATED)[:2].cost == UNKNOWN
    assert some(cost=ESTIMATED)[:].cost == ESTIMATED
    assert some()[:2].cost == FREE


def test_a_row_that_is_not_there_and_a_key_that_is_none() -> None:
    with pytest.raises(IndexError, match="there is no row 6 in 6 texts"):
        some()[6]
    for key in ("a", 1.5, [[1, 2]]):
        with pytest.raises(TypeError, match="rows are chosen by a number"):
            some()[key]  # type: ignore[index]
    with pytest.raises(IndexError):
        some()[[True, False]]


@pytest.mark.parametrize(
    ("texts", "vectors", "words"),
    [
        (["a"], [1.0, 2.0], "vectors must be n × d numbers, one row for each text, not 2"),
        (["a"], np.ones((1, 2, 3)), "not 1 × 2 × 3"),
        (["a"], 3.0, "not one number"),
        (["a", "b"], np.ones((1, 3)), "2 texts and 1 vector do not match"),
        (["a", "b"], [[1, 2], [3, np.nan]], "the vector of row 1 has numbers that are not finite"),
        (["a"], [[1e300, 1]], "the vector of row 0 has numbers that are not finite"),
        (["a"], [["x"]], "must be an array of real numbers"),
        (["a", "b"], [[1, 2], [3]], "must be an array of real numbers, all of one length"),
        ("ab", np.ones((2, 3)), "not one text"),
    ],
)
def test_what_does_not_fit_is_one_plain_line(texts: Any, vectors: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        Embeddings(texts, vectors, ORIGIN)
    assert "\n" not in str(caught.value)


def test_labels_must_be_as_many_as_texts() -> None:
    with pytest.raises(ValueError, match="6 texts and 2 labels do not match"):
        some(labels=[1, 2])


def test_nobody_changes_vectors_whose_lengths_are_kept() -> None:
    mine = np.ones((2, 3), np.float32)
    e = Embeddings(["a", "b"], mine, ORIGIN)
    for each in (e, pickle.loads(pickle.dumps(e)), copy.deepcopy(e), e[:1], e[[0]]):
        with pytest.raises(ValueError, match="read-only"):
            each.vectors[0] = 0
    mine[0] = 2  # their own array stays theirs


# -- appending -----------------------------------------------------------------------------


def test_appending_joins_what_fits() -> None:
    both = some(2) + some(3)
    assert list(both.texts) == ["text 0", "text 1", "text 0", "text 1", "text 2"]
    assert both.labels == range(5)
    labelled = some(2, labels=["a", ("b", 1)], label_name="x") + some(2)
    assert list(labelled.labels) == ["a", ("b", 1), 0, 1]
    assert labelled.label_name is None
    assert (some(2)[[]] + some(3)).labels == range(3)
    empty = Embeddings([], [], ORIGIN)
    assert (empty + some(2)).vectors.shape == (some(2) + empty).vectors.shape == (2, 8)
    assert len(empty + empty) == 0
    first, last = some(), some()
    assert (first + last).made == (last + first).made == last.made


def test_vectors_of_two_models_never_meet() -> None:
    other = Embeddings(["x"], np.ones((1, 8)), Origin("cborg", "another"))
    for meet in (lambda: some() + other, lambda: some().search(other)):
        with pytest.raises(DifferentModel, match="cannot be compared"):
            meet()
    shared = Embeddings(["x"], np.ones((1, 8)), Origin("cborg", "lbl/nomic-embed-vision"))
    assert len(some() + shared) == 7
    with pytest.raises(ValueError, match="vectors of 8 and 4 numbers"):
        some() + some(2, 4)
    with pytest.raises(TypeError):
        some() + 1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("one", "other", "sum_"),
    [
        (FREE, ESTIMATED, ESTIMATED),
        (BILLED, FREE, BILLED),
        (FREE, FREE, FREE),
        (BILLED, ESTIMATED, Cost(Decimal("0.0032"), Source.ESTIMATED)),
        (BILLED, BILLED, Cost(Decimal("0.004"), Source.BILLED)),
        (UNKNOWN, BILLED, UNKNOWN),
        (FREE, UNKNOWN, UNKNOWN),
    ],
)
def test_costs_add_up_to_what_is_known(one: Cost, other: Cost, sum_: Cost) -> None:
    assert (some(cost=one) + some(cost=other)).cost == sum_


# -- searching -----------------------------------------------------------------------------


def test_a_vector_finds_hits_and_several_find_lists_of_them() -> None:
    e = some(labels=list("abcdef"))
    hits = e.search(e[3], k=2)
    assert (hits[0].label, hits[0].text, hits[0].row, hits[0].rank) == ("d", "text 3", 3, 1)
    assert hits[0].score == 1
    assert [hit.rank for hit in hits] == [1, 2]
    for batch in (e.vectors[:2], list(e.vectors[:2]), e[:2], e.to_frame()["vector"][:2]):
        assert [found[0].label for found in e.search(batch, k=1)] == ["a", "b"]
    assert [found.query for found in e.search(e[:2])] == ["text 0", "text 1"]
    assert len(e.search(list(map(float, e[3])), k=100)) == 6
    assert e.search([]) == e.search(np.empty((0, 8))) == []


@pytest.mark.parametrize("k", [0, -1, 1.5, "5", True, None])
def test_k_is_a_whole_number_above_zero(k: Any) -> None:
    for ask in (some().search, some().similar):
        with pytest.raises(ValueError, match="k must be a whole number above 0") as caught:
            ask(np.ones(8), k)
        assert isinstance(caught.value, CborgError)  # a plain line in a notebook


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (np.ones(7), "a query must have 8 numbers, not 7"),
        (np.ones((2, 9)), "a query must have 8 numbers, not 9"),
        (np.ones((2, 8, 3)), "a query must have 8 numbers, not 8 × 3"),
        (np.full(8, np.nan), "not finite"),
        ("  ", "a query is empty"),
        (["neutrino", ""], "a query is empty"),
        (5, "a query is a text"),
        (["neutrino", 5], "real numbers"),
        ([None], "real numbers"),
    ],
)
def test_a_query_that_cannot_be_asked_is_one_plain_line(query: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        some().search(query)
    assert "\n" not in str(caught.value)


def test_similar_leaves_out_the_row_and_nothing_else() -> None:
    e = Embeddings(list("abcdef"), np.ones((6, 3)), ORIGIN, labels=list("uvwxyz"))
    assert [hit.row for hit in e.similar(0, 3)] == [1, 2, 3]
    assert [hit.row for hit in e.similar(5, 3)] == [0, 1, 2]
    assert [hit.row for hit in e.similar(-1, 9)] == [0, 1, 2, 3, 4]
    assert [hit.label for hit in e.similar("v", 2)] == ["u", "w"]
    assert e.similar("v").query == "b"
    with pytest.raises(ValueError, match="no text has the label 'no'"):
        e.similar("no")
    with pytest.raises(IndexError, match="no row 6"):
        e.similar(6)


def test_whole_numbers_are_rows_also_where_labels_are_numbers() -> None:
    e = some(labels=[10, 20, 30, 40, 50, 60])
    assert e.similar(1, 1).query == "text 1"
    with pytest.raises(IndexError):
        e.similar(10)


def test_an_empty_one_works_throughout() -> None:
    e = some()[:0]
    assert (
        len(e.search(np.ones(8))) == len(e.search("anything")) == len(e.search(["a", "b"])[0]) == 0
    )
    assert list(e) == []
    assert e.to_frame().shape == (0, 2)
    assert "0 texts" in repr(e) + e._repr_html_() + repr(e.plot()) + e.plot()._repr_html_()
    assert "nothing to find" in repr(e.search(np.ones(8)))
    assert len(pickle.loads(pickle.dumps(e))) == 0


# -- what is shown -------------------------------------------------------------------------


def test_the_summary_is_a_line_and_five_texts_but_no_numbers() -> None:
    e = some(20_000, 3, cost=ESTIMATED, label_name="paper")
    lines = repr(e).splitlines()
    assert lines[0] == "20,000 texts × 3 numbers · nomic-embed-text at cborg · $0.00120 estimated"
    assert lines[1].split() == ["paper", "text"]
    assert len(lines) == 8
    assert lines[-1].strip() == "and 19,995 more"
    assert "<td" in e._repr_html_()
    assert not re.search(r"0\.\d{4}", repr(e).replace("$0.00120", ""))


def test_texts_can_neither_run_nor_become_formulas() -> None:
    e = Embeddings([HOSTILE] * 3, np.ones((3, 2)), ORIGIN, labels=[HOSTILE] * 3, label_name=HOSTILE)
    hits = e.similar(0)
    for shown in (e._repr_html_(), hits._repr_html_(), e.plot(by=lambda x: x)._repr_html_()):
        assert "<script" not in shown
        text = re.sub(r"='[^']*'", "", shown).replace("<span>$</span>", "")
        assert "$" not in text
        assert "\\(" not in text
    for shown in (repr(e), repr(hits), e._repr_html_(), hits._repr_html_()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_hits_are_a_table_that_reads_well() -> None:
    long = "A sentence about neutrinos.\n\n" * 40
    e = Embeddings(["short", long], [[1.0, 0], [-0.001, -1]], ORIGIN, labels=[("a", 1), None])
    hits = e.search(np.array([1, 0]))
    lines = repr(hits).splitlines()
    assert lines[0] == "nearest to a vector, 2 of 2 texts · nomic-embed-text at cborg"
    assert lines[2].split(maxsplit=2) == ["1", "1.00", "a · 1  short"]
    assert lines[3].startswith("   2   0.00  None   A sentence about neutrinos. A sentence")
    assert lines[3].endswith("…")
    assert len(lines) == 4
    assert "-0.00" not in repr(hits)
    assert "nearest to “short”" in hits_of(e)
    frame = hits.to_frame()
    assert list(frame.columns) == ["score", "label", "text", "row"]
    assert frame.index.tolist() == [1, 2]
    assert frame.text.tolist() == ["short", long]
    assert [hit.rank for hit in hits[1:]] == [2]


def hits_of(e: Embeddings) -> str:
    return e.similar(0)._repr_html_()


def test_a_frame_has_the_labels_as_its_index() -> None:
    import pandas

    e = some(2, labels=pandas.to_datetime(["2026-01-01", "2026-01-02"]), label_name="day")
    frame = e.to_frame()
    assert frame.index.name == "day"
    assert isinstance(frame.index, pandas.DatetimeIndex)
    assert list(frame.columns) == ["text", "vector"]
    assert (frame.loc["2026-01-02", "vector"] == e[1]).all()
    again = Embeddings(frame["text"], frame["vector"], ORIGIN, labels=frame.index)
    assert (again.vectors == e.vectors).all()
    assert some(2, labels=[("a", 1), ("a", 2)]).to_frame().loc[("a", 2), "text"] == "text 1"
    assert some(2).to_frame().index.tolist() == [0, 1]


def test_a_pickle_holds_everything() -> None:
    e = some(labels=list("abcdef"), cost=BILLED)
    again = pickle.loads(pickle.dumps(e))
    assert (again.texts, again.labels, again.cost, again.origin) == (
        *(e.texts, e.labels, e.cost, e.origin),
    )
    assert list(again.similar(0)) == list(e.similar(0))
