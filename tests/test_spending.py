"""Sums over the ledger: what is counted where, and what is admitted not to be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cborg_magics import spending
from cborg_magics.display import spending as look
from cborg_magics.exchange import Account, Budget, Cost, Outcome, Source, Usage
from cborg_magics.ledger import Ledger, Row, Total, total
from tests.test_ledger import reply

TODAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12).astimezone(timezone.utc)
ROW = Row(
    kernel="me",
    started=NOON,
    seconds=2.0,
    provider="cborg",
    host="api.example.org",
    model="gpt-5",
    served=None,
    outcome=Outcome.COMPLETED,
    error=None,
    usage=Usage(10, 20),
    cost=Cost(Decimal("0.01"), Source.BILLED),
    call_id=None,
    thread="main",
)
UNKNOWN = Cost(None, Source.UNKNOWN)


def row(dollars: str | None = "0.01", **changes: object) -> Row:
    source = changes.pop("source", Source.BILLED)
    cost = UNKNOWN if dollars is None else Cost(Decimal(dollars), Source(source))
    return replace(ROW, cost=cost, **changes)  # type: ignore[arg-type]


# -- what counts where -----------------------------------------------------------------------


def test_a_thread_a_kernel_a_day_and_a_month_are_told_apart() -> None:
    rows = [
        row("1", thread="main"),
        row("2", thread="other"),
        row("4", thread=None),
        row("8", kernel="another", thread="main"),
        row("16", kernel="another", started=NOON - timedelta(days=2)),
        row("32", started=NOON - timedelta(days=30)),
    ]
    found = spending.periods(rows, "me", "main", TODAY)
    assert [group.name for group in found] == ["thread main", "this kernel", "today", "this month"]
    assert [group.total.dollars for group in found] == [33, 39, 15, 31]


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Auckland"])
def test_a_day_and_a_month_begin_at_this_machines_midnight(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        begin = datetime(2026, 11, 1).astimezone(timezone.utc)
        assert spending.month(TODAY) == begin
        rows = [row("1", started=begin - timedelta(seconds=1)), row("2", started=begin)]
        assert [each.cost.dollars for each in spending.this_month(rows, TODAY)] == [2]
        days = spending.grouped(rows, "day", "me")
        assert [day.name for day in days] == ["2026-10-31", "2026-11-01"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_groups_come_dearest_first_and_days_in_order() -> None:
    rows = [
        row("0.1", model="a", started=NOON),
        row("5", model="b", started=NOON - timedelta(days=3)),
        row(None, model="c"),
        row("0", model="d", source=Source.FREE),
    ]
    assert [each.name for each in spending.grouped(rows, "model", "me")] == ["b", "a", "c", "d"]
    days = [each.name for each in spending.grouped(rows, "day", "me")]
    assert days == ["2026-11-18", "2026-11-21"]


def test_every_way_to_group_counts_every_call() -> None:
    rows = [row("1", kernel="k" * 32), row("2", thread=None), row(None, notebook="/a/b.ipynb")]
    for way in spending.WAYS:
        groups = spending.grouped(rows, way, "me")
        assert sum(group.total.calls for group in groups) == 3, way
        assert sum(group.total.dollars for group in groups) == 3, way
        assert sum(group.total.unpriced for group in groups) == 1, way
    names = [group.name for group in spending.grouped(rows, "kernel", "me")]
    assert names == ["this kernel", "kernel kkkkkkkk"]


def test_the_sum_grows_in_the_order_in_which_calls_ended() -> None:
    long = row("1", seconds=60.0)
    short = row("2", started=NOON + timedelta(seconds=5))
    made = spending.steps([long, short, row(None, started=NOON + timedelta(hours=1))])
    assert [step.dollars for step in made] == [2, 3, 3]
    assert made[0].at == NOON + timedelta(seconds=7)


# -- budgets ---------------------------------------------------------------------------------


def budget(owner: str, spent: str, limit: str | None) -> Budget:
    return Budget(owner, Decimal(spent), None if limit is None else Decimal(limit), None)


def test_the_budget_with_the_least_left_binds() -> None:
    key, user, team = budget("key", "1", "10"), budget("user", "7", "8"), budget("team", "9", None)
    assert spending.binding(Account((key, user))) == user
    assert spending.left(user) == 1
    assert spending.left(team) is None
    assert spending.binding(Account((team,))) is None
    assert spending.binding(Account((key, user, team))) == key, "a team's key is not its user's"
    over = budget("key", "2", "1")
    assert spending.binding(Account((user, over))) == over
    assert spending.left(over) == 0


def test_what_the_service_says() -> None:
    resets = datetime(2026, 12, 1, 12, tzinfo=timezone.utc)
    key = replace(budget("key", "3.2", "10"), resets_at=resets)
    user = budget("user", "1", "20")
    told = Account((key, user), expires_at=NOON + timedelta(days=3, hours=1))
    assert look.service("CBorg", told, NOON) == [
        "CBorg: the key's budget, $6.80 left of $10.00, $3.20 booked, resets on 1 Dec 2026.",
        "Also the user's budget, $19.00 left of $20.00, $1.00 booked.",
        "Its figures lag by some seconds, and count calls from everywhere.",
        "The key ends on 24 Nov 2026, in 3 days.",
    ]
    assert look.service("X", Account((budget("key", "2", "1"),)), NOON)[0] == (
        "X: the key's budget, nothing left of $1.00, $2.00 booked."
    )
    assert look.service("X", Account((budget("key", "0.5", None),)), NOON)[0] == (
        "X has booked $0.500 on this key; no limit."
    )
    assert look.service("X", Account(credit=Decimal("12.3")), NOON) == ["X: $12.30 of credit left."]
    assert look.service("X", Account(), NOON) == ["X says nothing of this key's budget."]
    ended = look.service("X", Account(expires_at=NOON - timedelta(days=1)), NOON)
    assert ended == ["The key ended on 20 Nov 2026."]


# -- how a sum is known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("1")], "billed"),
        ([row("1", source=Source.ESTIMATED)], "estimated"),
        ([row("1"), row("2", source=Source.ESTIMATED)], "$2.00 of it estimated"),
        ([row("0", source=Source.FREE)], "free"),
        ([row(None)], "1 call unpriced"),
        ([row("1"), row(None), row(None)], "billed, 2 calls unpriced"),
        ([], ""),
    ],
)
def test_every_sum_says_how_it_is_known(rows: list[Row], words: str) -> None:
    assert look.known(total(rows)) == words


def view(rows: list[Row], by: str = "model", told: Account | None = None) -> dict[str, str]:
    return look.overview(
        spending.periods(rows, "me", "main", TODAY),
        spending.grouped(rows, by, "me"),
        by,
        spending.steps(rows),
        told or Account(),
    )


def test_the_view_in_a_terminal_is_aligned_text() -> None:
    rows = [row("0.12"), row("0.003", model="lbl/x", source=Source.ESTIMATED)]
    assert view(rows)["text/plain"].splitlines() == [
        "from the ledger   spent  calls  known as",
        "thread main      $0.123      2  $0.00300 of it estimated",
        "this kernel      $0.123      2  $0.00300 of it estimated",
        "today            $0.123      2  $0.00300 of it estimated",
        "this month       $0.123      2  $0.00300 of it estimated",
        "",
        "this month, by model     spent  calls  known as",
        "gpt-5                   $0.120      1  billed     ██████████",
        "lbl/x                 $0.00300      1  estimated  █",
    ]


def test_a_sum_of_which_nothing_is_known_is_not_zero() -> None:
    words = view([row(None), row(None)])["text/plain"]
    assert "$0" not in words
    assert "unknown      2  2 calls unpriced" in words


def test_an_empty_ledger_says_so() -> None:
    assert view([])["text/plain"] == "No call is in the ledger of this month yet."


def test_many_groups_are_summed_up_in_one_line() -> None:
    rows = [row(str(n), model=f"m{n:02}") for n in range(1, 31)]
    words = view(rows)["text/plain"].splitlines()
    assert words[-1].split()[:4] == ["18", "more", "$171.00", "18"]
    days = [row(str(n), started=NOON - timedelta(days=n)) for n in range(20)]
    words = view(days, "day")["text/plain"].splitlines()
    assert words[7].startswith("8 earlier")
    assert words[-1].startswith("2026-11-21")


def test_what_a_model_is_called_is_only_text() -> None:
    rows = [row("1", model="<img src=x onerror=alert(1)>"), row("2")]
    html = view(rows)["text/html"]
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


# -- the drawing -----------------------------------------------------------------------------


def drawn(rows: list[Row], told: Account | None = None) -> tuple[str, str]:
    """The alternative text, and the words in the drawing, which is well-formed."""
    import base64
    import re

    html = look.plot(spending.steps(rows), told or Account())
    found = re.search(r"alt='([^']*)'.*base64,([^']*)'", html)
    assert found
    svg = ElementTree.fromstring(base64.b64decode(found[2]))
    return found[1], " | ".join(text.text or "" for text in svg.iter() if text.tag.endswith("text"))


def test_the_drawing_says_in_words_what_it_shows() -> None:
    rows = [row("1"), row("2", started=NOON + timedelta(hours=2))]
    alt, words = drawn(rows)
    assert alt == "Spending of this month: $3.00 in 2 calls"
    assert "$3.00 so far" in words
    near = Account((budget("team", "9", "12"),))
    alt, words = drawn(rows, near)
    assert alt.endswith("; $3.00 of the team&#x27;s budget left")
    assert "the team's budget: $3.00 left" in words
    far = Account((budget("team", "9", "120"),))
    assert "budget" not in drawn(rows, far)[1]


def test_nothing_is_drawn_of_nothing() -> None:
    for rows in ([], [row("1")], [row("0", source=Source.FREE)] * 3, [row(None)] * 3):
        assert look.plot(spending.steps(rows), Account()) == ""


def test_ten_thousand_calls_are_drawn_as_a_small_picture() -> None:
    rows = [row("0.01", started=NOON + timedelta(seconds=n)) for n in range(10_000)]
    assert len(look.plot(spending.steps(rows), Account())) < 20_000
    assert "$100.00 so far" in drawn(rows)[1]


# -- the ledger's corrections ----------------------------------------------------------------


def test_a_correction_is_added_and_nothing_is_overwritten(home: Path) -> None:
    import sqlite3
    from contextlib import closing

    ledger = Ledger(home)
    ledger.record(reply("0.5", Source.ESTIMATED), "k", notebook="a.ipynb")
    ledger.record(reply("0.25", Source.ESTIMATED), "k")
    first, second = ledger.rows()
    assert (first.notebook, second.notebook) == ("a.ipynb", None)
    ledger.correct({first.id: Cost(Decimal("0.4"), Source.BILLED)})
    ledger.correct({first.id: Cost(Decimal("0.3"), Source.BILLED)})
    assert [each.cost for each in ledger.rows()] == [
        Cost(Decimal("0.3"), Source.BILLED),
        Cost(Decimal("0.25"), Source.ESTIMATED),
    ]
    spent = ledger.spending("k", NOON - timedelta(days=1)).kernel
    assert (spent.certain, spent.estimated) == (Decimal("0.55"), Decimal("0.25"))
    with closing(sqlite3.connect(ledger.path)) as db:
        written = db.execute("SELECT dollars, source FROM calls").fetchall()
    assert written == [("0.5", "estimated"), ("0.25", "estimated")]


def test_rows_can_be_asked_for_from_a_moment_on(home: Path) -> None:
    ledger = Ledger(home)
    for hour in (10, 12, 14):
        ledger.record(replace(reply(), started=NOON.replace(hour=hour)), f"kernel-{hour}")
    noon = NOON.replace(hour=12)
    assert [each.kernel for each in ledger.rows(since=noon)] == ["kernel-12", "kernel-14"]
    assert ledger.rows("kernel-10", since=noon) == []
    assert Total(Decimal(0), Decimal(0), 0, 0) == total([])
