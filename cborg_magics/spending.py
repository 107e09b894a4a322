"""Where did the money go? Sums over rows of the ledger: by model, day, notebook, thread, kernel.

Days and months are those of this machine's clock and time zone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from cborg_magics.exchange import Account, Budget
from cborg_magics.ledger import Row, Total, total


@dataclass(frozen=True)
class Group:
    """Calls that have something in common; `name` says what, for people."""

    name: str
    total: Total


@dataclass(frozen=True)
class Step:
    """So much had been spent, in US dollars, when a call was over."""

    at: datetime
    dollars: Decimal


def month(today: date) -> datetime:
    """When the month of `today` began, in UTC."""
    return datetime.combine(today.replace(day=1), time.min).astimezone(timezone.utc)


def this_month(rows: Sequence[Row], today: date) -> list[Row]:
    """The calls begun in the month of `today`."""
    return [row for row in rows if row.started >= month(today)]


def periods(rows: Sequence[Row], kernel: str, thread: str, today: date) -> tuple[Group, ...]:
    """What a thread of this kernel, the kernel, today and this month have cost. `rows` reach
    back to the kernel's first call and to the month's, whichever is earlier."""
    own = [row for row in rows if row.kernel == kernel]
    return (
        Group(f"thread {thread}", total([row for row in own if row.thread == thread])),
        Group("this kernel", total(own)),
        Group("today", total([row for row in rows if _day(row) == today])),
        Group("this month", total(this_month(rows, today))),
    )


def grouped(rows: Sequence[Row], by: str, kernel: str) -> tuple[Group, ...]:
    """The sums of `rows` by one of `WAYS`: days in their order, all else the dearest first."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        parts[WAYS[by](row, kernel)].append(row)
    groups = [Group(name, total(found)) for name, found in parts.items()]
    if by == "day":
        return tuple(sorted(groups, key=lambda each: each.name))
    return tuple(sorted(groups, key=lambda each: (-each.total.dollars, -each.total.calls)))


def steps(rows: Sequence[Row]) -> tuple[Step, ...]:
    """How the sum grew, call by call, in the order in which they ended."""
    so_far, made = Decimal(0), []
    ended = [(row.started + timedelta(seconds=row.seconds), row.cost.dollars) for row in rows]
    for at, dollars in sorted(ended, key=lambda each: each[0]):
        so_far += dollars or 0
        made.append(Step(at, so_far))
    return tuple(made)


def left(budget: Budget) -> Decimal | None:
    """US dollars that may still be spent, never below 0; None without a limit."""
    return None if budget.limit is None else max(budget.limit - budget.spent, Decimal(0))


def limits(account: Account) -> tuple[Budget, ...]:
    """The budgets that can stop the key, the one with the least left first.

    A team's key is not stopped by its user's budget (measured: LiteLLM 1.106).
    """
    others = {"user"} if any(each.owner == "team" for each in account.budgets) else set()
    found = [b for b in account.budgets if b.limit is not None and b.owner not in others]
    return tuple(sorted(found, key=lambda each: left(each) or Decimal(0)))


def binding(account: Account) -> Budget | None:
    """The budget that stops the key first."""
    return next(iter(limits(account)), None)


def _day(row: Row) -> date:
    return row.started.astimezone().date()


def _kernel(row: Row, kernel: str) -> str:
    return "this kernel" if row.kernel == kernel else f"kernel {row.kernel[:8]}"


def _thread(row: Row, kernel: str) -> str:
    if row.thread is None:
        return "alone, in no thread"
    return row.thread if row.kernel == kernel else f"{row.thread} (kernel {row.kernel[:8]})"


WAYS: dict[str, Callable[[Row, str], str]] = {
    "model": lambda row, kernel: row.model,
    "day": lambda row, kernel: _day(row).isoformat(),
    "notebook": lambda row, kernel: row.notebook or "not known",
    "thread": _thread,
    "kernel": _kernel,
}
