"""What did that cost? Billed, else estimated, else unknown; never a made-up 0."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from cborg_magics.catalogue import Prices
from cborg_magics.exchange import Cost, Source, Usage

A_MILLIONTH = Decimal("0.000001")  # of a dollar: no digits below it mean anything
UNKNOWN = Cost(None, Source.UNKNOWN)
FREE = Cost(Decimal(0), Source.FREE)


def price_of(usage: Usage | None, billed: Decimal | None, prices: Prices | None) -> Cost:
    """The cost of one call.

    `billed` is what the service said in this very answer. A zero there, or a
    price list of zeros, is free; an absent figure is not. Tokens read from a cache, or
    written to it, count at their own price, or at the full price where none is given.

    >>> price_of(Usage(1000, 100), None, Prices(Decimal("3e-6"), Decimal("15e-6")))
    Cost(dollars=Decimal('0.0045'), source=<Source.ESTIMATED: 'estimated'>)
    """
    if billed is not None:
        return Cost(billed, Source.BILLED) if billed else FREE
    if prices is None:
        return UNKNOWN
    if prices.free:
        return FREE
    if usage is None or prices.prompt is None or prices.completion is None:
        return UNKNOWN
    cached, written = usage.cached or 0, usage.written or 0
    cached_price = prices.prompt if prices.cached is None else prices.cached
    written_price = prices.prompt if prices.written is None else prices.written
    dollars = (
        (usage.prompt - cached - written) * prices.prompt
        + cached * cached_price
        + written * written_price
        + usage.completion * prices.completion
    )
    return Cost(dollars.normalize(), Source.ESTIMATED)


def money(dollars: Decimal) -> str:
    """Three digits that mean something below a dollar, cents above.

    >>> [money(Decimal(figure)) for figure in ("0.00067849", "0.1", "12.345", "0", "0.00000002")]
    ['$0.000678', '$0.100', '$12.35', '$0', 'under $0.000001']
    """
    if not dollars:
        return "$0"
    if dollars < A_MILLIONTH:
        return f"under ${A_MILLIONTH:f}"
    if dollars >= 1:
        return f"${dollars.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    rounded = Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(dollars)
    return f"${rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 2)):f}"


def cheaper(one: Cost, other: Cost) -> Cost:
    """The lower of two costs; unknown where either is."""
    if one.dollars is None or other.dollars is None:
        return UNKNOWN
    return one if one.dollars <= other.dollars else other


def add(one: Cost, other: Cost) -> Cost:
    """Both together: unknown if one is, billed only if all that was charged is.

    >>> add(Cost(Decimal("0.1"), Source.BILLED), Cost(Decimal("0.2"), Source.ESTIMATED))
    Cost(dollars=Decimal('0.3'), source=<Source.ESTIMATED: 'estimated'>)
    """
    if one.dollars is None or other.dollars is None:
        return UNKNOWN
    sources = {each.source for each in (one, other)} - {Source.FREE}
    source = Source.ESTIMATED if len(sources) > 1 else min(sources, default=Source.FREE)
    return Cost(one.dollars + other.dollars, source)
