"""Does it answer, how fast, and what is left? The service's models, one word, the money."""

from __future__ import annotations

import textwrap
from datetime import datetime, timezone
from decimal import Decimal

from cborg_magics import checking, policy, spending
from cborg_magics.catalogue import Model
from cborg_magics.display import spending as look
from cborg_magics.display.wording import DOT, cost, count, place, seconds
from cborg_magics.doctor.case import Case, today
from cborg_magics.doctor.report import Found, Mend, Urgency, columns
from cborg_magics.embeddings import models as vectors
from cborg_magics.errors import CborgError, TimedOut, Unavailable, Unreachable
from cborg_magics.exchange import Account, Event, Location, Waiting
from cborg_magics.ledger import Total, total
from cborg_magics.pricing import money

ASKED_SECONDS = 60.0  # a model that has to be loaded first takes its time
SOON = 7  # days before a key ends


# -- does it answer? -----------------------------------------------------------------------


def models(case: Case) -> Found:
    if case.service is None or case.models is None:
        yield "not asked"
        return
    try:
        case.catalogue, after = case.models.get()
    except (Unreachable, TimedOut):
        case.away = True
        raise
    number = len(case.catalogue.models)
    yield f"{count(number, 'model')} listed in {seconds(after)}"
    if not number:
        yield Mend(Urgency.WRONG_MODEL, f"{case.service.host} lists no model.")
    mends = list[Mend]()
    yield from columns([_chat(case, mends), _pictures(case, mends), _vectors(case, mends)])
    yield from mends


def _chat(case: Case, mends: list[Mend]) -> tuple[str, str, str]:
    try:
        name = case.session.model
    except CborgError as error:
        mends.append(Mend.of(error, Urgency.WRONG_MODEL))
        return "chat", "no default", "set CBORG_MODEL, or name one with -m"
    model = _found(case, name)
    location = case.service.provider.location(model) if case.service else Location.UNKNOWN
    try:
        policy.check(name, location, case.settings)
    except CborgError as error:
        mends.append(Mend.of(error, Urgency.WRONG_MODEL))
        return "chat", name, "not allowed here"
    if model is None and not case.ask:  # services have hidden names: asked, it may answer
        mends.append(_unlisted(case, name))
    return "chat", name, _state(model, location)


def _pictures(case: Case, mends: list[Mend]) -> tuple[str, str, str]:
    provider = case.service.provider if case.service else None
    name = case.settings.vision_model or (provider and provider.vision_model)
    if not name:
        return "pictures", "none set", "the chat model is asked"
    model = _found(case, name)
    if model is None and case.settings.vision_model:
        mends.append(_unlisted(case, name))
    return "pictures", name, _state(model)


def _vectors(case: Case, mends: list[Mend]) -> tuple[str, str, str]:
    try:
        name, model = vectors.choose(case.session)
    except CborgError as error:
        if case.settings.embed_model:
            mends.append(Mend.of(error, Urgency.WRONG_MODEL))
        return "vectors", "none", error.what.rstrip(".")
    if model is None and case.settings.embed_model:
        mends.append(_unlisted(case, name))
    return "vectors", name, _state(model)


def _unlisted(case: Case, name: str) -> Mend:
    near = case.catalogue.suggest(name) if case.catalogue else []
    meant = f"Did you mean {' or '.join(near)}?" if near else "%models lists what there is."
    return Mend(Urgency.WRONG_MODEL, f"The model {name} is not in the list. {meant}")


def _found(case: Case, name: str) -> Model | None:
    return case.service.provider.model_in(case.catalogue, name) if case.service else None


def _state(model: Model | None, location: Location | None = None) -> str:
    if model is None:
        return "not in the list"
    where = location or model.location
    return "in the list" if where is Location.UNKNOWN else f"in the list{DOT}{place(where)}"


def answer(case: Case) -> Found:
    if case.service is None or case.away or (case.catalogue is None and not case.ask):
        yield "not asked"
        return
    try:
        name = case.session.model
    except CborgError:
        yield "not asked: there is no default model"
        return
    if not case.ask:
        yield f"not asked; --ask asks for one word, {_price(_found(case, name))}"
        return
    _ = case.session.client.sdk.chat.completions  # loaded here: that time is not the service's
    reply = case.session.chat(
        checking.QUESTION,
        once=True,
        max_tokens=checking.MOST_TOKENS,
        timeout=ASKED_SECONDS,
        on_event=_impatient,
    )
    case.read_ledger()
    first = "no text" if reply.first_text is None else f"first text {seconds(reply.first_text)}"
    word = textwrap.shorten(reply.text, 20, placeholder="…") or "nothing"
    yield f"{word!r}, {first}, total {seconds(reply.seconds)}, {cost(reply.cost)}"


def _price(model: Model | None) -> str:
    if model is None or checking.estimate([model]).unpriced:
        return "whose price is not told"
    most = checking.estimate([model]).dollars
    return f"at most {money(most)}" if most else "free"


def _impatient(event: Event) -> None:
    if isinstance(event, Waiting):
        raise Unavailable(event.reason)


# -- money ---------------------------------------------------------------------------------


def budget(case: Case) -> Found:
    if case.service is None or case.account is None:
        yield "none: the model is on this machine" if case.service else "not asked"
        return
    now = datetime.now(timezone.utc)
    try:
        account = case.account.get()
    except TimeoutError:
        account = Account()
    if not case.catalogue and account == Account():
        yield "not known"
        return
    yield from look.service(case.service.provider.title, account, now)
    for budget in spending.limits(account):
        if not spending.left(budget):
            hint = case.service.provider.budget_hint
            yield Mend(Urgency.NO_MONEY, f"The {budget.owner}'s budget is spent. {hint}".strip())
    if account.expires_at and (account.expires_at - now).days < SOON:
        page = case.service.provider.key_page
        yield Mend(Urgency.LESSER, f"The key ends soon; a new one comes from {page}.")


def caps(case: Case) -> Found:
    caps = case.session.caps
    if not caps.in_force:
        yield "none"
        return
    spent = case.weighed.get()
    for cap in caps.in_force:
        left = max(cap.left(spent), Decimal(0))
        yield f"{cap} leaves {money(left) if left else 'nothing'}"
        if not left:
            over = "" if cap.locked else ", and others with --yes"
            words = f"The cap of {cap} is used up: free models answer{over}."
            yield Mend(Urgency.NO_MONEY, words)


def spent(case: Case) -> Found:
    now, month = today(), case.month.get()
    parts = {
        "today": [row for row in month if row.started.astimezone().date() == now],
        "this month": month,
    }
    sums = {name: total(rows) for name, rows in parts.items()}
    if not month:
        yield "nothing this month, says the ledger"
        return
    yield from columns(
        [
            (name, _sum(each), count(each.calls, "call"), look.known(each))
            for name, each in sums.items()
        ]
    )


def _sum(total: Total) -> str:
    return "unknown" if total.unpriced and not total.dollars else money(total.dollars)
