"""On the real LiteLLM proxy with its database: the dollars are the proxy's, to the last digit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Context, Decimal
from typing import Any

import pytest

from cborg_magics import errors
from cborg_magics.catalogue import Catalogue, Kind, Prices
from cborg_magics.exchange import Account, Location, Outcome, Source, Text
from cborg_magics.ledger import total
from cborg_magics.providers.litellm import LITELLM
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.services.answers import Answer, json_answer, refusal
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy

FIFTEEN = Context(prec=15)
PRICED = "anthropic/claude-sonnet"
Connect = Callable[..., Session]


@pytest.fixture
def connect(database_proxy: Proxy, home: Any) -> Iterator[Connect]:
    """A session on the proxy with a key of its own, made with the given limits."""
    sessions: list[Session] = []

    def connected(key: str | None = None, **limits: Any) -> Session:
        key = key or database_proxy.new_key(user_id=database_proxy.new_user(), **limits)
        environ = {
            "LITELLM_API_KEY": key,
            "LITELLM_BASE_URL": database_proxy.url,
            "CBORG_MODEL": PRICED,
            "CBORG_HOME": str(home),
            "CBORG_MAX_WAIT": "1",
        }
        sessions.append(Session(Settings.read(environ)))
        return sessions[-1]

    yield connected
    for session in sessions:
        session.close()


def key_of(session: Session) -> str:
    assert session.settings.litellm.key
    return session.settings.litellm.key.reveal()


# -- money ---------------------------------------------------------------------------------


def test_the_ledgers_sum_is_the_proxys_to_the_last_digit(
    connect: Connect, database_proxy: Proxy
) -> None:
    session = connect()
    for stream in (True, False):
        session.chat("!tokens 7", stream=stream, once=True)
        session.chat("!cached 5000", stream=stream, once=True)
        session.chat("!tokens 33", stream=stream, once=True, model="openai/gpt-4.1")
        session.chat("!reason 4 3", stream=stream, once=True, model="lbl/cborg-deepthought")
        session.chat("free", stream=stream, once=True, model="lbl/cborg-chat")
    rows = session.ledger.rows()
    assert total(rows).unpriced == 0
    logged = [Decimal(str(row["spend"])) for row in database_proxy.spend_logs(key_of(session), 10)]
    # Answers carry all digits of a float (0.0015450000000000001), the log the first fifteen.
    ours = [FIFTEEN.create_decimal(row.cost.dollars or 0) for row in rows]
    assert sorted(ours) == sorted(logged)
    assert sum(ours) == sum(logged) == FIFTEEN.create_decimal(total(rows).dollars)
    assert {row.cost.source for row in rows if row.model in (PRICED, "openai/gpt-4.1")} == {
        Source.BILLED
    }


@pytest.mark.parametrize("stream", [True, False])
def test_free_is_free_and_unpriced_is_unknown(connect: Connect, stream: bool) -> None:
    session = connect()
    free = session.chat("hi", model="lbl/cborg-chat", stream=stream)
    unknown = session.chat("hi", model="test/unpriced", stream=stream)
    assert (free.cost.source, free.cost.dollars) == (Source.FREE, 0)
    assert (unknown.cost.source, unknown.cost.dollars) == (Source.UNKNOWN, None)


def test_an_interrupted_answer_is_estimated_and_its_bill_is_found_by_call_id(
    connect: Connect, database_proxy: Proxy
) -> None:
    session = connect()
    session.chat("!tokens 2", once=True)  # the price list is here now
    heard: list[Any] = []

    def stop(event: Any) -> None:
        heard.append(event)
        if sum(isinstance(event, Text) for event in heard) == 20:
            raise KeyboardInterrupt

    with pytest.raises(errors.Interrupted) as caught:
        session.chat("!markdown 0.02", once=True, on_event=stop)
    reply = caught.value.reply
    assert reply is not None
    assert reply.outcome is Outcome.INTERRUPTED
    assert reply.cost.source is Source.ESTIMATED
    bill = billed(database_proxy, reply.call_id, key_of(session))
    assert bill > 0
    assert reply.cost.dollars is not None
    assert Decimal("0.4") < reply.cost.dollars / bill < Decimal("2.5"), (reply.cost, bill)


def billed(proxy: Proxy, call_id: str | None, key: str) -> Decimal:
    """What the proxy's own log says of one call, once it is written."""
    for _ in range(150):
        _, _, rows = proxy.call(f"/spend/logs?request_id={call_id}", key=key)
        if rows:
            return Decimal(str(rows[0]["spend"]))
        time.sleep(0.2)
    raise TimeoutError(f"no bill for {call_id}")


def test_what_answered_and_where_is_said_as_far_as_it_is_known(connect: Connect) -> None:
    session = connect()
    priced = session.chat("hi", once=True)
    assert (priced.model, priced.served) == (PRICED, "openai/claude-sonnet-4-5")
    assert priced.location is Location.UNKNOWN, "the address of the model behind is no proof"
    assert session.catalogue() is not None


# -- the account ---------------------------------------------------------------------------


def test_every_budget_that_binds_a_key_is_told(connect: Connect, database_proxy: Proxy) -> None:
    team = database_proxy.new_team(max_budget=5, budget_duration="30d")
    user = database_proxy.new_user(max_budget=2, budget_duration="7d")
    key = database_proxy.new_key(user_id=user, team_id=team, max_budget=1, duration="30d")
    account = connect(key).client.account()
    limits = {budget.owner: budget.limit for budget in account.budgets}
    assert limits == {"key": 1, "user": 2, "team": 5}
    assert [budget.spent for budget in account.budgets] == [0, 0, 0]
    assert [budget.resets_at is not None for budget in account.budgets] == [False, True, True]
    assert account.expires_at is not None
    assert 29 <= (account.expires_at - datetime.now(timezone.utc)).days <= 30


@pytest.mark.parametrize(
    ("owners", "told"), [((), ["key"]), (("user",), ["key", "user"]), (("team",), ["key", "team"])]
)
def test_a_key_need_have_neither_user_nor_team_nor_limit(
    connect: Connect, database_proxy: Proxy, owners: tuple[str, ...], told: list[str]
) -> None:
    makers = {"user": database_proxy.new_user, "team": database_proxy.new_team}
    key = database_proxy.new_key(**{f"{owner}_id": makers[owner]() for owner in owners})
    account = connect(key).client.account()
    assert [budget.owner for budget in account.budgets] == told
    assert {budget.limit for budget in account.budgets} == {None}
    assert account.expires_at is None


def test_what_was_spent_is_told_without_a_limit(connect: Connect, database_proxy: Proxy) -> None:
    key = database_proxy.new_key(team_id=database_proxy.new_team())
    session = connect(key)
    session.chat("!tokens 50", once=True)
    database_proxy.wait_for_spend(key)
    budgets = {budget.owner: budget for budget in session.client.account().budgets}
    assert budgets["key"].spent > 0
    assert not budgets["key"].is_spent


def test_a_key_that_may_not_ask_has_an_account_without_news(
    connect: Connect, database_proxy: Proxy
) -> None:
    blocked = database_proxy.new_key()
    database_proxy.block_key(blocked)
    for key in (blocked, database_proxy.new_key(duration="1s"), "sk-wrong-0123456789abcdef"):
        session = connect(key)
        time.sleep(1.5)
        assert session.client.account() == Account()
    for_models_alone = connect(database_proxy.new_key(key_type="llm_api"))
    assert for_models_alone.client.account() == Account()
    assert for_models_alone.chat("hi").text == "You said: hi"


# -- the list of models --------------------------------------------------------------------


def test_what_the_list_says_of_a_model(connect: Connect) -> None:
    models = Catalogue(tuple(connect().client.models()))
    sonnet, vectors = models.find(PRICED), models.find("nomic-embed-text")
    assert sonnet is not None
    assert vectors is not None
    assert sonnet.prices == Prices(*map(Decimal, ("3e-6", "15e-6", "3e-7", "3.75e-6")))
    assert (sonnet.max_input_tokens, sonnet.max_output_tokens) == (200_000, 64_000)
    assert (sonnet.vision, sonnet.caching, sonnet.system) == (True, True, None)
    assert (vectors.kind, vectors.vector_size) == (Kind.EMBEDDING, 8)
    free, unpriced = models.find("lbl/cborg-chat"), models.find("test/unpriced")
    assert free is not None
    assert unpriced is not None
    assert (free.tools, free.vision, free.prices.free) == (True, False, True)
    assert unpriced.prices == Prices()


def test_a_key_sees_the_models_that_it_may_use(connect: Connect) -> None:
    models = connect(models=["lbl/cborg-chat"]).client.models()
    assert [model.name for model in models] == ["lbl/cborg-chat"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_where_prices_are_not_for_users_the_names_must_do(
    service: FaultServer, session: Session, database_proxy: Proxy, status: int
) -> None:
    service.always("/model/info", refusal(status, "auth_error", "Only for admins."))
    service.always("/v1/models", json_answer(database_proxy.call("/v1/models")[2]))
    models = Catalogue(tuple(session.client.models()))
    sonnet, vectors = models.find(PRICED), models.find("nomic-embed-text")
    assert sonnet is not None
    assert vectors is not None
    assert sonnet.max_input_tokens == 200_000
    assert sonnet.prices == Prices()
    assert vectors.kind is Kind.EMBEDDING
    assert session.chat("hi", model=PRICED).cost.source is Source.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        refusal(503, "internal_server_error", "later"),
        refusal(429, "throttling_error", "slowly"),
        refusal(422, "budget_exceeded", "spent"),
    ],
    ids=["away", "busy", "over budget"],
)
def test_names_alone_do_not_take_the_place_of_prices_that_are_away(
    service: FaultServer, session: Session, answer: Answer
) -> None:
    service.always("/model/info", answer)
    service.always("/v1/models", json_answer({"data": [{"id": "a"}]}))
    with pytest.raises(errors.Refused):
        session.client.models()


def test_that_another_model_answered_is_known() -> None:
    assert LITELLM.fallback({"x-litellm-attempted-fallbacks": "1"}) == ""
    assert LITELLM.fallback({"x-litellm-attempted-fallbacks": "0"}) is None
    assert LITELLM.fallback({}) is None


# -- refusals ------------------------------------------------------------------------------


def refused(session: Session, kind: type[errors.CborgError], text: str = "hi", **how: Any) -> str:
    """The words of a refusal, which must be of that kind and leave a row that cost nothing."""
    with pytest.raises(errors.CborgError) as caught:
        session.chat(text, once=True, **how)
    assert type(caught.value) is kind, caught.value
    words = str(caught.value)
    assert len(words.splitlines()) <= 3
    assert key_of(session) not in words
    row = session.ledger.rows()[-1]
    assert (row.outcome, row.error, row.cost.dollars) == (Outcome.FAILED, kind.__name__, 0)
    return words


def test_a_wrong_key(connect: Connect) -> None:
    for key in ("sk-wrong-0123456789abcdef", "no-virtual-key-at-all"):
        words = refused(connect(key), errors.KeyRefused)
        assert key[-4:] not in words, "LiteLLM echoes the end of it"
        assert "LITELLM_API_KEY" in words


def test_a_blocked_key_says_so(connect: Connect, database_proxy: Proxy) -> None:
    session = connect()
    session.chat("hi", once=True)
    database_proxy.block_key(key_of(session))
    assert "blocked" in refused(session, errors.KeyRefused)


def test_an_expired_key(connect: Connect) -> None:
    session = connect(duration="1s")
    time.sleep(1.5)
    refused(session, errors.KeyExpired)


def test_a_model_that_the_key_may_not_use(connect: Connect) -> None:
    session = connect(models=["lbl/cborg-chat"])
    refused(session, errors.ModelNotAllowed)
    session.chat("hi", model="lbl/cborg-chat")


def test_a_model_that_does_not_exist_is_answered_with_the_nearest(connect: Connect) -> None:
    words = refused(connect(), errors.UnknownModel, model="anthropic/claude-sonet")
    assert f"Did you mean {PRICED}" in words


@pytest.mark.parametrize("owner", ["key", "user", "team"])
def test_a_spent_budget(connect: Connect, database_proxy: Proxy, owner: str) -> None:
    limit = {"max_budget": 0.000001, "budget_duration": "30d"}
    if owner == "key":
        key = database_proxy.new_key(user_id=database_proxy.new_user(), **limit)
    elif owner == "user":
        key = database_proxy.new_key(user_id=database_proxy.new_user(**limit))
    else:
        key = database_proxy.new_key(team_id=database_proxy.new_team(**limit))
    session = connect(key)
    session.chat("!tokens 50", once=True)
    database_proxy.wait_for_spend(key)
    words = ""
    for _ in range(50):  # the proxy looks at what it has booked, and books in its own time
        try:
            session.chat("!tokens 50", once=True)
        except errors.BudgetSpent:
            words = refused(session, errors.BudgetSpent)
            break
        time.sleep(0.3)
    assert "budget" in words.lower()
    assert f"The {owner}'s budget of $0.000001 is spent; it resets on 20" in words
    (spent,) = [each for each in session.client.account().budgets if each.is_spent]
    assert spent.owner == owner
    assert spent.spent > 0


def test_too_many_requests_are_waited_for(connect: Connect) -> None:
    session = connect(rpm_limit=1)
    session.chat("hi", once=True)
    refused(session, errors.Busy)  # it asks for a minute, and our patience was set to a second


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("!err 400", errors.Refused),
        ("!err 401", errors.Refused),
        ("!err 402", errors.Refused),
        ("!err 403", errors.Refused),
        ("!err 429", errors.Busy),
        ("!err 500", errors.Unavailable),
        ("!err 503", errors.Unavailable),
        ("!err 529", errors.Unavailable),
        ("!err 408", errors.Unavailable),
        ("!err 400 context_length_exceeded", errors.TooLong),
        ("!err 400 content_policy_violation", errors.PolicyRefusal),
    ],
)
def test_what_the_model_behind_the_proxy_refuses(
    connect: Connect, text: str, kind: type[errors.CborgError]
) -> None:
    refused(connect(), kind, text)


@pytest.mark.parametrize(
    ("model", "text"), [("test/down", "hi"), ("test/slow", "!sleep 3")], ids=["down", "slow"]
)
def test_a_model_that_is_away(connect: Connect, model: str, text: str) -> None:
    refused(connect(), errors.Unavailable, text, model=model)


@pytest.mark.parametrize("text", ["!cut 5", "!event 5"])
def test_a_stream_that_breaks_off(connect: Connect, text: str) -> None:
    session = connect()
    with pytest.raises(errors.StreamBroken) as caught:
        session.chat(text, once=True)
    assert caught.value.reply is not None
    assert caught.value.reply.text.split()
    assert session.ledger.rows()[-1].outcome is Outcome.BROKEN
