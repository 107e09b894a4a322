"""The ledger and the service's log, call by call: what is corrected, and what nobody explains."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from cborg_magics import errors, spending
from cborg_magics.exchange import Cost, LogDay, LogEntry, Outcome, ServiceLog, Source, Text
from cborg_magics.ledger import Ledger, Row, total
from cborg_magics.pricing import FREE
from cborg_magics.reconciling import Comparison, DayCompared, by_day, compare, reconcile
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.providers.test_releases import recorded
from tests.services.answers import Answer, json_answer, refusal
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy
from tests.test_ledger import reply
from tests.test_spending import ROW, row

BEGIN = ROW.started - timedelta(days=1)
PRICED = "anthropic/claude-sonnet"
Connect = Callable[..., Session]


def entry(dollars: str = "0.01", **changes: object) -> LogEntry:
    logged = LogEntry("c1", "a1", ROW.started, "gpt-5", Decimal(dollars), failed=False, ours=True)
    return replace(logged, **changes)  # type: ignore[arg-type]


def one(ledger: Row, *log: LogEntry) -> Comparison:
    return compare([ledger], log, BEGIN)


# -- two lists -------------------------------------------------------------------------------


def test_the_same_bill_on_both_sides_is_agreed_upon_to_the_digits_of_the_log() -> None:
    both = row("0.0015450000000000001", call_id="c1")
    assert one(both, entry("0.001545")) == Comparison(agreed=(both,))


def test_an_estimate_gives_way_to_the_bill() -> None:
    guess = row("0.02", source=Source.ESTIMATED, call_id="c1")
    assert one(guess, entry("0.03")).bills == ((guess, Cost(Decimal("0.03"), Source.BILLED)),)
    assert one(guess, entry("0", failed=True)).bills == ((guess, FREE),)


def test_what_was_thought_to_be_free_and_is_billed_is_corrected() -> None:
    free = row("0", source=Source.FREE, call_id="c1")
    assert one(free, entry("0")).agreed == (free,)
    assert one(free, entry("0.3")).bills[0][1] == Cost(Decimal("0.3"), Source.BILLED)


def test_a_zero_in_the_log_is_no_price_where_none_is_known() -> None:
    unknown = row(None, call_id="c1")
    assert one(unknown, entry("0")).agreed == (unknown,)
    assert one(unknown, entry("0", failed=True)).bills == ((unknown, FREE),)
    assert one(unknown, entry("0.2")).bills[0][1].dollars == Decimal("0.2")


def test_another_bill_than_was_told_is_shown_and_not_corrected() -> None:
    billed = row("0.02", call_id="c1")
    assert one(billed, entry("0.03")) == Comparison(differing=((billed, Decimal("0.03")),))


def test_old_releases_log_only_the_answers_number() -> None:
    guess = row("0.02", source=Source.ESTIMATED, call_id="c1", answer_id="a1")
    found = one(guess, entry("0.03", call_id=None))
    assert [bill.dollars for _, bill in found.bills] == [Decimal("0.03")]
    assert found.unwritten == ()


def test_an_answers_number_that_many_answers_have_joins_nothing() -> None:
    same = [row(call_id=None, answer_id="a1"), row(call_id=None, answer_id="a1")]
    found = compare(same, [entry(call_id=None)], BEGIN)
    assert len(found.unlogged) == 2
    assert len(found.unwritten) == 1


def test_a_call_may_have_several_entries() -> None:
    guess = row("0.02", source=Source.ESTIMATED, call_id="c1")
    found = one(guess, entry("0", failed=True, answer_id="c1"), entry("0.03"))
    assert found.bills[0][1] == Cost(Decimal("0.03"), Source.BILLED)
    assert found.unwritten == ()


def test_what_one_side_lacks_is_told_unless_it_cost_nothing_and_was_refused() -> None:
    ours = row("0.02", call_id="c2")
    refused = row("0", source=Source.FREE, outcome=Outcome.FAILED, call_id=None)
    waited_in_vain = row(None, outcome=Outcome.FAILED, call_id=None)
    theirs, failed = entry(), entry("0", failed=True, call_id="c3")
    other_key = entry(call_id="c4", ours=False)
    found = compare([ours, refused, waited_in_vain], [theirs, failed, other_key], BEGIN)
    assert found == Comparison(unlogged=(ours, waited_in_vain), unwritten=(theirs,))


def test_a_call_with_another_key_of_the_same_user_finds_its_bill() -> None:
    guess = row("0.02", source=Source.ESTIMATED, call_id="c1")
    assert len(one(guess, entry("0.03", ours=False)).bills) == 1


def test_a_call_on_the_border_finds_its_other_half() -> None:
    late = row(call_id="c1", started=BEGIN + timedelta(seconds=1))
    early = entry(started=BEGIN - timedelta(seconds=1))
    assert one(late, early) == Comparison(agreed=(late,))
    assert one(replace(late, call_id="c9", started=BEGIN - timedelta(seconds=1)), early) == (
        Comparison()
    )


def test_sums_by_day_stand_beside_each_other() -> None:
    day = LogDay(date(2026, 11, 20), Decimal("0.5"), 3)
    here = row("0.01", started=datetime(2026, 11, 21, 23, 30, tzinfo=timezone.utc))
    assert by_day([here], [day]) == (
        DayCompared(day, Decimal(0), 0),
        DayCompared(LogDay(date(2026, 11, 21), Decimal(0), 0), Decimal("0.01"), 1),
    )


# -- with a ledger ---------------------------------------------------------------------------


def test_bills_are_noted_and_found_again_only_once(home: Any) -> None:
    ledger = Ledger(home)
    ledger.record(replace(reply("0.5", Source.ESTIMATED), call_id="c1"), "k")
    read = lambda since: ServiceLog((entry("0.4"),))  # noqa: E731
    found = reconcile(ledger, "api.example.org", read, BEGIN)
    assert isinstance(found, Comparison)
    assert len(found.bills) == 1
    assert ledger.rows()[0].cost == Cost(Decimal("0.4"), Source.BILLED)
    again = reconcile(ledger, "api.example.org", read, BEGIN)
    assert isinstance(again, Comparison)
    assert (len(again.bills), len(again.agreed)) == (0, 1)


def test_calls_to_another_service_are_left_alone(home: Any) -> None:
    ledger = Ledger(home)
    ledger.record(replace(reply("0.5", Source.ESTIMATED), call_id="c1"), "k")
    found = reconcile(ledger, "other.example.org", lambda since: ServiceLog(()), BEGIN)
    assert found == Comparison()


def test_a_fresh_call_is_waited_for_and_not_for_long(home: Any) -> None:
    ledger, asked = Ledger(home), []
    now = datetime.now(timezone.utc)
    ledger.record(replace(reply(), call_id="c1", started=now), "k")

    def read(since: datetime) -> ServiceLog:
        asked.append(since)
        return ServiceLog((entry("0.000678", started=now),) if len(asked) > 2 else ())

    found = reconcile(ledger, "api.example.org", read, now - timedelta(hours=1))
    assert isinstance(found, Comparison)
    assert (len(asked), len(found.agreed)) == (3, 1)
    began = time.monotonic()
    never = reconcile(
        ledger,
        "api.example.org",
        lambda since: ServiceLog(()),
        now - timedelta(hours=1),
        patience=1.5,
    )
    assert isinstance(never, Comparison)
    assert len(never.unlogged) == 1
    assert time.monotonic() - began < 10


# -- what old releases were recorded to answer -------------------------------------------------

WEEK = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.mark.parametrize("release", ["1.74", "1.81"])
def test_an_old_release_is_joined_by_the_answers_number(
    release: str, service: FaultServer, session: Session
) -> None:
    service.always("/key/info", recorded(release, "database-key-info"))
    service.always("/spend/logs", recorded(release, "database-spend-logs"))
    service.script("/chat/completions", recorded(release, "database-chat"))
    answer = session.chat("hi", model=PRICED, stream=False)
    assert answer.answer_id
    log = session.client.log_since(WEEK)
    assert log.calls is not None
    assert log.calls[0].ours
    found = compare(session.ledger.rows(), log.calls, WEEK)
    assert [each.answer_id for each in found.agreed] == [answer.answer_id]
    failed = [each for each in log.calls if each.failed]
    assert [each.call_id for each in failed] == [each.answer_id for each in failed]


def logs(session: Session) -> ServiceLog:
    return session.client.log_since(WEEK)


def test_a_release_that_sums_up_by_day_is_asked_for_all_it_has(
    service: FaultServer, session: Session
) -> None:
    sums = json_answer([{"startTime": "2026-11-21", "spend": 0.1, "users": {}, "models": {}}])
    service.script("/spend/logs", sums, recorded("1.81", "database-spend-logs"))
    found = logs(session)
    assert found.calls is not None
    assert len(found.calls) == 3


ACTIVITY = {
    "results": [
        {
            "date": "2026-11-21",
            "metrics": {"spend": 0.5},
            "breakdown": {
                "api_keys": {"hash": {"metrics": {"spend": 0.25, "successful_requests": 7}}}
            },
        }
    ]
}


@pytest.mark.parametrize(
    "log", [refusal(401, "auth_error", "Only proxy admin can"), json_answer([])]
)
def test_where_calls_are_not_told_the_days_of_this_key_are(
    log: Answer, service: FaultServer, session: Session
) -> None:
    service.always("/key/info", json_answer({"key": "hash", "info": {}}))
    service.always("/spend/logs", log)
    service.always("/user/daily/activity", json_answer(ACTIVITY))
    assert logs(session).days == (LogDay(date(2026, 11, 21), Decimal("0.25"), 7),)


def test_a_service_that_tells_nothing_is_not_an_empty_one(
    service: FaultServer, session: Session
) -> None:
    for path in ("/key/info", "/spend/logs", "/user/daily/activity"):
        service.always(path, refusal(401, "auth_error", "Only proxy admin can"))
    assert logs(session) == ServiceLog()
    assert reconcile(session.ledger, "x", session.client.log_since, WEEK) is None


def test_rows_that_make_no_sense_are_left_out(service: FaultServer, session: Session) -> None:
    odd = [{"request_id": "a"}, None, {"request_id": "b", "spend": "x", "startTime": 3}]
    service.always("/key/info", json_answer([]))
    service.always("/spend/logs", json_answer(odd))
    assert logs(session).calls == ()


# -- on the real proxy -------------------------------------------------------------------------


@pytest.fixture
def connect(database_proxy: Proxy, home: Any) -> Iterator[Connect]:
    """A session on the proxy with a key of its own, or the given one."""
    sessions: list[Session] = []

    def connected(key: str | None = None, folder: str = "") -> Session:
        key = key or database_proxy.new_key(user_id=database_proxy.new_user())
        environ = {
            "LITELLM_API_KEY": key,
            "LITELLM_BASE_URL": database_proxy.url,
            "CBORG_MODEL": PRICED,
            "CBORG_HOME": str(home / folder),
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


def reconciled(session: Session) -> Comparison:
    since = spending.month(datetime.now().astimezone().date())
    host = session.service.host
    found = reconcile(session.ledger, host, session.client.log_since, since, patience=20)
    assert isinstance(found, Comparison)
    return found


def test_streamed_or_not_free_or_failed_every_call_is_found(connect: Connect) -> None:
    session = connect()
    for stream in (True, False):
        session.chat("!tokens 7", stream=stream, once=True)
        session.chat("free", stream=stream, once=True, model="lbl/cborg-chat")
        session.chat("hi", stream=stream, once=True, model="test/unpriced")
        with pytest.raises(errors.CborgError):
            session.chat("!err 400", stream=stream, once=True)
    found = reconciled(session)
    assert len(found.agreed) >= 6
    assert replace(found, agreed=()) == Comparison()


def test_an_interrupted_answer_is_billed_in_the_end(connect: Connect) -> None:
    session = connect()
    session.chat("!tokens 2", once=True)  # the price list is here now
    heard: list[Any] = []

    def stop(event: Any) -> None:
        heard.append(event)
        if sum(isinstance(event, Text) for event in heard) == 20:
            raise KeyboardInterrupt

    with pytest.raises(errors.Interrupted):
        session.chat("!markdown 0.02", once=True, on_event=stop)
    before = session.ledger.rows()[-1]
    assert before.cost.source is Source.ESTIMATED
    found = reconciled(session)
    assert [each.call_id for each, _ in found.bills] == [before.call_id]
    after = session.ledger.rows()
    assert after[-1].cost.source is Source.BILLED
    assert total(after).estimated == 0


def test_rows_that_one_side_lacks_are_found(connect: Connect, database_proxy: Proxy) -> None:
    session = connect()
    for _ in range(3):
        session.chat("!tokens 3", once=True)
    lost, kept, _ = session.ledger.rows()
    with closing(sqlite3.connect(session.ledger.path)) as db, db:
        db.execute("DELETE FROM calls WHERE call_id = ?", [lost.call_id])
    now = datetime.now(timezone.utc) - timedelta(minutes=2)
    invented = replace(reply(), host=kept.host, call_id="no-such-call", started=now, answer_id=None)
    session.ledger.record(invented, "k")
    database_proxy.spend_logs(key_of(session), 3)
    found = reconciled(session)
    assert [each.call_id for each in found.unlogged] == ["no-such-call"]
    assert [each.call_id for each in found.unwritten] == [lost.call_id]
    assert found.unwritten[0].dollars > 0
    assert len(found.agreed) == 2


def test_the_users_other_keys_are_not_this_ones_strangers(
    connect: Connect, database_proxy: Proxy
) -> None:
    user = database_proxy.new_user()
    keys = [database_proxy.new_key(user_id=user) for _ in range(2)]
    mine, other = connect(keys[0]), connect(keys[1], "another-machine")
    mine.chat("!tokens 3", once=True)
    other.chat("!tokens 3", once=True)
    database_proxy.spend_logs(keys[1])
    assert reconciled(mine).unwritten == ()
    changed = connect(keys[1])  # the ledger of the first, now with the second key
    assert len(reconciled(changed).agreed) == 1
    assert len(reconciled(changed).unwritten) == 1


def test_a_key_without_a_user_may_read_no_log(connect: Connect, database_proxy: Proxy) -> None:
    session = connect(database_proxy.new_key())
    session.chat("!tokens 3", once=True)
    assert session.client.log_since(spending.month(date.today())) == ServiceLog()


def test_the_sums_by_day_are_those_of_this_key(connect: Connect, database_proxy: Proxy) -> None:
    from cborg_magics.providers import litellm_log

    user = database_proxy.new_user()
    session = connect(database_proxy.new_key(user_id=user))
    session.chat("!tokens 3", once=True)
    database_proxy.chat("!tokens 9", model=PRICED, key=database_proxy.new_key(user_id=user))
    database_proxy.wait_for_spend(key_of(session))
    today = datetime.now(timezone.utc).date()

    def get(path: str) -> Any:
        return [] if path.startswith("/spend/logs") else session.client.get(path)

    for _ in range(60):
        days = litellm_log.read_log(get, datetime.now(timezone.utc)).days
        if days:
            break
        time.sleep(0.5)
    assert days == (LogDay(today, session.ledger.rows()[0].cost.dollars or Decimal(0), 1),)
