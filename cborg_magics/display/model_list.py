"""What does a list of models look like? A quiet table; one model in full; what a check found.

Names and words come from a server: nothing in them is markup, moves a cursor or turns text round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any

from cborg_magics.catalogue import Kind, Model
from cborg_magics.display import wording
from cborg_magics.display.notebook import quiet
from cborg_magics.display.tables import Column, html, plain
from cborg_magics.exchange import Location
from cborg_magics.pricing import FREE, money
from cborg_magics.selection import MILLION, keeps

if TYPE_CHECKING:
    from cborg_magics.checking import Checked

MOST_ROWS = 60
UNIT = "$/M: US dollars per million tokens"
COLUMNS = (
    Column("model"),
    Column("$/M in", right=True),
    Column("$/M out", right=True),
    Column("context", right=True),
    Column("can"),
    Column("runs"),
)
_PLACES = {
    Location.HERE: "on this machine",
    Location.ON_PREMISES: "on-premises",
    Location.CLOUD: "cloud",
    Location.UNKNOWN: "not told",
}


@dataclass(frozen=True)
class Listing:
    """The `models` to show, of `total` that the service (`title`) has.

    `wanted` says in words which, and in what order. `default` is asked when none is named;
    `read_at` is when the list was read; `notes` are lines below the table.
    """

    title: str
    models: Sequence[Model]
    total: int
    wanted: str
    default: str
    read_at: datetime
    age: timedelta
    notes: tuple[str, ...] = ()


def table(listing: Listing) -> dict[str, Any]:
    """The list, as a notebook's output and as text for a terminal."""
    shown = listing.models[:MOST_ROWS]
    rows = [_row(model, listing.default) for model in shown]
    notes = [*_more(len(listing.models) - len(shown)), *listing.notes]
    if not rows:
        return _both("", "", [caption(listing), *notes])
    head = caption(listing)
    return _both(html(COLUMNS, rows, head), plain(COLUMNS, rows, head), notes)


def card(model: Model, twins: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    """One model in full: all that its service tells."""
    columns = (Column(seen(model.name)), Column(model.kind.value))
    rows = [(name, value) for name, value in _facts(model, twins) if value]
    return _both(html(columns, rows), plain(columns, rows), list(notes))


def caption(listing: Listing) -> str:
    """How many models of whom, in what unit, how old."""
    count, total = len(listing.models), wording.count(listing.total, "model")
    of = total if count == listing.total else f"{count:,} of {total}"
    when = f"listed {listing.read_at.astimezone():%Y-%m-%d %H:%M}, {age(listing.age)}"
    which = [seen(listing.wanted)] if listing.wanted else []
    return wording.DOT.join([f"{of} of {seen(listing.title)}", *which, UNIT, when])


def per_million(price: Decimal | None) -> str:
    """US dollars per million tokens: cents, and below a dollar up to three digits.

    >>> [per_million(Decimal(p)) for p in ("3e-6", "4.9999999999999996e-05", "2.5e-8", "0")]
    ['3.00', '50.00', '0.025', '0']
    >>> per_million(None)
    'not told'
    """
    if price is None:
        return "not told"
    if not price:
        return "0"
    figure = price * MILLION
    if figure < 1:
        figure = Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(figure).normalize()
        if figure == round(figure, 2):
            figure = round(figure, 2)
        return f"{figure:f}"
    return f"{figure.quantize(Decimal('0.01'), ROUND_HALF_UP):,f}"


def size(tokens: int | None) -> str:
    """A number of tokens, short.

    >>> size(128_000), size(1_048_576), size(8192), size(999_999), size(512), size(None)
    ('128k', '1.05M', '8.19k', '1M', '512', '')
    """
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if tokens and tokens >= 0.9995 * unit:
            return f"{tokens / unit:.3g}{letter}"
    return str(tokens or "")


def age(age: timedelta) -> str:
    """
    >>> age(timedelta(seconds=20)), age(timedelta(minutes=12)), age(timedelta(hours=30))
    ('just now', '12 min ago', '30 h ago')
    """
    minutes = age.total_seconds() / 60
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{int(minutes)} min ago"
    hours = int(minutes // 60)
    return f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"


def seen(text: str) -> str:
    """A text from a server as it may be shown: one line, no character that cannot be seen.

    >>> seen("gpt\\x1b[31m-5\\u202e")
    'gpt\ufffd[31m-5\ufffd'
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def prices(model: Model) -> tuple[str, str]:
    """In and out, as cells of a table: free is not the same as unpriced."""
    told = model.prices
    if told.free:
        return "free", "free" if model.kind is Kind.CHAT else ""
    if told.prompt is None and not told.completion:
        return "no price told", ""
    silent = model.kind is Kind.EMBEDDING and not told.completion  # it writes nothing
    return per_million(told.prompt), "" if silent else per_million(told.completion)


def abilities(model: Model) -> str:
    """What the service says that it can, in the words of the options."""
    if model.kind is Kind.EMBEDDING:
        return f"embed to {model.vector_size:,}" if model.vector_size else "embed"
    can = {
        "vision": model.vision,
        "tools": model.tools,
        "reasoning": model.reasoning,
        "caching": keeps(model),
        "schemas": model.schemas,
    }
    kind = [] if model.kind is Kind.CHAT else [model.kind.value]
    return ", ".join([*kind, *(word for word, able in can.items() if able)])


def _row(model: Model, default: str) -> tuple[str, ...]:
    mark = f"{wording.DOT}default" if model.name == default else ""
    context = size(model.max_input_tokens)
    where = _PLACES[model.location]
    return (f"{seen(model.name)}{mark}", *prices(model), context, abilities(model), where)


def _facts(model: Model, twins: Sequence[str]) -> list[tuple[str, str]]:
    told = model.prices
    each = [
        (told.prompt, "in"),
        (told.completion if model.kind is not Kind.EMBEDDING else None, "out"),
        (told.cached, "read from the service's cache"),
        (told.written, "written to it"),
    ]
    figures = [f"{per_million(price)} {where}" for price, where in each if price is not None]
    price = wording.DOT.join(figures) or "not told"
    return [
        ("stands for", seen(model.underlying or "not told")),
        ("also named", ", ".join(map(seen, twins))),
        ("$ per million tokens", "free" if told.free else price),
        ("takes", _tokens(model.max_input_tokens)),
        ("writes", "" if model.kind is Kind.EMBEDDING else _tokens(model.max_output_tokens)),
        ("can", abilities(model) or "nothing told"),
        ("cannot", ", ".join(_lacks(model))),
        ("runs", _PLACES[model.location]),
        ("deployments", str(model.deployments) if model.deployments > 1 else ""),
        ("system prompt", _SYSTEM[model.system]),
    ]


_SYSTEM = {True: "brings one of its own", False: "none of its own", None: ""}


def _lacks(model: Model) -> list[str]:
    said = {
        "vision": model.vision,
        "tools": model.tools,
        "reasoning": model.reasoning,
        "schemas": model.schemas,
    }
    return [word for word, able in said.items() if able is False]


def _tokens(number: int | None) -> str:
    return f"{number:,} tokens at most" if number else "not told"


def checked(found: Sequence[Checked], of: int, seconds: float) -> dict[str, Any]:
    """What each model answered to a check: those that failed first."""
    columns = (Column("model"), Column("time", True), Column("cost", True), Column("answer"))
    order = sorted(found, key=lambda each: each.answers)
    rows = [
        (seen(each.model), wording.seconds(each.seconds), _cost(each), seen(each.words))
        for each in order
    ]
    head = checks(found, of, seconds)
    shown = rows[:MOST_ROWS]
    rest = len(rows) - len(shown)
    notes = [f"{wording.count(rest, 'more model')} that answer; -o NAME takes all."] if rest else []
    return _both(html(columns, shown, head), plain(columns, shown, head), notes)


def checks(found: Sequence[Checked], of: int, seconds: float) -> str:
    """How far a check has come, and what it has cost."""
    done = len(found)
    answer = sum(each.answers for each in found)
    known = [each.cost.dollars for each in found if each.cost.dollars is not None]
    unknown = len(found) - len(known)
    return wording.DOT.join(
        [
            f"{answer:,} of {wording.count(done, 'model')} answer",
            *([f"{of - done:,} not asked yet"] if of > done else []),
            money(sum(known, Decimal(0))),
            *([f"cost unknown of {unknown:,}"] if unknown else []),
            wording.seconds(seconds),
        ]
    )


def _cost(each: Checked) -> str:
    if not each.answers and each.cost == FREE:
        return "nothing charged"
    return wording.cost(each.cost)


def _more(count: int) -> list[str]:
    if count <= 0:
        return []
    are = f"{wording.count(count, 'more model')} not shown"
    return [f"{are}: add a word, --vision, --free, --max-price 5; -o NAME takes them all."]


def _both(html: str, plain: str, notes: list[str]) -> dict[str, Any]:
    lines = [seen(note) for note in notes]
    return {
        "text/html": html + "".join(map(quiet, lines)),
        "text/plain": "\n".join(filter(None, [plain, *lines])),
    }
