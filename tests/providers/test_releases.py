"""Older LiteLLM proxies behave alike, by what 1.74 and 1.81 were recorded to answer."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from cborg_magics import Session, errors
from cborg_magics.catalogue import Catalogue, Kind, Prices
from cborg_magics.exchange import Source
from tests.services.answers import Answer, refusal
from tests.services.faults import FaultServer

RECORDED = Path(__file__).parent / "recorded"
HOP_BY_HOP = ("content-length", "transfer-encoding", "date", "server")
CHAT = "/chat/completions"
PRICED, FREE, THINKING = "anthropic/claude-sonnet", "lbl/cborg-chat", "lbl/cborg-deepthought"


@pytest.fixture(params=["1.74", "1.81"])
def release(request: pytest.FixtureRequest, service: FaultServer) -> str:
    """A release, whose list of models the service gives."""
    service.always("/model/info", recorded(request.param, "model-info"))
    return str(request.param)


def recorded(release: str, name: str) -> Answer:
    """An answer as it came over the wire."""
    text = (RECORDED / release / f"{name}.http").read_text(encoding="utf-8")
    head, _, body = text.partition("\n\n")
    status, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    kept = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
    return Answer(int(status.split()[1]), kept, body.encode())


def test_a_whole_answer_is_billed_by_its_header(
    release: str, service: FaultServer, session: Session
) -> None:
    service.script(CHAT, recorded(release, "chat"))
    reply = session.chat("hello there", model=PRICED, stream=False)
    assert reply.text == "You said: hello there"
    assert (str(reply.cost.dollars), reply.cost.source) == ("0.00009", Source.BILLED)
    assert reply.call_id


def test_a_free_model_is_free(release: str, service: FaultServer, session: Session) -> None:
    service.script(CHAT, recorded(release, "chat-free"))
    reply = session.chat("hello there", model=FREE, stream=False)
    assert reply.cost.source is Source.FREE


def test_a_stream_names_no_cost_and_is_estimated(
    release: str, service: FaultServer, session: Session
) -> None:
    service.script(CHAT, recorded(release, "chat-stream-usage").after(0.5))
    reply = session.chat("hello there", model=PRICED)
    assert reply.text == "You said: hello there"
    assert reply.usage is not None
    assert (reply.usage.prompt, reply.usage.completion) == (10, 4)
    assert (str(reply.cost.dollars), reply.cost.source) == ("0.00009", Source.ESTIMATED)


def test_reasoning_is_kept_apart(release: str, service: FaultServer, session: Session) -> None:
    service.script(CHAT, recorded(release, "reasoning-stream-usage"))
    reply = session.chat("hello", model=THINKING)
    assert (reply.reasoning, reply.text) == ("Let me think. ", "You said: hello")
    assert reply.usage is not None
    assert reply.usage.reasoning  # 1.81 counts anew, and finds 5 of 4 tokens


def test_an_error_in_a_stream_breaks_it_off(
    release: str, service: FaultServer, session: Session
) -> None:
    service.script(CHAT, recorded(release, "event"))
    with pytest.raises(errors.StreamBroken, match="CUDA out of memory") as caught:
        session.chat("hi", model=PRICED)
    assert caught.value.reply is not None
    assert caught.value.reply.text == "You said: "


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unknown-model", errors.UnknownModel),
        ("upstream-400-context_length_exceeded", errors.TooLong),
        ("budget-key", errors.BudgetSpent),
        ("budget-user", errors.BudgetSpent),
        ("expired", errors.KeyExpired),
        ("model-not-allowed", errors.ModelNotAllowed),
        ("invalid", errors.KeyRefused),
        ("rpm", errors.Busy),
    ],
)
def test_a_refusal_is_told_for_what_it_is(
    release: str,
    service: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: type[errors.CborgError],
) -> None:
    monkeypatch.setenv("CBORG_MAX_WAIT", "1")
    service.script(CHAT, recorded(release, name))
    with Session.from_environment() as session, pytest.raises(errors.CborgError) as caught:
        session.chat("hi", model="no/such")
    assert type(caught.value) is kind
    assert "Key Hash" not in str(caught.value) or "[key]" in str(caught.value)


def test_the_list_of_models(release: str, service: FaultServer, session: Session) -> None:
    models = Catalogue(tuple(session.client.models()))
    sonnet, vectors = models.find(PRICED), models.find("nomic-embed-text")
    assert sonnet is not None
    assert vectors is not None
    assert sonnet.prices == Prices(*map(Decimal, ("3e-6", "15e-6", "3e-7", "3.75e-6")))
    assert (sonnet.vision, sonnet.caching, sonnet.max_output_tokens) == (True, True, 64_000)
    assert (vectors.kind, vectors.vector_size) == (Kind.EMBEDDING, 8)


def test_where_prices_are_not_for_users_the_names_must_do(
    release: str, service: FaultServer, session: Session
) -> None:
    service.always("/model/info", refusal(403, "auth_error", "Only for admins."))
    service.always("/v1/models", recorded(release, "models"))
    models = Catalogue(tuple(session.client.models()))
    assert models.only(Kind.EMBEDDING).names() == ["nomic-embed-text"], "its name says so"
    assert PRICED in models.only(Kind.CHAT).names()


def test_the_account(release: str, service: FaultServer, session: Session) -> None:
    service.always("/key/info", recorded(release, "key-info"))
    service.always("/user/info", recorded(release, "user-info"))
    key, user = session.client.account().budgets
    assert (key.owner, str(key.limit), key.is_spent) == ("key", "0.5", False)
    assert (user.owner, user.limit) == ("user", 1)
    assert (str(key.spent), str(user.spent)) == ("0.000072", "0.000204")
    assert user.resets_at == datetime(2026, 12, 1, tzinfo=timezone.utc)


def test_a_user_over_the_budget_may_not_even_ask_for_it(
    release: str, service: FaultServer, session: Session
) -> None:
    service.always("/key/info", recorded(release, "budget-key-keyinfo"))
    service.always("/user/info", recorded(release, "budget-user-userinfo"))
    (key,) = session.client.account().budgets
    assert (key.owner, str(key.spent), str(key.limit)) == ("key", "0.000132", "0.0001")
    assert key.is_spent
