"""What does spending look like? Two small tables, a drawing, and what the service says."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from pathlib import PurePath
from typing import Any

from cborg_magics.display import is_notebook, tables
from cborg_magics.display.notebook import quiet
from cborg_magics.display.svg import picture
from cborg_magics.display.tables import Bar, Cell, Column
from cborg_magics.display.wording import cost, count
from cborg_magics.exchange import Account, Budget
from cborg_magics.ledger import Total
from cborg_magics.pricing import money
from cborg_magics.reconciling import Comparison, DayCompared
from cborg_magics.spending import Group, Step, binding, left, limits

MOST_GROUPS = 12  # lines of a table; what is cheaper is summed up in one more
MOST_CALLS = 8  # calls of one kind that are told one by one
WIDTH, HEIGHT = 520, 120  # pixels
TOP, BOTTOM, RIGHT = 14, 102, 516
# A picture does not know the theme: these read on white and on black.
LINE, LIMIT, INK = "#4c8bc9", "#c4703f", "#7a7a7a"

Output = dict[str, str]


class Screen:
    """One output of the cell: shown, and shown anew in its place when more is known."""

    def __init__(self, shell: Any) -> None:
        self._shell, self._id, self._shown = shell, uuid.uuid4().hex, False

    def show(self, output: Output) -> None:
        if is_notebook(self._shell):
            transient = {"display_id": self._id}
            self._shell.display_pub.publish(output, transient=transient, update=self._shown)
        elif not self._shown:  # what stands in a terminal stays
            print(output["text/plain"])
        self._shown = True


def known(total: Total) -> str:
    """How a sum is known.

    >>> known(Total(Decimal("0.5"), Decimal("0.1"), 7, 2))
    '$0.100 of it estimated, 2 calls unpriced'
    >>> known(Total(Decimal(0), Decimal(0), 7, 2))
    '2 of 7 calls unpriced'
    """
    parts = []
    if total.unpriced and not total.dollars:
        of = f"{total.unpriced:,} of " if total.unpriced < total.calls else ""
        return f"{of}{count(total.calls, 'call')} unpriced"
    if total.calls > total.unpriced:
        if not total.dollars:
            parts.append("free")
        elif not total.estimated:
            parts.append("billed")
        elif money(total.estimated) == money(total.dollars):
            parts.append("estimated")
        else:
            parts.append(f"{money(total.estimated)} of it estimated")
    if total.unpriced:
        parts.append(f"{count(total.unpriced, 'call')} unpriced")
    return ", ".join(parts)


def overview(
    periods: Sequence[Group], groups: Sequence[Group], by: str, steps: Sequence[Step], told: Account
) -> Output:
    """The view of `%spend`, as HTML and as text. `told` is what the service says of budgets."""
    if not any(group.total.calls for group in periods):
        return _lines(["No call is in the ledger of this month yet."])
    first = [Column("from the ledger"), *_SUMS]
    second = [Column(f"this month, by {by}", wraps=by != "day"), *_SUMS, Column("")]
    sums = [[group.name, *_sums(group.total)] for group in periods]
    parts = _parts(groups, by)
    drawing = plot(steps, told)
    html = [tables.html(first, sums)]
    text = [tables.plain(first, sums)]
    if parts:
        html.append(f"<div style='margin-top:10px'>{tables.html(second, parts)}</div>")
        text.append(tables.plain(second, parts))
    html.append(drawing)
    return {
        "text/html": f"<div style='overflow-x:auto'>{''.join(html)}</div>",
        "text/plain": "\n\n".join(text),
    }


def service(title: str, account: Account, now: datetime) -> list[str]:
    """What the service says of this key, one fact a line."""
    lines = []
    stops = limits(account)
    if stops:
        lines.append(f"{title}: {_budget(stops[0])}.")
        lines += [f"Also {_budget(each)}." for each in stops[1:]]
    elif account.budgets:
        first = account.budgets[0]
        lines.append(f"{title} has booked {money(first.spent)} on this {first.owner}; no limit.")
    if account.credit is not None:
        lines.append(f"{title}: {money(account.credit)} of credit left.")
    if account.budgets:
        lines.append("Its figures lag by some seconds, and count calls from everywhere.")
    if account.expires_at:
        lines.append(f"{_expiry(account.expires_at, now)}.")
    return lines or [f"{title} says nothing of this key's budget."]


def _budget(budget: Budget) -> str:
    rest, limit = left(budget) or Decimal(0), budget.limit or Decimal(0)
    resets = f", resets on {_date(budget.resets_at)}" if budget.resets_at else ""
    said = f"{money(rest)} left" if rest else "nothing left"
    booked = f"{money(budget.spent)} booked"
    return f"the {budget.owner}'s budget, {said} of {money(limit)}, {booked}{resets}"


def _expiry(at: datetime, now: datetime) -> str:
    days = (at - now).days
    if at <= now:
        return f"The key ended on {_date(at)}"
    return f"The key ends on {_date(at)}, in {count(days, 'day') if days else 'less than a day'}"


def _date(at: datetime) -> str:
    at = at.astimezone()
    return f"{at.day} {at:%b %Y}"


# -- the tables ----------------------------------------------------------------------------

_SUMS = (Column("spent", right=True), Column("calls", right=True), Column("known as"))


def _sums(total: Total) -> list[str]:
    spent = "unknown" if total.unpriced and not total.dollars else money(total.dollars)
    return [spent, f"{total.calls:,}", known(total)]


def _parts(groups: Sequence[Group], by: str) -> list[list[Cell]]:
    """One line for each group, and a bar; days are cut at the beginning, all else at the end."""
    rest: Sequence[Group] = ()
    if len(groups) > MOST_GROUPS:
        cut = -MOST_GROUPS if by == "day" else MOST_GROUPS
        first, second = groups[:cut], groups[cut:]
        rest, groups = (first, second) if by == "day" else (second, first)
    most = max((group.total.dollars for group in groups), default=Decimal(0)) or 1
    names = [group.name for group in groups]
    lines: list[list[Cell]] = [
        [name, *_sums(group.total), Bar(float(group.total.dollars / most))]
        for name, group in zip(_short(names) if by == "notebook" else names, groups, strict=True)
    ]
    if rest:
        more = f"{len(rest)} {'earlier' if by == 'day' else 'more'}"
        lines.insert(0 if by == "day" else len(lines), [more, *_sums(_added(rest)), ""])
    return lines


def _added(groups: Sequence[Group]) -> Total:
    totals = [group.total for group in groups]
    return Total(
        sum((each.dollars for each in totals), Decimal(0)),
        sum((each.estimated for each in totals), Decimal(0)),
        sum(each.calls for each in totals),
        sum(each.unpriced for each in totals),
    )


def _short(paths: Sequence[str]) -> list[str]:
    """Files by their names, and by their paths where names are not enough.

    >>> _short(["/a/x.ipynb", "/b/x.ipynb", "/b/y.ipynb"])
    ['/a/x.ipynb', '/b/x.ipynb', 'y.ipynb']
    """
    names = [PurePath(path).name for path in paths]
    both = zip(paths, names, strict=True)
    return [name if names.count(name) == 1 else path for path, name in both]


# -- the drawing ---------------------------------------------------------------------------


LEAST = timedelta(minutes=10)


def plot(steps: Sequence[Step], account: Account) -> str:
    """How this month's sum grew, and where the budget ends; nothing where little has happened."""
    if len(steps) < 2 or not steps[-1].dollars or steps[-1].at - steps[0].at < LEAST:
        return ""
    sofar, begin, end = steps[-1].dollars, steps[0].at, steps[-1].at
    bound = binding(account)
    rest = left(bound) if bound else None
    limit = None if rest is None else sofar + rest
    shown = limit is not None and limit <= 3 * sofar
    top = limit if shown and limit is not None else sofar
    span = (end - begin).total_seconds() or 1.0

    def x(step: Step) -> float:
        return RIGHT * (step.at - begin).total_seconds() / span

    def y(dollars: Decimal) -> float:
        return BOTTOM - (BOTTOM - TOP) * float(dollars / top)

    path = f"M0 {BOTTOM}" + "".join(
        f"H{x(step):.1f}V{y(step.dollars):.1f}" for step in _thinned(steps)
    )
    line = y(sofar)
    above = line if line > TOP + 16 else TOP  # beside the words on the limit, not on its line
    words = [_text(f"{money(sofar)} so far", RIGHT, above - 4, "end")]
    alt = f"Spending of this month: {money(sofar)} in {count(len(steps), 'call')}"
    if shown and bound and rest is not None:
        words.append(
            f"<path d='M0 {TOP}H{RIGHT}' stroke='{LIMIT}' stroke-dasharray='5 4' fill='none'/>"
            + _text(f"the {bound.owner}'s budget: {money(rest)} left", 0, TOP - 4, "start", LIMIT)
        )
        alt += f"; {money(rest)} of the {bound.owner}'s budget left"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'"
        f" width='{WIDTH}' height='{HEIGHT}' role='img'><title>{escape(alt)}</title>"
        f"<path d='M0 {BOTTOM}H{RIGHT}' stroke='{INK}' stroke-opacity='0.5'/>"
        f"<path d='{path}V{BOTTOM}Z' fill='{LINE}' fill-opacity='0.15'/>"
        f"<path d='{path}' fill='none' stroke='{LINE}' stroke-width='1.5'/>"
        f"{''.join(words)}{_text(_moment(begin, end), 0, BOTTOM + 14, 'start')}"
        f"{_text(_moment(end, begin), RIGHT, BOTTOM + 14, 'end')}</svg>"
    )
    style = f"display:block;margin-top:12px;max-width:100%;min-width:320px;width:{WIDTH}px"
    return (
        f"<img role='img' alt='{escape(alt)}' aria-label='{escape(alt)}' src='{picture(svg)}'"
        f" style='{style}'>"
    )


def _thinned(steps: Sequence[Step], most: int = 400) -> Sequence[Step]:
    """No more steps than can be told apart, with the last one."""
    every = max(-(-len(steps) // most), 1)
    return steps if every == 1 else [*steps[:-1:every], steps[-1]]


def _moment(at: datetime, other: datetime) -> str:
    at, other = at.astimezone(), other.astimezone()
    return f"{at:%H:%M}" if at.date() == other.date() else f"{at.day} {at:%b}"


def _text(words: str, x: float, y: float, anchor: str, colour: str = INK) -> str:
    return (
        f"<text x='{x:.0f}' y='{y:.0f}' text-anchor='{anchor}' fill='{colour}' font-size='11'"
        f" font-family='system-ui,sans-serif'>{escape(words)}</text>"
    )


# -- what a comparison came to ---------------------------------------------------------------


def reconciled(title: str, found: Comparison | Sequence[DayCompared] | None) -> Output:
    """What the ledger and the service's log say of each other."""
    if found is None:
        return _lines(
            [f"{title} shows its log of calls to no key of this kind, so nothing was compared."]
        )
    if not isinstance(found, Comparison):
        return _days(title, found)
    calls = len(found.agreed) + len(found.bills) + len(found.differing)
    lines = [f"{count(calls, 'call')} of this month are in the ledger and in {title}'s log."]
    if calls == 1:
        lines = [f"1 call of this month is in the ledger and in {title}'s log."]
    if found.bills:
        lines.append(f"Of {count(len(found.bills), 'call')} the log tells the bill; noted:")
    if not (found.differing or found.unlogged or found.unwritten):
        lines.append("Nothing is left to explain.")
    parts = [_lines(lines)]
    if found.bills:
        parts.append(
            _table(
                ["call", "model", "in the ledger", "bill"],
                [[_when(r.started), r.model, cost(r.cost), cost(b)] for r, b in found.bills],
            )
        )
    if found.differing:
        parts.append(_lines([f"{count(len(found.differing), 'call')} cost something else there:"]))
        parts.append(
            _table(
                ["call", "model", "in the ledger", f"in {title}'s log"],
                [
                    [_when(r.started), r.model, cost(r.cost), f"{money(other)} billed"]
                    for r, other in found.differing
                ],
            )
        )
    if found.unlogged:
        parts.append(_lines([_unlogged(title, len(found.unlogged))]))
        parts.append(
            _table(
                ["call", "model", "in the ledger", "its number"],
                [
                    [_when(r.started), r.model, cost(r.cost), r.call_id or r.answer_id or "none"]
                    for r in found.unlogged
                ],
            )
        )
    if found.unwritten:
        parts.append(_lines([_unwritten(title, len(found.unwritten))]))
        parts.append(
            _table(
                ["call", "model", f"in {title}'s log", "its number"],
                [
                    [
                        _when(e.started),
                        e.model,
                        f"{money(e.dollars)} billed",
                        e.call_id or e.answer_id or "none",
                    ]
                    for e in found.unwritten
                ],
            )
        )
    return _joined(parts)


def _unlogged(title: str, number: int) -> str:
    return (
        f"{count(number, 'call')} of the ledger {'is' if number == 1 else 'are'} not in {title}'s"
        " log: not booked yet, or made with another user's key."
    )


def _unwritten(title: str, number: int) -> str:
    return (
        f"{count(number, 'call')} of this key {'is' if number == 1 else 'are'} in {title}'s log"
        " only: made on another machine, or by another program."
    )


def _days(title: str, days: Sequence[DayCompared]) -> Output:
    lines = [f"{title} tells this key its sums by day (UTC) only, so no call was corrected."]
    rows = [
        [
            each.day.day.isoformat(),
            money(each.dollars),
            f"{each.calls:,}",
            money(each.day.dollars),
            f"{each.day.calls:,}",
        ]
        for each in days
    ]
    table = _table(["day", "in the ledger", "calls", f"booked by {title}", "calls"], rows, right=1)
    return _joined([_lines(lines), table])


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: int = 2) -> Output:
    columns = [
        Column(title, right=index >= right and title != "its number")
        for index, title in enumerate(titles)
    ]
    shown = [list(row) for row in rows[:MOST_CALLS]]
    if len(rows) > MOST_CALLS:
        shown.append([f"{len(rows) - MOST_CALLS} more", *("" for _ in titles[1:])])
    table = tables.html(columns, shown)
    return {
        "text/html": f"<div style='overflow-x:auto;margin:2px 0 10px'>{table}</div>",
        "text/plain": tables.plain(columns, shown),
    }


def _lines(lines: Sequence[str]) -> Output:
    return {"text/html": "".join(map(quiet, lines)), "text/plain": "\n".join(lines)}


def _joined(parts: Sequence[Output]) -> Output:
    return {kind: "\n".join(part[kind] for part in parts) for kind in ("text/html", "text/plain")}


def _when(at: datetime) -> str:
    at = at.astimezone()
    return f"{at.day} {at:%b %H:%M:%S}"
