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


def never() -> bool:
    """What is stopped by Ctrl-C alone."""
    return False


class _Turn:
    """A place at the session's gate. Who is told to stop while waiting for it sends nothing."""

    def __init__(self, session: Session, stopped: Callable[[], bool]) -> None:
        self.sent = False  # is a request with the service, which may charge for it?
        self._gate, self._stopped = session.gate, stopped

    def __enter__(self) -> None:
        self._gate.acquire()
        if self._stopped():
            self._gate.release()
            raise errors.Interrupted("stopped")
        self.sent = True

    def __exit__(self, *problem: object) -> None:
        self._gate.release()


def call(
    session: Session,
    texts: str | Sequence[str],
    model: str,
    *,
    timeout: float | None = None,
    tell: Listener | None = None,
    yes: bool = False,
    send: Send | None = None,
    stopped: Callable[[], bool] = never,
) -> tuple[Embedded, Reply]:
    """The vectors of `texts`, and what they came to: a row in the ledger, whatever happens.

    A bare string is embedded as a query. Tried again only where `tell` is there to hear of it.
    `send` makes the call in the place of this process. Raises a `CborgError`, or `Interrupted`
    on Ctrl-C, or when it is `stopped` before anything is sent; its `reply` is the row.
    """
    service, seconds = session.service, timeout or session.settings.timeout
    known = service.provider.model_in(session.catalogue(planning.CATALOGUE_SECONDS), model)
    location = service.provider.location(known)
    policy.check(model, location, session.settings)
    inputs = [texts] if isinstance(texts, str) else texts
    messages = tuple(Message("user", text) for text in inputs)
    request = Request(model, messages, stream=False, timeout=seconds)
    turn = _Turn(session, stopped)

    def attempt() -> Embedded:
        if send is None:
            return session.client.embed(model, texts, seconds, turn)
        with turn:
            return send(model, texts, seconds)

    def waiting(event: Event) -> None:
        turn.sent = False
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
        except BaseException as error:
            if isinstance(error, errors.Interrupted) and not turn.sent:
                raise  # nothing was asked
            problem = error
        outcome = Outcome.COMPLETED if found else Outcome.FAILED
        if isinstance(problem, KeyboardInterrupt) and turn.sent:
            outcome = Outcome.INTERRUPTED
        usage = found.usage if found else None
        if usage is None and outcome is not Outcome.FAILED:
            usage = Usage(tokens.of_messages(messages), 0, counted=False)
        # Who answers too late, or what cannot be read, may have done the work.
        worked = isinstance(problem, errors.TimedOut | errors.NotTheApi)
        cost = pricing.UNKNOWN if worked else pricing.FREE
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
