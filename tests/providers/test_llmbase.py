"""LLMBase, by its public documentation: what a model lacks is known before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cborg_magics import errors, pricing
from cborg_magics.catalogue import Catalogue, Model
from cborg_magics.display import wording
from cborg_magics.exchange import Message, Picture, Request, Source
from cborg_magics.providers.llmbase import LLMBASE
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.services import llmbase
from tests.services.llmbase import AWAY, KEY, LLMBase
from tests.services.proxy import send

FLASH, KIMI, OCR = (llmbase.MODELS[n][0] for n in (0, 2, 3))
PICTURE = Picture("fig", "image/png", b"x" * 100, size=(750, 1000))


@pytest.fixture
def server() -> Iterator[LLMBase]:
    with LLMBase() as server:
        yield server


@pytest.fixture
def session(server: LLMBase, home: Any) -> Iterator[Session]:
    with connect(server, home) as session:
        yield session


def connect(server: LLMBase, home: Any, key: str = KEY) -> Session:
    variables = {"LLMBASE_API_KEY": key, "LLMBASE_BASE_URL": server.url, "CBORG_MAX_WAIT": "1"}
    return Session(Settings.read({**variables, "CBORG_HOME": str(home)}))


def listed(session: Session) -> Catalogue:
    return Catalogue(tuple(session.client.models()))


# -- the list of models --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["openrouter", "table", "nested"])
def test_prices_are_per_token_in_whichever_form_they_come(form: str, home: Any) -> None:
    with LLMBase(form) as server, connect(server, home) as session:
        models = listed(session)
    flash, other = models.find(FLASH), models.find(AWAY)
    assert flash is not None
    assert other is not None
    prices = flash.prices
    assert prices.prompt == Decimal("2e-7"), "$0.20 for a million tokens"
    assert prices.completion == Decimal("3e-7")
    assert prices.cached == Decimal("2e-8")
    assert other.prices.cached is None


def test_what_a_model_can_do_is_known(session: Session) -> None:
    models = listed(session)
    kimi, ocr = models.find(KIMI), models.find(OCR)
    assert kimi is not None
    assert ocr is not None
    assert (kimi.vision, kimi.tools, kimi.reasoning, kimi.schemas) == (True, True, True, True)
    assert (kimi.max_input_tokens, kimi.max_output_tokens) == (262_144, 65_536)
    assert kimi.caching is True
    assert (ocr.vision, ocr.tools, ocr.reasoning, ocr.schemas) == (True, False, False, False)
    assert (ocr.json_mode, ocr.caching) == (False, None)


@pytest.mark.parametrize(
    ("without", "rich"),
    [
        (("/v1/model-metadata",), True),
        (("/v1/models?metadata=true",), True),
        (("/v1/model-metadata", "/v1/models?metadata=true"), False),
    ],
    ids=["the other list", "the first list", "names alone"],
)
def test_where_a_list_is_not_there_another_one_must_do(
    server: LLMBase, session: Session, without: tuple[str, ...], rich: bool
) -> None:
    server.without = without
    models = listed(session)
    assert models.names() == [model[0] for model in llmbase.MODELS]
    assert (models.models[0].prices.prompt is not None) is rich
    assert (models.models[0].tools is not None) is rich


# -- what a model lacks --------------------------------------------------------------------

CANNOT = [
    ({"attachments": True}, FLASH, KIMI, errors.BadAttachment, "pictures"),
    ({"format": {"type": "json_schema"}}, AWAY, FLASH, errors.BadOption, "schema"),
    ({"format": {"type": "json_object"}}, OCR, AWAY, errors.BadOption, "JSON"),
    ({"reasoning_effort": "high"}, AWAY, FLASH, errors.BadOption, "reasoning effort"),
]


def asked(model: str, changes: dict[str, Any]) -> Request:
    changes = dict(changes)
    pictures = (PICTURE,) if changes.pop("attachments", False) else ()
    return Request(model, (Message("user", "hi", pictures),), stream=False, **changes)


@pytest.mark.parametrize(("changes", "lacking", "able", "kind", "word"), CANNOT)
def test_what_the_service_would_refuse_is_refused_before_it_is_sent(
    session: Session,
    server: LLMBase,
    changes: dict[str, Any],
    lacking: str,
    able: str,
    kind: type[errors.CborgError],
    word: str,
) -> None:
    models = listed(session)
    LLMBASE.check(asked(able, changes), models.find(able))
    with pytest.raises(kind, match=f"{lacking} .*{word}") as caught:
        LLMBASE.check(asked(lacking, changes), models.find(lacking))
    assert len(str(caught.value).splitlines()) <= 2
    # and the service would have refused indeed
    with pytest.raises(errors.Refused) as refusal:
        session.client.answer(asked(lacking, changes)).open()
    assert refusal.value.status == 400
    session.client.answer(asked(able, changes)).open()


def test_nothing_is_refused_that_is_not_known_to_be_lacking() -> None:
    everything = asked(FLASH, {"reasoning_effort": "high", "temperature": 0.5, "attachments": True})
    LLMBASE.check(everything, None)
    LLMBASE.check(everything, Model(FLASH))
    special = Model(FLASH, parameters=frozenset({"reasoning_effort"}))
    LLMBASE.check(everything, special)  # a list of what is special says nothing of the usual


def test_a_temperature_that_a_model_does_not_take() -> None:
    fixed = Model(FLASH, parameters=frozenset({"max_tokens", "stop"}))
    with pytest.raises(errors.BadOption, match="takes no temperature"):
        LLMBASE.check(asked(FLASH, {"temperature": 0.5}), fixed)


# -- money ---------------------------------------------------------------------------------


def test_the_cost_is_estimated_with_the_cached_tokens_at_their_own_price(session: Session) -> None:
    session.catalogue(wait=10)
    reply = session.chat("!cached 10000", once=True)
    assert reply.usage is not None
    assert reply.usage.cached == 10000
    assert reply.cost.source is Source.ESTIMATED
    fresh = reply.usage.prompt - 10000
    expected = fresh * Decimal("2e-7") + 10000 * Decimal("2e-8") + Decimal("3e-7")
    assert reply.cost.dollars == expected


def test_an_answer_is_always_bounded(server: LLMBase, session: Session) -> None:
    session.chat("hi", once=True)
    session.chat("hi", once=True, max_tokens=7)
    sent = [r.body["max_tokens"] for r in server.requests if r.method == "POST"]
    assert sent == [4096, 7]


def test_the_bound_is_what_the_model_can_write_where_that_is_less() -> None:
    assert LLMBASE.longest_answer(None) == 4096
    assert LLMBASE.longest_answer(Model("a", max_output_tokens=1000)) == 1000
    assert LLMBASE.longest_answer(Model("a", max_output_tokens=65_536)) == 4096


@pytest.mark.parametrize(
    ("answer", "credit"),
    [
        ({"balance": "12.50", "currency": "USD"}, "12.50"),
        ({"balance": 3}, "3"),
        ({"balance": {"amount": "0.07", "currency": "usd"}}, "0.07"),
        ({"data": {"available_balance": 1.5}}, "1.5"),
        ({"balance": "9.99", "currency": "EUR"}, None),
        ({"object": "balance"}, None),
        ({"balance": None}, None),
        ({"balance": "-0.02"}, None),
        ([], None),
    ],
)
def test_the_balance_is_told_in_dollars_or_not_at_all(
    server: LLMBase, session: Session, answer: object, credit: str | None
) -> None:
    server.balance_answer = answer or [None]
    told = session.client.account()
    assert told.credit == (Decimal(credit) if credit else None)
    assert told.budgets == ()


def test_an_empty_account_is_told_as_one(server: LLMBase, session: Session) -> None:
    server.balance = "0"
    with pytest.raises(errors.OutOfCredit, match=r"llmbase\.ai"):
        session.chat("hi", once=True)


# -- who answers, and who may ask ----------------------------------------------------------


def test_that_another_model_answered_is_known(server: LLMBase, session: Session) -> None:
    fell = session.chat("hi", model=AWAY, once=True)
    assert (fell.model, fell.served) == (AWAY, FLASH)
    plain = session.chat("hi", model=KIMI, once=True)
    assert (plain.model, plain.served) == (KIMI, KIMI)
    assert LLMBASE.fallback(llmbase.headers(AWAY, FLASH)) == "model_unavailable"
    assert LLMBASE.fallback(llmbase.headers(KIMI, KIMI)) is None
    assert LLMBASE.fallback({}) is None


def test_a_key_of_the_chat_product_is_never_sent(server: LLMBase, home: Any) -> None:
    with connect(server, home, "llmbase_chat_0123456789abcdef") as session:
        session.settings = replace(session.settings, provider="llmbase")
        with pytest.raises(errors.BadSetting, match="llmbase_"):
            session.chat("hi")
    assert server.requests == []


def test_it_has_no_embeddings_and_reads_cache_keys() -> None:
    assert not LLMBASE.embeds
    assert LLMBASE.cache_keys


def test_another_model_that_answers_is_told_and_the_cheaper_price_counts(
    session: Session,
) -> None:
    reply = session.chat("hi", model=AWAY)
    assert reply.fallback == "model_unavailable"
    assert "not the model you asked (model_unavailable)" in wording.badge(reply)
    assert reply.usage is not None
    costs = []
    for name in (AWAY, reply.served or ""):
        model = (session.catalogue(5) or Catalogue()).find(name)
        assert model is not None
        cost = pricing.price_of(reply.usage, None, model.prices)
        assert cost.dollars is not None
        costs.append(cost.dollars)
    assert reply.cost.dollars == min(costs)


def test_the_calls_of_a_thread_say_that_they_begin_alike(server: LLMBase, session: Session) -> None:
    session.chat("hi")
    session.chat("again")
    session.chat("alone", once=True)
    session.chat("elsewhere", thread="side")
    asked = [each.body for each in server.requests if each.method == "POST"]
    first, second, alone, side = (body.get("prompt_cache_key") for body in asked)
    assert first == second != side
    assert alone is None
    assert "main" not in first


def test_a_longest_answer_is_always_sent(server: LLMBase, session: Session) -> None:
    session.chat("hi")
    assert [each.body["max_tokens"] for each in server.requests if each.method == "POST"] == [4096]


def test_a_list_of_an_earlier_day_serves_while_the_service_is_away(
    server: LLMBase, home: Path
) -> None:
    with connect(server, home) as session:
        assert session.catalogue(5)
    (file,) = (home / "models").iterdir()
    assert KEY not in file.read_text()
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "read_at": "2026-01-01T00:00:00+00:00"}))
    server.stop()
    with connect(server, home) as session:
        catalogue = session.catalogue(5)
        assert catalogue is not None
        assert catalogue.stale
        assert catalogue.names()
    server.start()


# -- the stand-in keeps to the documentation -----------------------------------------------


def test_a_stream_ends_with_usage_beside_a_choice(server: LLMBase) -> None:
    body = {"model": FLASH, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    _, _, text = send(f"{server.url}/v1/chat/completions", body, KEY)
    last = text.strip().split("\n\n")[-2]
    assert '"usage"' in last
    assert '"finish_reason": "stop"' in last


def test_without_the_header_cloudflare_stands_in_the_way(server: LLMBase) -> None:
    assert send(f"{server.url}/v1/models")[0] == 403
    assert send(f"{server.url}/v1/models", key=KEY)[0] == 200
    status, _, answer = send(f"{server.url}/v1/balance", key="llmbase_chat_0123456789")
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert send(f"{server.url}/v1/embeddings", {"input": "a"}, KEY)[0] == 404
