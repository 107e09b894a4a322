"""A cap holds: for one call, for many at once, and whatever ends them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cborg_magics import Session
from cborg_magics.alive import Process
from cborg_magics.caps import (
    LEAST,
    Allowance,
    Cap,
    WorstCase,
    midnight,
    most_tokens,
    weigh,
    worst_case,
)
from cborg_magics.catalogue import Model, Prices
from cborg_magics.display import wording
from cborg_magics.errors import BadAnswer, CapReached, Interrupted, Refused, StreamBroken
from cborg_magics.exchange import Capped, Document, Message, Outcome, Request, Source
from cborg_magics.ledger import Ledger, Spending, Spent, total
from cborg_magics.planning import Question
from cborg_magics.schemas import Shape
from tests.services.answers import HANG, chat_stream, json_answer, refusal, usage
from tests.services.faults import FaultServer
from tests.test_ledger import reply

CHAT = "/chat/completions"
CAP = Cap(Decimal("0.10"), "CBORG_BUDGET_DAY", daily=True)
NOTHING = Spending(Spent(), Spent())
SONNET = Model("m", prices=Prices(Decimal("3e-6"), Decimal("15e-6"), None, Decimal("3.75e-6")))
CALL = WorstCase(Decimal("0.001"), Decimal("15e-6"), most=2000)  # $0.031 with the longest answer


def spent(certain: str, **more: str) -> Spending:
    """The same in the kernel and in the day."""
    found = Spent(Decimal(certain), **{name: Decimal(value) for name, value in more.items()})
    return Spending(found, found)


# -- weighing ------------------------------------------------------------------------------


def test_a_call_that_fits_goes_as_it_is() -> None:
    assert weigh(CALL, [CAP], spent("0.05")) == Allowance(Decimal("0.031"))


def test_the_longest_answer_that_the_cap_affords_is_its_limit() -> None:
    assert weigh(CALL, [CAP], spent("0.08")) == Allowance(Decimal("0.019990"), 1266, CAP)


def test_an_answer_of_fewer_than_256_tokens_is_not_asked_for() -> None:
    with pytest.raises(CapReached) as caught:
        weigh(CALL, [CAP], spent("0.0952"))
    assert str(caught.value).splitlines() == [
        "the cap of $0.10 a day (CBORG_BUDGET_DAY) leaves $0.00480;"
        " this call may cost $0.00484 with an answer of 256 tokens",
        "Send less, take a cheaper model, or say --yes.",
    ]


def test_a_limit_that_the_person_named_is_not_lowered() -> None:
    with pytest.raises(CapReached, match=r"^[^\n]*may cost \$0\.0310\nLower --max-tokens"):
        weigh(replace(CALL, asked=True), [CAP], spent("0.08"))


def test_what_other_calls_hold_is_not_there_and_it_is_said() -> None:
    with pytest.raises(CapReached, match=r"is used up beside \$0\.100 held .*\nWait for the calls"):
        weigh(CALL, [CAP], spent("0", held="0.1"))


def test_a_locked_cap_offers_no_way_round() -> None:
    with pytest.raises(CapReached) as caught:
        weigh(CALL, [replace(CAP, locked=True)], spent("0.1"))
    assert "--yes" not in str(caught.value)


def test_the_nearest_of_several_caps_counts() -> None:
    near = Cap(Decimal("0.02"), "CBORG_BUDGET")
    assert weigh(CALL, [CAP, near], NOTHING).by == near


amounts = st.decimals(0, 1, places=7)


@given(
    prompt=amounts,
    token=st.decimals(0, "0.001", places=9),
    most=st.integers(1, 100_000),
    asked=st.booleans(),
    bounded=st.booleans(),
    caps=st.lists(amounts, min_size=1, max_size=3),
    used=st.tuples(amounts, amounts, amounts),
)
def test_no_allowance_passes_any_cap(
    prompt: Decimal,
    token: Decimal,
    most: int,
    asked: bool,
    bounded: bool,
    caps: list[Decimal],
    used: tuple[Decimal, Decimal, Decimal],
) -> None:
    certain, unknown, held = used
    spending = Spending(*[Spent(certain, Decimal(0), unknown, held)] * 2)
    call = WorstCase(prompt, token, most, asked, bounded)
    limits = [Cap(dollars, "CBORG_BUDGET") for dollars in caps]
    with suppress(CapReached):
        found = weigh(call, limits, spending)
        assert found.dollars + certain + unknown + held <= min(caps)
        answer = most if found.max_tokens is None else found.max_tokens
        assert call.dollars(answer) == found.dollars
        assert min(LEAST, most) <= answer <= most
        assert bounded or asked or found.max_tokens


def test_what_is_sent_is_never_counted_low() -> None:
    told = Request("m", (Message("user", "1 2 3 " * 100, (Document("df", "x,y\n" * 50),)),))
    assert most_tokens(told) >= len("1 2 3 " * 100) + len("x,y\n" * 50)  # a byte a token, at worst
    shaped = replace(told, format={"schema": "x" * 1000})
    assert most_tokens(shaped) >= most_tokens(told) + 1000


def test_text_that_the_service_keeps_counts_at_its_higher_price() -> None:
    plain = Request("m", (Message("system", "long"),))
    kept = Request("m", (Message("system", "long", cached=True),))
    assert worst_case(plain, SONNET, False, 1000).prompt == Decimal("0.003")  # type: ignore[union-attr]
    assert worst_case(kept, SONNET, False, 1000).prompt == Decimal("0.00375")  # type: ignore[union-attr]


# -- in the ledger -------------------------------------------------------------------------


def reserved(ledger: Ledger, dollars: str) -> Any:
    """A decision to hold so much, if the day's cap has it."""

    def decide(spending: Spending) -> Allowance:
        if CAP.left(spending) < Decimal(dollars):
            raise CapReached("no")
        return Allowance(Decimal(dollars))

    return decide


def test_a_reservation_becomes_the_row_of_its_call(home: Path) -> None:
    ledger = Ledger(home)
    with ledger.booking() as booking:
        ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
        assert ledger.spending("k", midnight()).day.counted == Decimal("0.06")
        ledger.record(now("0.01"), "k", None, booking)
        assert ledger.spending("k", midnight()).day == Spent(Decimal("0.01"))
    assert ledger.spending("other", midnight()).kernel == Spent()


def test_a_call_that_ends_without_a_row_lets_go(home: Path) -> None:
    ledger = Ledger(home)
    with suppress(KeyboardInterrupt), ledger.booking() as booking:
        ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
        raise KeyboardInterrupt
    assert ledger.spending("k", midnight()).day == Spent()


def test_a_call_whose_cost_never_came_counts_with_its_worst_case(home: Path) -> None:
    ledger = Ledger(home)
    with ledger.booking() as booking:
        ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
        ledger.record(now(None, Source.UNKNOWN), "k", None, booking)
    assert ledger.spending("k", midnight()).day == Spent(unknown=Decimal("0.06"))
    assert total(ledger.rows()).unpriced == 1, "what is shown as spent is not made up"


def test_what_waits_to_be_written_stays_held(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(home)
    with ledger.booking() as booking:
        ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
        with monkeypatch.context() as broken:
            broken.setattr(ledger, "path", home)  # a folder
            assert "not in the ledger yet" in str(ledger.record(now("0.05"), "k", None, booking))
    assert Ledger(home).spending("k", midnight()).day.held == Decimal("0.06")
    assert ledger.record(now("0.01"), "k") is None
    assert ledger.spending("k", midnight()).day == Spent(Decimal("0.06"))


def test_yesterdays_calls_are_not_todays(home: Path) -> None:
    ledger = Ledger(home)
    old = midnight() - timedelta(microseconds=1)
    ledger.record(replace(now("0.05"), started=old), "k")
    ledger.record(replace(now("0.01"), started=midnight()), "k")
    found = ledger.spending("k", midnight())
    assert (found.kernel.certain, found.day.certain) == (Decimal("0.06"), Decimal("0.01"))


def now(dollars: str | None, source: Source = Source.BILLED) -> Any:
    return replace(reply(dollars, source), started=midnight() + timedelta(seconds=1))


def call_at_random(ledger: Ledger, kernel: str, count: int, seed: int) -> None:
    """Many calls, each within its worst case; some are refused, some end without a row."""
    dice = random.Random(seed)
    for _ in range(count):
        worst = Decimal(dice.randrange(1, 400)) / 100_000
        with suppress(CapReached, InterruptedError), ledger.booking() as booking:
            ledger.reserve(booking, kernel, midnight(), reserved(ledger, str(worst)))
            if dice.random() < 0.2:
                raise InterruptedError
            cost = worst * Decimal(str(round(dice.random(), 3)))
            assert ledger.record(now(str(cost)), kernel, None, booking) is None


CALLER = """
import sys
from pathlib import Path
from cborg_magics.ledger import Ledger
from tests.test_caps import call_at_random
call_at_random(Ledger(Path(sys.argv[1])), sys.argv[2], 25, int(sys.argv[2]))
"""


def test_many_threads_and_processes_never_pass_the_cap_together(home: Path) -> None:
    callers = [
        subprocess.Popen([sys.executable, "-c", CALLER, str(home), str(n)]) for n in range(4)
    ]
    ledger, peaks = Ledger(home), []
    with ThreadPoolExecutor(6) as pool:
        threads = [pool.submit(call_at_random, ledger, "here", 20, 100 + n) for n in range(5)]
        while any(caller.poll() is None for caller in callers):
            peaks.append(ledger.spending("here", midnight()).day.counted)
            time.sleep(0.01)
        for thread in threads:
            thread.result()
    assert [caller.wait(120) for caller in callers] == [0] * 4
    end = ledger.spending("here", midnight()).day
    assert end.held == 0
    assert max(peaks) <= CAP.dollars
    assert CAP.dollars * Decimal("0.8") < end.counted <= CAP.dollars
    assert end.certain == total(ledger.rows()).dollars


HOLDER = """
import sys, time
from pathlib import Path
from cborg_magics.caps import midnight
from cborg_magics.ledger import Ledger
from tests.test_caps import reserved
ledger = Ledger(Path(sys.argv[1]))
with ledger.booking() as booking:
    ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
    print("held", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_kernel_held_is_let_go(home: Path) -> None:
    ledger = Ledger(home)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert ledger.spending("k", midnight()).day.held == Decimal("0.06")
        os.kill(holder.pid, signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # a zombie, as a manager leaves it
        assert ledger.spending("k", midnight()).day.held == 0


def test_a_process_is_known_by_its_birth_as_well_as_by_its_number() -> None:
    me = Process.this()
    assert me.ended is False
    assert replace(me, born="long ago").ended is True
    assert replace(me, host="another").ended is None
    assert replace(me, born="").ended is None


def test_what_another_machine_held_is_let_go_after_an_hour(home: Path) -> None:
    ledger = Ledger(home)
    with ledger.booking() as booking:
        ledger.reserve(booking, "k", midnight(), reserved(ledger, "0.06"))
        change(ledger, "UPDATE reservations SET host = 'another'")
        assert ledger.spending("k", midnight()).day.held == Decimal("0.06")
        change(ledger, "UPDATE reservations SET made = '2026-01-01T00:00:00+00:00'")
        assert ledger.spending("k", midnight()).day.held == 0


def change(ledger: Ledger, statement: str) -> None:
    import sqlite3

    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute(statement)


# -- in a session --------------------------------------------------------------------------


@pytest.fixture
def priced(service: FaultServer) -> FaultServer:
    """test-model at $3 and $15 a million tokens, which answers with 8,192 tokens at most; a free
    model; and one without a price."""
    info = {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
    free = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    rows = [
        {"model_name": "test-model", "model_info": {**info, "max_output_tokens": 8192}},
        {"model_name": "open-ended", "model_info": info},
        {"model_name": "free", "model_info": free},
    ]
    service.always("/model/info", json_answer({"data": rows}))
    service.always(CHAT, chat_stream("a", usage=usage(100, 100)))  # $0.0018
    return service


@pytest.fixture
def capped(priced: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session that may spend five cents a day."""
    monkeypatch.setenv("CBORG_BUDGET_DAY", "0.05")
    with Session.from_environment() as session:
        yield session


def asked(service: FaultServer) -> list[dict[str, Any]]:
    return [request.body for request in service.requests_to(CHAT)]


def test_the_limit_that_the_cap_affords_is_sent_and_said(
    capped: Session, priced: FaultServer
) -> None:
    answer = capped.chat("hi")
    (body,) = asked(priced)
    assert 3000 < body["max_tokens"] < 3333  # five cents
    assert answer.capped == Capped(body["max_tokens"], "CBORG_BUDGET_DAY")
    assert f"at most {body['max_tokens']:,} tokens, by CBORG_BUDGET_DAY" in wording.badge(answer)


def test_what_fits_is_sent_as_it_is(capped: Session, priced: FaultServer) -> None:
    assert capped.chat("hi", max_tokens=1000).capped is None
    capped.cap(Decimal(1))
    capped.adopt(replace(capped.settings, budget_day=None))
    assert capped.chat("hi").capped is None
    assert "max_tokens" not in asked(priced)[-1]


def test_a_model_that_does_not_say_how_long_it_answers_gets_a_limit(
    capped: Session, priced: FaultServer
) -> None:
    capped.adopt(replace(capped.settings, budget_day=Decimal(1)))
    assert capped.chat("hi", model="open-ended").capped == Capped(4096, "CBORG_BUDGET_DAY")


def test_beyond_the_cap_nothing_is_sent(capped: Session, priced: FaultServer) -> None:
    with pytest.raises(CapReached, match="may cost"):
        capped.chat("hi", max_tokens=5000)
    assert asked(priced) == []
    assert capped.ledger.rows() == []
    assert capped.chat("hi", max_tokens=3000).text == "a", "nothing was held"


def test_the_setting_for_the_longest_answer_may_be_lowered(
    priced: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_BUDGET", "0.05")
    monkeypatch.setenv("CBORG_MAX_TOKENS", "5000")
    with Session.from_environment() as session:
        assert session.chat("hi").capped
    assert asked(priced)[0]["max_tokens"] < 3333


def test_yes_passes_a_cap_of_ones_own_but_no_locked_one(
    capped: Session, priced: FaultServer
) -> None:
    assert capped.chat("hi", max_tokens=5000, yes=True).text == "a"
    capped.adopt(replace(capped.settings, locked=frozenset({"CBORG_BUDGET_DAY"})))
    with pytest.raises(CapReached) as caught:
        capped.chat("hi", max_tokens=5000, yes=True)
    assert "--yes" not in str(caught.value)
    assert len(asked(priced)) == 1


def test_free_models_are_never_weighed(capped: Session, priced: FaultServer) -> None:
    capped.adopt(replace(capped.settings, budget_day=Decimal(0), home=Path("/proc/nowhere")))
    assert capped.chat("hi", model="free").text == "a"


def test_a_model_without_a_price_is_refused_unless_yes(
    capped: Session, priced: FaultServer
) -> None:
    with pytest.raises(CapReached, match="price of house is not known"):
        capped.chat("hi", model="house")
    assert capped.chat("hi", model="house", yes=True).cost.source is Source.UNKNOWN
    capped.adopt(replace(capped.settings, locked=frozenset({"CBORG_BUDGET_DAY"})))
    with pytest.raises(CapReached, match="price of house is not known"):
        capped.chat("hi", model="house", yes=True)
    assert len(asked(priced)) == 1


@pytest.mark.parametrize("locked", [False, True])
def test_a_cap_that_cannot_be_kept_is_said(
    capped: Session, priced: FaultServer, tmp_path: Path, locked: bool
) -> None:
    (tmp_path / "file").touch()
    names = frozenset({"CBORG_BUDGET_DAY"} if locked else ())
    capped.adopt(replace(capped.settings, home=tmp_path / "file", locked=names))
    with pytest.raises(CapReached, match="the ledger cannot be written: ") as caught:
        capped.chat("hi")
    assert len(str(caught.value).splitlines()) == 2
    if locked:
        with pytest.raises(CapReached):
            capped.chat("hi", yes=True)
    else:
        assert capped.chat("hi", yes=True).text == "a"
        assert "not in the ledger yet" in capped.warnings[-1]
    assert len(asked(priced)) == (not locked)


def test_each_of_the_two_times_that_a_shape_is_asked_for_is_weighed(
    capped: Session, priced: FaultServer
) -> None:
    priced.script(CHAT, chat_stream("no JSON", usage=usage(100, 2900)))  # $0.0438
    with pytest.raises(CapReached, match=r"leaves \$0\.0062"):
        capped.chat("hi", shape=Shape.json(), max_tokens=3000)
    assert len(asked(priced)) == len(capped.ledger.rows()) == 1
    priced.script(CHAT, *[chat_stream("no JSON", usage=usage(100, 10))] * 2)
    with pytest.raises(BadAnswer):  # and where there is enough, it is asked for twice
        capped.chat("hi", shape=Shape.json(), max_tokens=30)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(400, "bad_request", "no"), Refused),
        (chat_stream("a", HANG), StreamBroken),
    ],
)
def test_a_call_that_fails_lets_go(
    capped: Session, priced: FaultServer, answer: Any, error: type[Exception]
) -> None:
    priced.script(CHAT, answer)
    with pytest.raises(error):
        capped.chat("hi", timeout=1)
    assert capped.caps.spending().day.held == 0
    assert capped.chat("hi", max_tokens=2500).text == "a"


def test_a_call_that_is_stopped_lets_go(capped: Session, priced: FaultServer) -> None:
    priced.script(CHAT, chat_stream("a", HANG))

    def stop(event: object) -> None:
        main = threading.main_thread().ident
        threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT]).start()

    stops = iter([stop])
    with pytest.raises(Interrupted):
        capped.chat("hi", on_event=lambda event: next(stops, lambda _: None)(event))
    assert capped.caps.spending().day.held == 0
    (row,) = capped.ledger.rows()
    assert row.outcome in (Outcome.INTERRUPTED, Outcome.FAILED)


def test_near_the_cap_a_line_says_so_once(capped: Session, priced: FaultServer) -> None:
    priced.script(CHAT, chat_stream("a", usage=usage(100, 2700)))  # $0.0408
    capped.chat("hi", max_tokens=2800)
    assert capped.warnings == [
        "81 % of the cap of $0.05 a day (CBORG_BUDGET_DAY) is used: $0.0408 estimated."
    ]
    capped.chat("hi", max_tokens=300)
    assert len(capped.warnings) == 1


def test_a_kernels_own_cap_counts_its_own_calls(capped: Session, priced: FaultServer) -> None:
    capped.ledger.record(now("0.04"), "another kernel")
    capped.adopt(replace(capped.settings, budget_day=None, budget=Decimal("0.05")))
    assert capped.chat("hi", max_tokens=3000).text == "a"
    capped.cap(Decimal("0.003"))
    with pytest.raises(CapReached, match=r"\$0\.003 for this kernel \(%spend --cap\)"):
        capped.chat("hi")
    capped.cap(Decimal(1))
    assert capped.chat("hi", max_tokens=5000).text == "a", "one's own word comes before"
    capped.adopt(replace(capped.settings, locked=frozenset({"CBORG_BUDGET"})))
    with pytest.raises(CapReached, match="CBORG_BUDGET"):
        capped.chat("hi", max_tokens=5000)


def test_where_bytes_do_not_fit_the_services_own_count_may(
    capped: Session, priced: FaultServer
) -> None:
    question = "word " * 3000  # 15,000 bytes; at a token each they would be $0.045
    with pytest.raises(CapReached):
        capped.chat(question, max_tokens=1000)
    priced.always("/utils/token_counter", json_answer({"total_tokens": 3003}))
    with pytest.raises(CapReached):  # half as much again: $0.0135 and $0.039, of $0.05
        capped.chat(question, max_tokens=2600)
    assert capped.chat(question, max_tokens=1000).text == "a"


def test_without_a_cap_nothing_is_held(session: Session, priced: FaultServer) -> None:
    session.chat(Question("hi"))
    with session.ledger.booking() as booking:
        pass
    assert not booking.held
    assert session.caps.in_force == ()


def test_in_a_notebook_it_is_one_line_and_yes_is_an_option(
    shell: Any, priced: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_BUDGET", "$0.001")
    error = shell.run_cell("%chat --max-tokens 500 hi").error_in_exec
    assert isinstance(error, CapReached)
    assert "the cap of $0.001 for this kernel (CBORG_BUDGET)" in str(error)
    assert asked(priced) == []
    assert shell.run_cell("%chat --yes --max-tokens 500 hi").error_in_exec is None
