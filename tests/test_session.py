"""A session in plain Python: a few requests at a time, and no call without a row."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cborg_magics import Session
from cborg_magics.errors import StreamBroken
from cborg_magics.exchange import Source
from tests.services.answers import HANG, chat_stream, json_answer, usage
from tests.services.faults import FaultServer


def priced(**prices: float) -> dict[str, Any]:
    info = {f"{name}_cost_per_token": price for name, price in prices.items()}
    return {"data": [{"model_name": "test-model", "model_info": info}]}


def test_no_more_requests_at_a_time_than_the_service_takes(
    service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_PARALLEL", "2")
    service.always("/chat/completions", chat_stream("a", HANG))

    with Session.from_environment() as session, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> None:
            with pytest.raises(StreamBroken):
                session.chat(str(number), once=True, timeout=4)

        asked = [pool.submit(ask, number) for number in range(4)]
        service.wait_for("/chat/completions", 2)
        time.sleep(0.5)
        assert len(service.requests_to("/chat/completions")) == 2, "the others wait their turn"
        for question in asked:
            question.result()
        assert len(service.requests_to("/chat/completions")) == len(session.ledger.rows()) == 4


def test_a_stream_without_a_cost_is_estimated_from_the_price_list(
    service: FaultServer, session: Session
) -> None:
    service.always("/model/info", json_answer(priced(input=3e-06, output=1.5e-05)))
    service.script("/chat/completions", chat_stream("a", 0.3, usage=usage(1000, 100)))
    cost = session.chat("hi").cost
    assert (cost.source, str(cost.dollars)) == (Source.ESTIMATED, "0.0045")


def test_cached_tokens_count_at_their_own_price(service: FaultServer, session: Session) -> None:
    prices = priced(input=3e-06, output=1.5e-05, cache_read_input_token=0)
    prices["data"][0]["model_info"]["cache_read_input_token_cost"] = 3e-07
    service.always("/model/info", json_answer(prices))
    service.script("/chat/completions", chat_stream("a", 0.3, usage=usage(1000, 100, cached=900)))
    cost = session.chat("hi").cost
    assert str(cost.dollars) == "0.00207"


def test_the_cost_headers_of_a_stream_are_not_believed(
    service: FaultServer, session: Session
) -> None:
    trap = {"x-litellm-response-cost": "0.0", "x-litellm-response-cost-original": "0.0"}
    service.script("/chat/completions", chat_stream("a", usage=usage(1000, 100), headers=trap))
    assert session.chat("hi").cost.source is Source.UNKNOWN


def test_deployments_that_differ_in_price_have_none(service: FaultServer, session: Session) -> None:
    one, other = priced(input=1e-06, output=1e-06), priced(input=2e-06, output=2e-06)
    service.always("/model/info", json_answer({"data": one["data"] + other["data"]}))
    service.script("/chat/completions", chat_stream("a", 0.3, usage=usage(1000, 100)))
    assert session.chat("hi").cost.source is Source.UNKNOWN


def test_the_price_list_is_read_once(service: FaultServer, session: Session) -> None:
    for _ in range(3):
        session.chat("hi", once=True)
        time.sleep(0.05)
    assert len(service.requests_to("/model/info")) == 1


def test_a_price_list_that_does_not_come_costs_no_answer(
    service: FaultServer, session: Session
) -> None:
    service.always("/model/info", json_answer({"detail": "Not Found"}, 404))
    reply = session.chat("hi")
    assert (reply.text, reply.cost.source) == ("ok", Source.UNKNOWN)


def test_an_answer_that_stops_at_the_limit_says_so(service: FaultServer, session: Session) -> None:
    from cborg_magics.display import wording

    service.script("/chat/completions", chat_stream("a", finish="length"))
    reply = session.chat("hi")
    assert "cut at the token limit" in wording.badge(reply)
