"""Texts in bulk: each is sent once, kept as it comes, paid for once; and nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from cborg_magics.embeddings import asking, work
from cborg_magics.embeddings.asking import embed
from cborg_magics.embeddings.cache import VectorCache
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import (
    BadTexts,
    CapReached,
    DifferentModel,
    Interrupted,
    KeyRefused,
    NotAllowed,
    Refused,
    Unreachable,
)
from cborg_magics.exchange import Outcome, Source
from cborg_magics.session import Session
from tests.conftest import KEY
from tests.services.answers import DROP, json_answer, refusal
from tests.services.encoder import MODEL, PRICE, Encoder, vector


def texts(count: int, what: str = "text") -> list[str]:
    return [f"{what} {number}" for number in range(count)]


def test_every_row_has_its_own_vector_in_its_place(here: Session) -> None:
    found = embed(texts(500))
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [vector(text) for text in texts(500)]


def test_identical_texts_are_sent_once_and_every_row_has_a_vector(
    here: Session, vectors: Encoder
) -> None:
    found = embed(["a", "b", "a", "a", "b"])
    assert vectors.texts() == [["a", "b"]]
    assert found.vectors.tolist() == [vector(text) for text in "abaab"]


def test_documents_go_as_a_list_even_one_and_a_query_as_a_bare_string(
    here: Session, vectors: Encoder
) -> None:
    embed("one document")
    embed(["why?", "how?"], query=True)
    sent = [each.body["input"] for each in vectors.requests if "embeddings" in each.path]
    assert sent[0] == ["one document"]
    assert sorted(vectors.bare) == ["how?", "why?"], "each by itself"


def test_a_question_and_a_document_of_the_same_words_are_kept_apart(
    here: Session, vectors: Encoder
) -> None:
    embed("dark matter")
    embed("dark matter", query=True)
    assert vectors.answered["dark matter"] == 2


def test_a_batch_is_filled_by_count_and_by_tokens(here: Session, vectors: Encoder) -> None:
    vectors.tells_window = False
    embed(texts(150))
    assert sorted(map(len, vectors.texts())) == [22, 64, 64]
    vectors.requests.clear()
    embed([f"{number} {'w' * 40_000}" for number in range(9)])  # 10,000 tokens each
    assert sorted(map(len, vectors.texts())) == [3, 3, 3]


def test_five_requests_are_under_way_at_most_and_five_are(here: Session, vectors: Encoder) -> None:
    vectors.latency = 0.5
    embed(texts(64 * 20))
    assert vectors.most_at_once == 5


def test_cborg_parallel_is_obeyed(
    vectors: Encoder, monkeypatch: pytest.MonkeyPatch, here: Session
) -> None:
    monkeypatch.setenv("CBORG_PARALLEL", "2")
    here.adopt(Session.from_environment().settings)
    vectors.latency = 0.2
    embed(texts(64 * 8))
    assert vectors.most_at_once == 2


def test_what_was_embedded_before_costs_nothing_and_is_not_sent(
    here: Session, vectors: Encoder
) -> None:
    first = embed(texts(100))
    assert first.cost.dollars == Decimal("200") * Decimal(str(PRICE))
    assert first.cost.source is Source.BILLED
    again = embed(texts(130))
    assert set(vectors.answered.values()) == {1}
    assert again.cost.dollars == Decimal("60") * Decimal(str(PRICE))
    assert again.vectors.tolist() == [vector(text) for text in texts(130)]


def test_no_cache_asks_for_all_anew_and_keeps_nothing(here: Session, vectors: Encoder) -> None:
    embed(texts(3), cache=False)
    embed(texts(3), cache=False)
    embed(texts(3))
    assert set(vectors.answered.values()) == {3}


def test_every_request_is_a_row_in_the_ledger(here: Session) -> None:
    embed(texts(150))
    rows = here.ledger.rows()
    assert len(rows) == 3
    assert {row.outcome for row in rows} == {Outcome.COMPLETED}
    assert sum(row.usage.prompt for row in rows if row.usage) == 300
    assert sum(row.cost.dollars or 0 for row in rows) == Decimal("300") * Decimal(str(PRICE))


def kept(here: Session) -> int:
    return sum(each.count for each in VectorCache(here.settings.home).holdings())


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_after_ctrl_c_the_next_run_pays_for_the_rest_alone(here: Session, vectors: Encoder) -> None:
    """Also for what was under way at that moment: it comes, and is kept."""
    vectors.hold_after(4)

    def press() -> None:
        wait_until(lambda: len(vectors.texts()) == 9)  # four are answered, five wait
        wait_until(lambda: kept(here) == 256)
        time.sleep(1)  # and are counted
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        vectors.release()
        wait_until(lambda: kept(here) == 9 * 64)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(Interrupted, match=r"stopped: 256 of 1,280 texts are embedded and kept"):
        embed(texts(1280))
    presser.join()
    assert len(vectors.texts()) == len(here.ledger.rows()) == 9, "nothing was sent after that"
    assert embed(texts(1280)).vectors.tolist() == [vector(text) for text in texts(1280)]
    assert set(vectors.answered.values()) == {1}, "asked for no text twice"
    rows = here.ledger.rows()
    assert len(rows) == 20
    assert {row.outcome for row in rows} == {Outcome.COMPLETED}


def test_when_the_key_is_refused_in_the_middle_what_came_is_kept(
    here: Session, vectors: Encoder
) -> None:
    embed(texts(64))
    vectors.scripted = [refusal(401, "token_not_found_in_db", "no such key")] * 9
    with pytest.raises(KeyRefused):
        embed(texts(640))
    vectors.scripted = []
    embed(texts(640))
    assert set(vectors.answered.values()) == {1}


def test_a_busy_service_is_asked_again(here: Session, vectors: Encoder) -> None:
    busy = refusal(429, "throttling_error", "slow down", {"retry-after": "0"})
    vectors.scripted = [busy, busy, json_answer({"error": "down"}, 503)]
    tally = work.Tally()
    found = embed(texts(64))
    assert len(found) == 64
    assert tally.waiting is None


def test_a_connection_that_breaks_is_tried_again(here: Session, vectors: Encoder) -> None:
    embed("hello")
    vectors.scripted = [DROP]
    assert embed(["after the break"]).vectors.tolist() == [vector("after the break")]


def test_a_service_that_is_not_there_is_one_line(
    here: Session, vectors: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(texts(2))
    vectors.stop()
    monkeypatch.setenv("CBORG_MAX_WAIT", "0.1")
    here.adopt(Session.from_environment().settings)
    with pytest.raises(Unreachable):
        embed(texts(3))
    assert len(embed(texts(2))) == 2, "what is kept needs no service"


# -- what is wrong with a text -------------------------------------------------------------


def test_texts_longer_than_the_window_are_named_and_nothing_is_sent(
    here: Session, vectors: Encoder
) -> None:
    long = "word " * 60
    with pytest.raises(BadTexts, match=r"rows 1 and 3: longer than the 50 tokens"):
        embed(["a", long, "b", long + "!"])
    assert not vectors.texts()


def test_what_the_service_finds_too_long_is_named_and_the_rest_is_kept(
    here: Session, vectors: Encoder
) -> None:
    vectors.tells_window, vectors.most_words = False, 10
    mixed = [*texts(70), "w " * 20, *texts(70, "more"), "v " * 20]
    with pytest.raises(BadTexts, match="rows 70 and 141: ") as problem:
        embed(mixed)
    assert "140 of 142 texts are embedded and kept" in str(problem.value)
    vectors.requests.clear()
    embed([text for text in mixed if len(text.split()) < 10])
    assert not vectors.texts(), "the others were paid for once"


def test_a_service_that_takes_fewer_texts_at_once_gets_fewer(
    here: Session, vectors: Encoder
) -> None:
    vectors.most_texts = 32
    assert len(embed(texts(64 * 60))) == 64 * 60
    refused = [each for each in vectors.texts() if len(each) > 32]
    assert 0 < len(refused) < 40, "it has learnt: not each of the 60 batches was refused"
    assert set(vectors.answered.values()) == {1}


def test_a_request_that_is_refused_whatever_it_holds_stops_soon(
    here: Session, vectors: Encoder
) -> None:
    vectors.scripted = [refusal(400, "invalid_request_error", "no such parameter")] * 99
    with pytest.raises(Refused, match="no such parameter"):
        embed(texts(640))
    assert len(vectors.texts()) < 60


def test_split_texts_are_pooled_by_their_pieces_directions(here: Session, vectors: Encoder) -> None:
    long = " ".join(f"word{number}" for number in range(120))
    found = embed(["short", long], split=True)
    pieces = [text for each in vectors.texts() for text in each if text != "short"]
    assert "".join(sorted(pieces, key=long.index)) == long, "nothing is left out"
    assert all(len(piece.encode()) <= 100 for piece in pieces), "half the window of 50 tokens"
    lengths = np.array([len(piece) for piece in pieces], float)
    each = np.array([vector(piece) for piece in pieces])
    mean = (lengths / np.linalg.norm(each, axis=1)) @ each
    assert found.vectors[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert found.vectors[0].tolist() == vector("short"), "what is short is as it was"


def test_a_vector_of_no_numbers_is_an_error_that_names_the_rows(
    here: Session, vectors: Encoder
) -> None:
    vectors.odd = lambda text: [float("nan")] * 8 if text == "bad" else None
    with pytest.raises(BadTexts, match=r"row 1: .* no numbers"):
        embed(["good", "bad"], cache=False)


def test_a_model_that_has_changed_behind_its_name_is_noticed(
    here: Session, vectors: Encoder
) -> None:
    embed(["before"])
    vectors.size = 12
    with pytest.raises(DifferentModel, match=r"gives 12 numbers .* gave 8") as problem:
        embed(["before", "after"])
    assert f"--cache-clear {MODEL}" in str(problem.value)


def test_a_text_that_holds_our_key_is_not_sent(here: Session, vectors: Encoder) -> None:
    with pytest.raises(BadTexts, match="row 1: a key of yours") as problem:
        embed(["fine", f"export LITELLM_API_KEY={KEY}"])
    assert KEY not in str(problem.value)
    assert not vectors.texts()


# -- rules and caps ------------------------------------------------------------------------


def test_a_cap_is_weighed_before_anything_is_sent(here: Session, vectors: Encoder) -> None:
    here.cap(Decimal("0.000001"))  # 50 tokens
    with pytest.raises(CapReached, match="all of it may cost"):
        embed(texts(200))
    assert not vectors.texts()
    assert len(embed(texts(200), yes=True)) == 200


def test_a_cap_that_is_met_in_the_middle_keeps_what_came(here: Session, vectors: Encoder) -> None:
    """Tokens are guessed at four bytes each; here each letter is a word."""
    here.cap(Decimal("0.00001"))  # 500 tokens
    letters = [f"{number} {'a ' * 30}" for number in range(64)]

    def bit_by_bit() -> None:
        for start in range(0, 64, 4):
            embed(letters[start : start + 4])

    with pytest.raises(CapReached):
        bit_by_bit()
    spent = sum(row.cost.dollars or 0 for row in here.ledger.rows())
    assert 0 < spent <= Decimal("0.00001")


def test_a_model_that_is_not_allowed_is_not_asked(
    vectors: Encoder, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_ALLOWED_MODELS", "lbl/*")
    here.adopt(Session.from_environment().settings)
    with pytest.raises(NotAllowed):
        embed("a")
    assert not vectors.texts()


# -- the disk ------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_costs_a_line_and_no_vector(
    here: Session, home: Path
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "vectors.sqlite").write_text("this is no database " * 100)
    assert len(embed(texts(3))) == 3
    assert any("Vectors are not kept" in line for line in here.warnings)


def test_the_cache_holds_no_text_and_no_key(here: Session, home: Path) -> None:
    embed("a secret sentence")
    kept = (home / "vectors.sqlite").read_bytes()
    assert b"secret sentence" not in kept
    assert b"sk-test" not in kept
    assert (home / "vectors.sqlite").stat().st_mode & 0o077 == 0


def test_a_search_asks_with_the_model_that_made_the_vectors(
    here: Session, vectors: Encoder
) -> None:
    found = embed(["dark matter", "cats"])
    assert found.search("dark matter", k=1)[0].label == 0
    assert vectors.bare == ["dark matter"]
    found.search("dark matter")
    assert vectors.bare == ["dark matter"], "a question is asked once"


def test_vectors_of_another_service_are_not_searched(here: Session, vectors: Encoder) -> None:
    from cborg_magics.embeddings.embeddings import Embeddings
    from cborg_magics.embeddings.origin import Origin

    other = Embeddings(["a"], np.ones((1, 8)), Origin("cborg", MODEL))
    with pytest.raises(DifferentModel, match="cannot be compared"):
        other.search("a")
    assert not vectors.texts()


def test_two_names_of_one_model_and_two_models_of_one_space_meet(here: Session) -> None:
    from cborg_magics.embeddings.origin import Origin

    text = Origin("cborg", "nomic-embed-text")
    text.must_match(Origin("cborg", "lbl/nomic-embed-text"))
    text.must_match(Origin("cborg", "nomic-embed-vision"))
    with pytest.raises(DifferentModel):
        text.must_match(Origin("cborg", "nomic-embed-code"))
    assert asking.session() is here


def test_a_model_has_its_vectors_with_and_without_lbl_and_its_own_first(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    plain, named = Origin("cborg", "nomic-embed-text"), Origin("cborg", "lbl/nomic-embed-text")
    cache.keep(plain, "document", {b"a": b"1"})
    assert cache.find(named, "document", [b"a"]) == {b"a": b"1"}, "CBorg says that they are one"
    with closing(sqlite3.connect(cache.path)) as db:  # as they were kept before that was known
        db.execute(
            "INSERT INTO sets (service, model, kind, made)"
            " VALUES ('cborg', 'lbl/nomic-embed-text', 'document', '2026')"
        )
        db.execute("INSERT INTO vectors (of, digest, vector) VALUES (2, ?, ?)", [b"b", b"2"])
        db.commit()
    assert cache.find(named, "document", [b"b"]) == {b"b": b"2"}
    assert cache.find(plain, "document", [b"a"]) == {b"a": b"1"}
