"""Do the ledger and the service's log agree? Call by call, or day by day where that is all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from decimal import Context, Decimal
from time import monotonic, sleep

from cborg_magics.exchange import Cost, LogDay, LogEntry, Outcome, ServiceLog, Source
from cborg_magics.ledger import Ledger, Row, total
from cborg_magics.pricing import FREE

# An answer carries all digits of a binary fraction (0.0015450000000000001), the log the first 15.
DIGITS = Context(prec=15)
SKEW = timedelta(minutes=5)  # between the clocks of this machine and of the service
LAG = timedelta(seconds=30)  # until a call is in the log: 1 to 15 s were measured
PATIENCE = 6.0  # seconds


@dataclass(frozen=True)
class Comparison:
    """What both sides say of the calls since a moment.

    `agreed` are the calls of which both say the same, `bills` those whose cost the log tells and
    the ledger had estimated or did not know. Nobody explains the rest: `differing` is billed
    otherwise in the log, `unlogged` is in the ledger only, `unwritten` in the log only.
    """

    agreed: tuple[Row, ...] = ()
    bills: tuple[tuple[Row, Cost], ...] = ()
    differing: tuple[tuple[Row, Decimal], ...] = ()
    unlogged: tuple[Row, ...] = ()
    unwritten: tuple[LogEntry, ...] = ()


@dataclass(frozen=True)
class DayCompared:
    """One day (UTC) on both sides: dollars and calls in the ledger, and in the service's sums."""

    day: LogDay
    dollars: Decimal
    calls: int


def reconcile(
    ledger: Ledger,
    host: str,
    read: Callable[[datetime], ServiceLog],
    since: datetime,
    patience: float = PATIENCE,
) -> Comparison | tuple[DayCompared, ...] | None:
    """Compare the calls to `host` since then with its log, and correct the ledger by it.

    `since` is in UTC. Sums by day where that is all that `read` tells; None where it tells
    nothing. Waits at most `patience` seconds for a call that was just made. Raises a `CborgError`
    if the service cannot be reached, `OSError` if the ledger cannot be read or written.
    """
    deadline = monotonic() + patience
    begin = datetime.combine((since - SKEW).date(), time.min, timezone.utc)
    while True:
        log = read(begin)
        rows = [row for row in ledger.rows(since=begin) if row.host == host]
        found = compare(rows, log.calls or (), since)
        if monotonic() > deadline or not _missed(found.unlogged):
            break
        sleep(1)
    # A log that was switched off is empty, while the sums go on.
    if not log.calls and log.days is not None and (log.calls is None or log.days):
        return by_day(rows, log.days)
    if log.calls is None:
        return None
    ledger.correct({row.id: bill for row, bill in found.bills})
    return found


def compare(ledger: Sequence[Row], log: Sequence[LogEntry], since: datetime) -> Comparison:
    """Join the rows of one service with its log. Both may begin before `since`, so that a call
    on the border finds its other half; what has none is told from `since` on."""
    found, rest = _join(ledger, log)
    agreed, bills, differing, unlogged = [], [], [], []
    for row, entries in found:
        if not entries:
            if row.started >= since and _was_answered(row):
                unlogged.append(row)
            continue
        billed = sum((entry.dollars for entry in entries), Decimal(0))
        bill = _bill(row, billed, all(entry.failed for entry in entries))
        if bill is not None:
            bills.append((row, bill))
        elif row.cost.dollars is None or _same(row.cost.dollars, billed):
            agreed.append(row)
        else:
            differing.append((row, billed))
    strangers = [each for each in rest if each.ours and each.started >= since and not each.failed]
    return Comparison(
        tuple(agreed), tuple(bills), tuple(differing), tuple(unlogged), tuple(strangers)
    )


def by_day(ledger: Sequence[Row], days: Sequence[LogDay]) -> tuple[DayCompared, ...]:
    """The same for a service that tells sums only, by days of UTC."""
    ours = defaultdict(list)
    for row in ledger:
        if _was_answered(row):
            ours[row.started.astimezone(timezone.utc).date()].append(row)
    told = {each.day: each for each in days}
    every = sorted(set(ours) | {day for day, each in told.items() if each.calls})
    compared = []
    for day in every:
        sums = total(ours[day])
        compared.append(
            DayCompared(told.get(day, LogDay(day, Decimal(0), 0)), sums.dollars, sums.calls)
        )
    return tuple(compared)


def _join(
    ledger: Sequence[Row], log: Sequence[LogEntry]
) -> tuple[list[tuple[Row, list[LogEntry]]], list[LogEntry]]:
    """Each row with its entries (a call may have several), and the entries that are left.

    The call's number is the service's own; the answer's, which old releases log alone, may come
    from a server behind it that numbers all its answers alike: it must fit one row only.
    """
    by_call, by_answer = defaultdict(list), defaultdict(list)
    for entry in log:
        by_call[entry.call_id].append(entry)
        if entry.call_id is None:
            by_answer[entry.answer_id].append(entry)
    answers = [row.answer_id for row in ledger]
    used: set[int] = set()
    found = []
    for row in ledger:
        entries = by_call[row.call_id] if row.call_id else []
        if not entries and row.answer_id and answers.count(row.answer_id) == 1:
            entries = by_answer[row.answer_id]
        entries = [entry for entry in entries if id(entry) not in used]
        used.update(map(id, entries))
        found.append((row, entries))
    return found, [entry for entry in log if id(entry) not in used]


def _bill(row: Row, billed: Decimal, failed: bool) -> Cost | None:
    """What the log knows of the cost and the ledger does not; None if it tells nothing new.

    A log's zero is no price where none was known: a proxy books 0 also for a model without one.
    """
    if row.cost.source is Source.BILLED:
        return None
    if billed:
        return Cost(billed, Source.BILLED)
    known = row.cost.source is Source.ESTIMATED or (row.cost.source is Source.UNKNOWN and failed)
    return FREE if known else None


def _was_answered(row: Row) -> bool:
    """A call that was refused costs nothing, and a service need not log it."""
    return row.outcome is not Outcome.FAILED or row.cost.source is Source.UNKNOWN


def _same(one: Decimal, other: Decimal) -> bool:
    return DIGITS.create_decimal(one) == DIGITS.create_decimal(other)


def _missed(rows: Iterable[Row]) -> bool:
    """Is one of them so new that the service may still be writing it down?"""
    now = datetime.now(timezone.utc)
    return any(now - row.started < timedelta(seconds=row.seconds) + LAG for row in rows)
