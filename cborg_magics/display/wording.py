"""How do we say it? Values as words, so that every front end says the same."""

from __future__ import annotations

import calendar
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from cborg_magics.exchange import (
    Attachment,
    Capped,
    Cost,
    Document,
    FromCache,
    Joined,
    Location,
    Outcome,
    Rejected,
    Reply,
    Source,
    Usage,
    Waiting,
)
from cborg_magics.pricing import FREE, money

if TYPE_CHECKING:
    from cborg_magics.answers.folder import KeptAnswer
    from cborg_magics.caps import Caps
    from cborg_magics.planning import Plan
    from cborg_magics.session import Estimate

DOT = " · "
ZERO = Decimal(0)


def cost(cost: Cost) -> str:
    """
    >>> from decimal import Decimal
    >>> cost(Cost(Decimal("0.0012"), Source.ESTIMATED)), cost(Cost(None, Source.UNKNOWN))
    ('$0.00120 estimated', 'cost unknown')
    """
    if cost.source is Source.UNKNOWN or cost.dollars is None:
        return "cost unknown"
    if cost.source is Source.FREE:
        return "free"
    return f"{money(cost.dollars)} {cost.source.value}"


def seconds(value: float) -> str:
    """
    >>> seconds(0.001), seconds(0.043), seconds(3.14), seconds(42.2), seconds(125), seconds(7500)
    ('0.01 s', '0.04 s', '3.1 s', '42 s', '2 min 5 s', '2 h 5 min')
    """
    if value >= 3600:
        return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"
    if value >= 59.5:
        return f"{round(value) // 60} min {round(value) % 60} s"
    digits = 2 if value < 0.095 else 1 if value < 9.95 else 0
    return f"{max(value, 0.01):.{digits}f} s"


def tokens(usage: Usage) -> str:
    """
    >>> tokens(Usage(1024, 214, cached=896, reasoning=128)), tokens(Usage(1, 1))
    ('1,024 tokens in (896 cached), 214 out (128 reasoning)', '1 token in, 1 out')
    """
    about = "" if usage.counted else "about "
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    thought = f" ({usage.reasoning:,} reasoning)" if usage.reasoning else ""
    kept = f" ({usage.written:,} kept for the next call)" if usage.written else ""
    sent = count(usage.prompt, "token")
    return f"{about}{sent} in{cached}{kept}, {usage.completion:,} out{thought}"


def waiting(event: Waiting) -> str:
    """
    >>> waiting(Waiting(12, "api.example.org is busy (429)", 2, 6))
    'api.example.org is busy (429); trying again in 12 s, attempt 2 of 6'
    """
    of = f" of {event.of}" if event.of else ""
    return f"{event.reason}; trying again in {event.seconds} s, attempt {event.attempt}{of}"


def model(asked: str, served: str | None) -> str:
    """The name that was asked for, and what answered where that differs."""
    behind = served.partition("/")[2] or served if served else ""
    return f"{asked} ({served})" if served and asked not in (served, behind) else asked


def live(model: str, elapsed: float, pieces: int, writing: float) -> str:
    """
    >>> live("gpt-5", 3.0, 0, 0.0), live("gpt-5", 3.0, 80, 2.0)
    ('asking gpt-5 · 3.0 s so far', 'gpt-5 · 3.0 s so far · about 40 tokens a second')
    """
    if not pieces:
        return f"asking {model}{DOT}{seconds(elapsed)} so far"
    rate = [f"about {pieces / writing:.0f} tokens a second"] if writing > 1 else []
    return DOT.join([model, f"{seconds(elapsed)} so far", *rate])


def badge(reply: Reply) -> list[str]:
    """The parts of the badge: who, how it ended, tokens, cost, time, place."""
    if reply.from_cache:
        return [
            model(reply.model, reply.served),
            *_ending(reply),
            from_cache(reply.from_cache),
            *([joined(reply.joined)] if reply.joined else []),
        ]
    time = f"{seconds(reply.seconds)}"
    if reply.first_text is not None and reply.seconds - reply.first_text > 0.05:
        time = f"first text {seconds(reply.first_text)}, total {time}"
    return [
        model(reply.model, reply.served),
        *([] if reply.fallback is None else [fallback(reply.fallback)]),
        *_ending(reply),
        *([capped(reply.capped)] if reply.capped else []),
        *([tokens(reply.usage)] if reply.usage else []),
        "nothing charged" if reply.cost == FREE and not reply.usage else cost(reply.cost),
        time,
        *([_PLACES[reply.location]] if reply.usage else []),
        *([joined(reply.joined)] if reply.joined and reply.text else []),
    ]


def from_cache(kept: FromCache) -> str:
    """
    >>> from datetime import datetime, timezone
    >>> noon = datetime(2020, 3, 12, 12, tzinfo=timezone.utc)
    >>> from_cache(FromCache(noon, Cost(Decimal("0.0042"), Source.BILLED)))
    'from cache of 12 March 2020, 0 of $0.00420 billed'
    >>> from_cache(FromCache(noon, Cost(None, Source.UNKNOWN)))
    'from cache of 12 March 2020, nothing charged'
    """
    paid = f"0 of {cost(kept.cost)}" if kept.cost.dollars else "nothing charged"
    return f"from cache of {day(kept.at)}, {paid}"


def day(at: datetime) -> str:
    """A day for people, with its year unless it is this one."""
    at, now = at.astimezone(), datetime.now().astimezone()
    return f"{at.day} {calendar.month_name[at.month]}{'' if at.year == now.year else f' {at.year}'}"


def capped(capped: Capped) -> str:
    """
    >>> capped(Capped(1200, "CBORG_BUDGET_DAY"))
    'at most 1,200 tokens, by CBORG_BUDGET_DAY'
    """
    return f"at most {capped.tokens:,} tokens, by {capped.by}"


def joined(joined: Joined) -> str:
    """
    >>> joined(Joined("main", 3)), joined(Joined("main", 2, replaced=True, dropped=1))
    ('turn 3 of main', 'turn 2 of main again, 1 later turn dropped (%chat --undo)')
    """
    if joined.turn is None:
        return f"not in {joined.thread}: the cell's earlier answer stands there"
    dropped = f", {count(joined.dropped, 'later turn')} dropped (%chat --undo)"
    again = " again" if joined.replaced else ""
    return f"turn {joined.turn} of {joined.thread}{again}{dropped if joined.dropped else ''}"


def fallback(reason: str) -> str:
    """
    >>> fallback("busy"), fallback("")
    ('not the model you asked (busy)', 'not the model you asked')
    """
    return f"not the model you asked{f' ({reason})' if reason else ''}"


def count(number: int, what: str) -> str:
    """
    >>> count(1, "turn"), count(1200, "turn")
    ('1 turn', '1,200 turns')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(octets: int) -> str:
    """
    >>> size(830), size(23_456), size(3_200_000)
    ('830 bytes', '23 kB', '3.2 MB')
    """
    if octets < 1000:
        return f"{octets} bytes"
    return f"{octets / 1e3:.0f} kB" if octets < 1e6 else f"{octets / 1e6:.1f} MB"


def attachment(attachment: Attachment) -> str:
    """
    >>> attachment(Document("df", "a table", note="3 rows"))
    'df · 7 bytes · 3 rows'
    """
    parts = [attachment.name]
    if isinstance(attachment, Document):
        parts.append(size(len(attachment.text.encode(errors="replace"))))
    elif attachment.url:
        parts.append("fetched by the service")
    else:
        if attachment.size:
            parts.append("{:,} × {:,} px".format(*attachment.size))
        parts.append(size(len(attachment.data)))
    return DOT.join([*parts, *filter(None, [attachment.note])])


def rejected(event: Rejected) -> str:
    """Why an answer is asked for a second time."""
    return f"{event.reason}; asking once more"


def place(location: Location) -> str:
    """Where the data goes."""
    return _PLACES[location]


_PLACES = {
    Location.HERE: "on this machine",
    Location.ON_PREMISES: "on-premises",
    Location.CLOUD: "cloud",
    Location.UNKNOWN: "location unknown",
}


def _ending(reply: Reply) -> list[str]:
    """What the reader must know of an answer that is not whole."""
    if reply.outcome is Outcome.FAILED:
        return ["no answer"]
    if reply.outcome is Outcome.INTERRUPTED:
        return ["interrupted, partial" if reply.text else "interrupted, no text came"]
    if reply.outcome is Outcome.BROKEN:
        return ["broken off, partial"]
    reasons = {
        "length": "cut at the token limit",
        "content_filter": "cut by the content filter",
        "loop": "stopped because it repeated itself",
    }
    if reply.finish_reason in reasons:
        return [reasons[reply.finish_reason]]
    return [] if reply.text else ["no text came"]


def plan(plan: Plan, estimate: Estimate) -> list[str]:
    """What would be sent, and what it would cost: one fact a line."""
    question, where = plan.question, _PLACES[plan.model.location] if plan.model else ""
    system = [m for m in plan.request.messages if m.role == "system"]
    along = [
        *(["a system text"] if system else []),
        *([f"{count(len(plan.history), 'turn')} of {question.thread}"] if plan.history else []),
        *(each.name for each in question.attachments),
        "the question",
    ]
    how = "counted by the service" if estimate.counted else "a guess at four bytes each"
    most = f", up to {estimate.most:,} out" if estimate.most else ", no limit on the answer"
    return [
        f"Dry run, nothing was asked: {DOT.join(filter(None, [plan.request.model, where]))}",
        f"It would send {', '.join(along)}.",
        *plan.notes,
        f"{count(estimate.prompt, 'token')} in ({how}){most}.",
        _range(estimate),
    ]


def kept(kept: KeptAnswer) -> list[str]:
    """What a dry run says of a question whose answer is at hand."""
    return [
        f"Dry run, nothing was asked: the answer of {kept.model} is in the cache, of"
        f" {day(kept.at)}.",
        "Cost: nothing.",
    ]


def _range(estimate: Estimate) -> str:
    least, most = estimate.least_cost, estimate.most_cost
    if least.source is Source.FREE or least.dollars is None:
        return f"Cost: {cost(least).removeprefix('cost ')}."
    if most.dollars is None:
        return f"Cost: {money(least.dollars)} and more, for the answer; estimated."
    return f"Cost: {money(least.dollars)} to {money(most.dollars)}, estimated."


def caps(caps: Caps) -> list[str]:
    """What the caps of this kernel leave, one line each."""
    if not caps.in_force:
        return []
    spending = caps.spending()
    left = [max(cap.left(spending), ZERO) for cap in caps.in_force]
    return [
        f"The cap of {cap} leaves {money(rest) if rest else 'nothing'}."
        for cap, rest in zip(caps.in_force, left, strict=True)
    ]
