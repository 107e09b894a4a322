"""May this call be afforded? Its worst case is weighed, and held until its cost is known.

The worst case is the longest answer at its price, and what is sent at its own: a token
for each byte, for no tokenizer makes more of a text; where a cap is too near for that,
the service's count and half as much again. A picture's tokens are a guess in any case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timezone
from decimal import Decimal

from cborg_magics import tokens
from cborg_magics.catalogue import Kind, Model
from cborg_magics.errors import CapReached
from cborg_magics.exchange import Capped, Request
from cborg_magics.ledger import Booking, Ledger, Spending, Spent
from cborg_magics.pricing import money
from cborg_magics.settings import Settings

LEAST = 256  # tokens: a shorter answer is not worth its question
UNSAID = 4096  # tokens: the longest answer of a model whose service does not say
COUNTED = Decimal("1.5")  # of the service's count, which is another tokenizer's for some models
FOR_A_MESSAGE = 16  # tokens that a service puts around each
NEAR = Decimal("0.8")  # of a cap: time for a warning


@dataclass(frozen=True)
class Cap:
    """A limit on spending, in US dollars: of a day, else of a kernel. `name` is what set it;
    `locked`: an administrator did."""

    dollars: Decimal
    name: str
    daily: bool = False
    locked: bool = False

    def spent(self, spending: Spending) -> Spent:
        """What counts against it."""
        return spending.day if self.daily else spending.kernel

    def left(self, spending: Spending) -> Decimal:
        """US dollars; below zero where it is passed."""
        return self.dollars - self.spent(spending).counted

    def __str__(self) -> str:
        """
        >>> str(Cap(Decimal("0.50"), "CBORG_BUDGET_DAY", daily=True))
        '$0.50 a day (CBORG_BUDGET_DAY)'
        """
        return f"${self.dollars:f} {'a day' if self.daily else 'for this kernel'} ({self.name})"


@dataclass(frozen=True)
class WorstCase:
    """The most that a call may come to: US dollars for what is sent and for each `token` of the
    answer, which has `most`. `asked`: the person set that limit. `bounded`: it need not be sent."""

    prompt: Decimal
    token: Decimal
    most: int
    asked: bool = False
    bounded: bool = True

    def dollars(self, answer: int) -> Decimal:
        """With an answer of so many tokens."""
        return self.prompt + answer * self.token


@dataclass(frozen=True)
class Allowance:
    """What a call may spend, in US dollars; with `max_tokens` as its limit because of the cap
    `by`. Both None: as it is."""

    dollars: Decimal
    max_tokens: int | None = None
    by: Cap | None = None


def weigh(call: WorstCase, caps: Sequence[Cap], spending: Spending) -> Allowance:
    """The longest answer that every cap affords. Raises `CapReached` if that is too short."""
    if not caps:
        return Allowance(call.dollars(call.most))
    cap = min(caps, key=lambda each: each.left(spending))
    left = cap.left(spending)
    if call.dollars(call.most) <= left:
        bounds = Allowance(call.dollars(call.most), call.most, cap)
        return replace(bounds, max_tokens=None, by=None) if call.bounded else bounds
    least = call.most if call.asked else min(LEAST, call.most)
    if call.dollars(least) <= left:  # so a token has a price, or the whole would fit
        afforded = int((left - call.prompt) // call.token)
        return Allowance(call.dollars(afforded), afforded, cap)
    raise _reached(cap, spending, call.dollars(least), None if call.asked else least)


def worst_case(request: Request, model: Model | None, asked: bool, prompt: int) -> WorstCase | None:
    """What `request`, with `prompt` tokens, may come to; None if no price is known."""
    if model is None or model.prices.prompt is None:
        return None
    if model.kind is Kind.EMBEDDING:  # it writes nothing
        return WorstCase(prompt * model.prices.prompt, Decimal(0), 0)
    if model.prices.completion is None:
        return None
    price, written = model.prices.prompt, model.prices.written
    if written is not None and any(message.cached for message in request.messages):
        price = max(price, written)
    known = [most for most in (request.max_tokens, model.max_output_tokens) if most]
    most = min(known, default=UNSAID)
    return WorstCase(prompt * price, model.prices.completion, most, asked, bool(known))


def most_tokens(request: Request) -> int:
    """The most tokens that `request` can be, pictures apart."""
    shape = tokens.of_text(json.dumps(request.format)) if request.format else 0
    guess = tokens.of_messages(request.messages) + shape
    return tokens.BYTES_A_TOKEN * guess + FOR_A_MESSAGE * (len(request.messages) + 1)


class Caps:
    """The caps of one kernel, kept in its ledger. `own` is the person's word in the notebook,
    in US dollars; it takes the place of CBORG_BUDGET, unless that is locked."""

    def __init__(self, settings: Settings, ledger: Ledger, kernel: str) -> None:
        self.own: Decimal | None = None
        self._settings, self._ledger, self._kernel = settings, ledger, kernel
        self._warned: set[tuple[Cap, datetime]] = set()

    def adopt(self, settings: Settings, ledger: Ledger) -> None:
        """Go on with other settings."""
        self._settings, self._ledger = settings, ledger

    @property
    def in_force(self) -> tuple[Cap, ...]:
        """Every cap that a call is weighed against."""
        settings, caps = self._settings, []
        locked = "CBORG_BUDGET" in settings.locked
        if settings.budget is not None and (locked or self.own is None):
            caps.append(Cap(settings.budget, "CBORG_BUDGET", locked=locked))
        if self.own is not None:
            caps.append(Cap(self.own, "%spend --cap"))
        if settings.budget_day is not None:
            locked = "CBORG_BUDGET_DAY" in settings.locked
            caps.append(Cap(settings.budget_day, "CBORG_BUDGET_DAY", daily=True, locked=locked))
        return tuple(caps)

    def spending(self) -> Spending:
        """What counts against them now. Raises `OSError` if the ledger cannot be read."""
        return self._ledger.spending(self._kernel, midnight())

    def afford(
        self,
        booking: Booking,
        request: Request,
        model: Model | None,
        count: Callable[[], int | None],
        *,
        asked: bool = False,
        yes: bool = False,
    ) -> tuple[Request, Capped | None]:
        """Hold the worst case of `request` under `booking`, and give the request as it may be
        sent, perhaps for a shorter answer. `asked`: the person named the limit on the answer;
        `yes` sets aside the caps that are not locked; `count` asks the service for the tokens.

        Raises `CapReached`.
        """
        caps = self.in_force
        if not caps or (model and model.prices.free):
            return request, None
        caps = tuple(cap for cap in caps if cap.locked or not yes)
        most = most_tokens(request)
        try:
            found = self._hold(booking, worst_case(request, model, asked, most), caps, request)
        except CapReached:
            counted = count()
            if counted is None or (fewer := int(counted * COUNTED)) >= most:
                raise
            found = self._hold(booking, worst_case(request, model, asked, fewer), caps, request)
        if found is None or found.by is None or found.max_tokens is None:
            return request, None
        shorter = replace(request, max_tokens=found.max_tokens)
        return shorter, Capped(found.max_tokens, found.by.name)

    def foresee(self, dollars: Decimal, *, yes: bool = False) -> None:
        """Raises `CapReached` if a job of many calls, of so many US dollars in all, would pass
        a cap. Nothing is held: each call is weighed when its turn comes."""
        caps = [cap for cap in self.in_force if cap.locked or not yes]
        if not caps or not dollars:
            return
        try:
            spending = self.spending()
        except OSError:
            return  # the first call says what is wrong
        cap = min(caps, key=lambda each: each.left(spending))
        if dollars > cap.left(spending):
            raise _reached(cap, spending, dollars, 0, "all of it")

    def warnings(self) -> list[str]:
        """The caps that are nearly used up, one line each, each said once (a day, for a day's)."""
        if not (caps := self.in_force):
            return []
        try:
            spending = self.spending()
        except OSError:
            return []  # the next call says what is wrong
        lines = []
        for cap in caps:
            spent, key = cap.spent(spending), (cap, midnight() if cap.daily else datetime.min)
            if spent.certain >= NEAR * cap.dollars and spent.certain and key not in self._warned:
                self._warned.add(key)
                lines.append(f"{_share(spent, cap)} of the cap of {cap} is used: {_known(spent)}.")
        return lines

    def _hold(
        self, booking: Booking, call: WorstCase | None, caps: tuple[Cap, ...], request: Request
    ) -> Allowance | None:
        """Weigh the call and hold what it may come to. None: it goes without, as was wished."""
        locked = any(cap.locked for cap in caps)
        if call is None:
            if not caps:
                return None
            raise CapReached(
                f"the price of {request.model} is not known: the cap of {caps[0]} cannot be kept",
                _do("Take a model with a price", locked),
            )
        known = call
        try:
            return self._ledger.reserve(
                booking, self._kernel, midnight(), lambda spending: weigh(known, caps, spending)
            )
        except OSError as problem:
            if not caps:
                return None
            raise CapReached(
                f"the cap of {caps[0]} cannot be kept, for the ledger cannot be written: {problem}",
                _do("Set CBORG_HOME to a folder that can be written", locked),
            ) from None


def midnight() -> datetime:
    """When today began, by this machine's clock and time zone."""
    return datetime.combine(datetime.now().date(), time.min).astimezone(timezone.utc)


def _reached(
    cap: Cap, spending: Spending, dollars: Decimal, least: int | None, what: str = "this call"
) -> CapReached:
    left, held = cap.left(spending), cap.spent(spending).held
    leaves = f"leaves {money(left)}" if left > 0 else "is used up"
    beside = f" beside {money(held)} held for calls under way" if held else ""
    answer = f" with an answer of {least} tokens" if least else ""
    hint = "Lower --max-tokens" if least is None else "Send less"
    if held:
        hint = "Wait for the calls under way, or lower their --max-tokens"
    return CapReached(
        f"the cap of {cap} {leaves}{beside}; {what} may cost {money(dollars)}{answer}",
        _do(f"{hint}, take a cheaper model" if not held else hint, cap.locked),
    )


def _do(hint: str, locked: bool) -> str:
    return f"{hint}." if locked else f"{hint}, or say --yes."


def _share(spent: Spent, cap: Cap) -> str:
    return f"{int(100 * spent.certain / cap.dollars)} %" if cap.dollars else "All"


def _known(spent: Spent) -> str:
    """How much, and how that is known.

    >>> _known(Spent(Decimal("0.41"), Decimal("0.02")))
    '$0.410, of which $0.0200 estimated'
    """
    if not spent.estimated:
        return f"{money(spent.certain)} billed"
    if spent.estimated == spent.certain:
        return f"{money(spent.certain)} estimated"
    return f"{money(spent.certain)}, of which {money(spent.estimated)} estimated"
