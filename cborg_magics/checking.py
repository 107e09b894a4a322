"""Which models answer, how fast, and at what cost? Each is asked for one word, or one vector."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cborg_magics import pricing, tokens
from cborg_magics.catalogue import Kind, Model
from cborg_magics.embeddings.call import call
from cborg_magics.errors import CborgError, Interrupted, Unavailable
from cborg_magics.exchange import Cost, Event, Outcome, Reply, Usage, Waiting
from cborg_magics.session import Session

QUESTION = "Answer with one word: yes."
WORD = "word"
MOST_TOKENS = 32  # a model that thinks first needs all of them, and has answered all the same
AROUND = 100  # tokens that a service may put around the question: its own system text
SECONDS = 60.0
KINDS = (Kind.CHAT, Kind.EMBEDDING)


@dataclass(frozen=True)
class Checked:
    """What one model did. `words` says what it answered, or what went wrong; `vector` is the
    length of the vector that an embedding model gave."""

    model: str
    answers: bool
    words: str
    seconds: float
    cost: Cost
    vector: int | None = None


@dataclass(frozen=True)
class Estimated:
    """What a check may cost at most, in US dollars, as far as prices are told."""

    dollars: Decimal
    unpriced: int


def estimate(models: Sequence[Model]) -> Estimated:
    """The most that `check` may cost."""
    usage = Usage(tokens.of_text(QUESTION) + AROUND, MOST_TOKENS)
    costs = [pricing.price_of(usage, None, model.prices).dollars for model in models]
    known = [dollars for dollars in costs if dollars is not None]
    return Estimated(sum(known, Decimal(0)), len(costs) - len(known))


def check(session: Session, models: Sequence[Model], tell: Callable[[Checked], object]) -> None:
    """Ask each of `models`, as many at a time as the session allows; `tell` hears what was found,
    in this thread. Each call is a row in the ledger.

    Ctrl-C asks no more of them. Those under way end by themselves, and are in the ledger.
    """
    waiting, found = deque(models), queue.SimpleQueue[Checked]()
    stopped, last = threading.Event(), session.last

    def work() -> None:
        while waiting and not stopped.is_set():
            try:
                model = waiting.popleft()
            except IndexError:
                return
            found.put(_check(session, model))

    _ = session.client.sdk  # made here, for threads would make one each
    for _number in range(min(session.settings.parallel, len(models))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _model in models:
            tell(found.get())
    finally:
        stopped.set()
        session.last = last  # nobody wants "yes" as the last answer
        while not found.empty():
            tell(found.get())


def _check(session: Session, model: Model) -> Checked:
    try:
        if model.kind is Kind.EMBEDDING:
            found, reply = call(session, [WORD], model.name, timeout=SECONDS)
            return _answered(reply, f"a vector of {found.size:,} numbers", found.size)
        reply = session.chat(
            QUESTION,
            model=model.name,
            once=True,
            stream=False,  # its bill comes with the answer
            max_tokens=MOST_TOKENS,
            timeout=SECONDS,
            on_event=_impatient,
        )
    except (CborgError, Interrupted) as problem:
        return _failed(model, getattr(problem, "what", str(problem)), problem.reply)
    except Exception as problem:  # noqa: BLE001 - the others are still to be asked
        return _failed(model, f"{type(problem).__name__}: {problem}", None)
    return _answered(reply, _said(reply))


def _impatient(event: Event) -> None:
    """A check says what is so now: it does not wait for a busy service."""
    if isinstance(event, Waiting):
        raise Unavailable(event.reason)


def _said(reply: Reply) -> str:
    word = " ".join(reply.text.split())
    if word:
        return word if len(word) <= 40 else f"{word[:39]}…"
    return "thought only" if reply.reasoning else "an empty answer"


def _answered(reply: Reply, words: str, vector: int | None = None) -> Checked:
    ok = reply.outcome is Outcome.COMPLETED
    return Checked(reply.model, ok, words, reply.seconds, reply.cost, vector)


def _failed(model: Model, words: str, reply: Reply | None) -> Checked:
    seconds, cost = (reply.seconds, reply.cost) if reply else (0.0, pricing.FREE)
    return Checked(model.name, False, words.partition("\n")[0], seconds, cost)
