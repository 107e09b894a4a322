"""What is one call for vectors? Weighed, sent, tried again, priced and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from cborg_magics import errors, planning, policy, pricing, retry, tokens
from cborg_magics.exchange import Event, Listener, Message, Outcome, Reply, Request, Usage
from cborg_magics.interrupts import holding
from cborg_magics.progress import error_name
from cborg_magics.providers.vectors import Embedded
from cborg_magics.session import Session

Send = Callable[[str, str | Sequence[str], float], Embedded]  # model, texts, seconds


def call(
    session: Session,
    texts: str | Sequence[str],
    model: str,
    *,
    timeout: float | None = None,
    tell: Listener | None = None,
    yes: bool = False,
    send: Send | None = None,
) -> tuple[Embedded, Reply]:
    """The vectors of `texts`, and what they came to: a row in the ledger, whatever happens.

    A bare string is embedded as a query. Tried again only where `tell` is there to hear of it.
    `send` makes the call in the place of this process. Raises a `CborgError`, or `Interrupted`
    on Ctrl-C; its `reply` is the row.
    """
    service, seconds = session.service, timeout or session.settings.timeout
    known = service.provider.model_in(session.catalogue(planning.CATALOGUE_SECONDS), model)
    location = service.provider.location(known)
    policy.check(model, location, session.settings)
    inputs = [texts] if isinstance(texts, str) else texts
    messages = tuple(Message("user", text) for text in inputs)
    request = Request(model, messages, stream=False, timeout=seconds)
    ask = send or session.client.embed
    under_way = False

    def attempt() -> Embedded:
        nonlocal under_way
        with session.gate:
            under_way = True
            return ask(model, texts, seconds)

    def waiting(event: Event) -> None:
        nonlocal under_way
        under_way = False
        if tell:
            tell(event)

    found: Embedded | None = None
    problem: BaseException | None = None
    with holding() as hold, session.ledger.booking() as booking:
        if session.caps.in_force:
            session.caps.afford(booking, request, known, lambda: None, yes=yes)
        started, clock = datetime.now(timezone.utc), time.monotonic()
        try:
            try:
                found = retry.call(attempt, session.policy(), waiting) if tell else attempt()
            finally:
                hold.keep()
        except BaseException as error:  # noqa: BLE001 - raised again below, after the ledger
            problem = error
        outcome = Outcome.COMPLETED if found else Outcome.FAILED
        if isinstance(problem, KeyboardInterrupt) and under_way:
            outcome = Outcome.INTERRUPTED
        usage = found.usage if found else None
        if usage is None and outcome is not Outcome.FAILED:
            usage = Usage(tokens.of_messages(messages), 0, counted=False)
        # Who answers too late may have done the work; whoever refuses has not.
        cost = pricing.UNKNOWN if isinstance(problem, errors.TimedOut) else pricing.FREE
        if usage:
            billed = found.billed if found else None
            cost = pricing.price_of(usage, billed, known.prices if known else None)
        reply = Reply(
            text="",
            reasoning="",
            provider=service.provider.name,
            host=service.host,
            model=model,
            served=found.served if found else None,
            location=location,
            outcome=outcome,
            finish_reason=None,
            usage=usage,
            cost=cost,
            started=started,
            first_text=None,
            seconds=time.monotonic() - clock,
            call_id=found.call_id if found else getattr(problem, "call_id", None),
            error=error_name(problem),
        )
        if warning := session.ledger.record(reply, session.kernel, None, booking, session.notebook):
            session.warnings.append(warning)
    if hold.pressed or isinstance(problem, KeyboardInterrupt):
        problem = errors.Interrupted("stopped")
    if problem is not None:
        problem.reply = reply  # type: ignore[attr-defined]  # any exception may carry it
        raise errors.bare(problem) if isinstance(problem, errors.Plain) else problem
    assert found is not None  # noqa: S101 - one of the two
    return found, reply
