"""Vectors come in whichever form a server knows, exact, and in the order of their texts."""

from __future__ import annotations

import math

import pytest

from cborg_magics.embeddings.call import call
from cborg_magics.errors import KeyRefused, NotTheApi, Refused
from cborg_magics.exchange import Source
from cborg_magics.session import Session
from tests.conftest import KEY
from tests.services.answers import html, json_answer, refusal
from tests.services.encoder import MODEL, Encoder, vector
from tests.services.proxy import Proxy


@pytest.fixture
def session(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    return Session.from_environment()


def forms(encoder: Encoder) -> list[str]:
    """In which form vectors were asked for."""
    return [each.body["encoding_format"] for each in encoder.requests if "emb" in each.path]


def unpacked(packed: bytes) -> list[float]:
    return memoryview(packed).cast("f").tolist()


@pytest.mark.parametrize(
    ("packs", "asked"),
    [
        (True, ["base64", "base64"]),
        ("ignores", ["base64", "base64"]),
        (False, ["base64", "float", "float"]),  # vLLM before 0.6: 400
        ("empty", ["base64", "float", "float"]),  # OpenRouter, now and then
    ],
    ids=["base64", "plain numbers all the same", "refuses base64", "answers with nothing"],
)
def test_a_server_is_asked_for_what_it_knows(
    encoder: Encoder, session: Session, packs: bool | str, asked: list[str]
) -> None:
    encoder.packs = packs
    for texts in (["one", "two"], ["three"]):
        found, _ = call(session, texts, MODEL)
        assert [unpacked(each) for each in found.vectors] == [vector(text) for text in texts]
    assert forms(encoder) == asked


def test_a_refusal_that_has_nothing_to_do_with_it_is_not_asked_twice(
    encoder: Encoder, session: Session
) -> None:
    encoder.scripted = [refusal(401, "token_not_found_in_db", "no such key")]
    with pytest.raises(KeyRefused):
        call(session, ["one"], MODEL)
    assert forms(encoder) == ["base64"]


def test_once_base64_has_come_a_refusal_is_a_refusal(encoder: Encoder, session: Session) -> None:
    call(session, ["one"], MODEL)
    encoder.scripted = [refusal(400, "invalid_request_error", "not today")]
    with pytest.raises(Refused, match="not today"):
        call(session, ["two"], MODEL)
    assert forms(encoder) == ["base64", "base64"]


def rows(*found: tuple[int, object]) -> object:
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in found]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def test_vectors_are_put_in_the_order_of_their_texts(encoder: Encoder, session: Session) -> None:
    encoder.scripted = [json_answer(rows((1, [2.0]), (0, [1.0])))]
    found, _ = call(session, ["one", "two"], MODEL)
    assert [unpacked(each) for each in found.vectors] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "answer",
    [
        rows((0, [1.0])),
        rows((0, [1.0]), (0, [2.0])),
        rows((0, [1.0]), (1, [None])),
        rows((0, "AACAPw=="), (1, "AAC")),
        rows((0, "not base64!"), (1, "AACAPw==")),
        rows((0, []), (1, [])),
        {"data": None},
        {"hello": "world"},
        [],
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_one_line(
    encoder: Encoder, session: Session, answer: object
) -> None:
    encoder.scripted = [json_answer(answer), json_answer(answer)]
    with pytest.raises(NotTheApi, match="did not answer as an API does"):
        call(session, ["one", "two"], MODEL)
    (row,) = session.ledger.rows()
    assert row.cost.source is Source.UNKNOWN, "the work may have been done, and charged"


def test_a_web_page_is_one_line(encoder: Encoder, session: Session) -> None:
    encoder.scripted = [html(200, "<h1>Sign in</h1>")] * 2
    with pytest.raises(NotTheApi):
        call(session, ["one"], MODEL)


def test_without_usage_the_tokens_are_counted_and_the_cost_estimated(
    encoder: Encoder, session: Session
) -> None:
    encoder.scripted = [json_answer({"data": [{"index": 0, "embedding": [0.5]}]})]
    _, reply = call(session, ["twelve bytes"], MODEL)
    assert reply.usage is not None
    assert (reply.usage.prompt, reply.usage.counted) == (3, False)
    assert reply.cost.source is Source.ESTIMATED


def test_a_service_without_embeddings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from cborg_magics.embeddings import models
    from cborg_magics.errors import BadSetting

    monkeypatch.setenv("LLMBASE_API_KEY", "llmbase_0123456789")
    with pytest.raises(BadSetting, match="LLMBase has no embeddings"):
        models.choose(Session.from_environment())


@pytest.mark.parametrize("packs", [True, False])
def test_the_real_proxy_passes_either_form(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, packs: bool
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", proxy.master_key)
    monkeypatch.setenv("LITELLM_BASE_URL", proxy.url)
    session = Session.from_environment()
    if not packs:
        session.client.packs[MODEL] = False
    found, reply = call(session, ["Apple", "Bread", "Apple"], MODEL)
    first, other, same = (unpacked(each) for each in found.vectors)
    assert first == same != other
    assert all(map(math.isfinite, first))
    assert reply.cost.source is Source.BILLED
    assert reply.cost.dollars


def test_the_real_proxy_takes_a_bare_string_for_a_query(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", proxy.master_key)
    monkeypatch.setenv("LITELLM_BASE_URL", proxy.url)
    session = Session.from_environment()
    call(session, "What is a quark?", MODEL)
    sent = [each["body"]["input"] for each in proxy.seen() if "embeddings" in each["path"]]
    assert "What is a quark?" in sent
