"""How does a question become an answer with a price? The parts joined; the only state there is."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from cborg_magics import errors, planning, policy, pricing, retry, tokens
from cborg_magics.answers import replay
from cborg_magics.answers.entry import Entry
from cborg_magics.answers.folder import AnswerFolder, KeptAnswer
from cborg_magics.caps import Caps
from cborg_magics.catalogue import Catalogue, FetchedCatalogue, Kept
from cborg_magics.catalogue_file import CatalogueFile
from cborg_magics.conversation import Conversation, Turn
from cborg_magics.exchange import (
    Asking,
    Capped,
    Cost,
    Event,
    Listener,
    Message,
    Outcome,
    Rejected,
    Reply,
    Request,
    Usage,
)
from cborg_magics.interrupts import Hold, holding
from cborg_magics.ledger import Booking, Ledger
from cborg_magics.planning import Plan, Question
from cborg_magics.progress import Progress, error_name
from cborg_magics.providers.client import Client
from cborg_magics.providers.provider import Service
from cborg_magics.settings import Settings, write_private

KERNEL = uuid.uuid4().hex  # this process in the ledger, whatever is loaded again in it
PRICES_SECONDS = 3.0  # how long a finished answer waits for the price list, the first time
WEIGHING_SECONDS = 25.0  # how long a question waits for it where a cap needs the price


def nobody(event: object) -> None:
    """A listener that does not listen."""


@dataclass(frozen=True)
class Estimate:
    """What a call would come to: tokens in (`counted` by the service, else guessed), at most so
    many out (None: no limit is known), and the cost with no answer and with the longest one."""

    prompt: int
    counted: bool
    most: int | None
    least_cost: Cost
    most_cost: Cost


_WHO = ("provider", "cborg", "litellm", "llmbase", "openai", "model")  # the settings of these


class Session:
    """One kernel's dealings with one service.

    `Session.from_environment().chat("What is a quark?").text` works in plain
    Python. `person` says whether somebody can interrupt: else waits are bounded.
    """

    def __init__(self, settings: Settings, *, person: bool = True) -> None:
        self.settings = settings
        self.person = person
        self.kernel = KERNEL
        self.notebook: str | None = None  # its file, where that is known: for the ledger
        self.conversation = Conversation()
        self.ledger = Ledger(settings.home)
        self.caps = Caps(settings, self.ledger, self.kernel)
        self.last: Reply | None = None  # the newest answer, also one that nobody saw
        self.warnings: list[str] = []  # one line each, for whoever shows them
        self._chosen: str | None = None
        self._client: Client | None = None
        self._catalogue = FetchedCatalogue(self._read_catalogue, self._catalogue_file)
        self.gate = threading.BoundedSemaphore(settings.parallel)  # requests at a time

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Session:
        """A session as the environment says, and the administrator's policy. Raises
        `BadSetting`; no key is needed yet."""
        rules = policy.here()
        session = cls(Settings.read(environ, rules))
        session.warnings += [*rules.notes, *rules.ignored(environ)]
        return session

    # -- what it is connected to -----------------------------------------------------------

    @property
    def service(self) -> Service:
        """The service that answers. Raises `NoKey`, `BadSetting` or `NoLocalModel`."""
        return self.client.service

    @property
    def client(self) -> Client:
        if self._client is None:
            service, unusable = replay.service(self.settings)
            self._client = Client(service, self._log(), unusable)
        return self._client

    @property
    def model(self) -> str:
        """The model that is asked when none is named."""
        provider = self.service.provider
        # CBORG_MODEL names a service's model; the embedded model is the only one here.
        model = provider.default_model if provider.here else self._chosen or self.settings.model
        if not (model or provider.default_model):
            raise errors.BadSetting(
                f"{provider.title} has no default model", "Set CBORG_MODEL, or name one with -m."
            )
        return model or provider.default_model

    def catalogue(self, wait: float | None = None) -> Catalogue | None:
        """The service's models, read once and kept for an hour; None if they cannot be had.

        `wait` bounds how many seconds to wait for them.
        """
        self._catalogue.begin()
        return self._catalogue.get(wait)

    def refresh(self, wait: float) -> Catalogue | None:
        """The service's models, asked for again; what is at hand after `wait` seconds."""
        return self._catalogue.refresh(wait)

    @property
    def catalogue_problem(self) -> Exception | None:
        """Why the service did not give its models when it was last asked; None if it did."""
        return self._catalogue.problem

    def use(self, model: str) -> None:
        """Ask `model` from now on where none is named."""
        self._chosen = model

    def adopt(self, settings: Settings) -> None:
        """Go on with other settings: the conversation and the kernel's spending stay."""
        self.close()
        if settings.home != self.settings.home:
            self.ledger = Ledger(settings.home)
        if any(getattr(settings, name) != getattr(self.settings, name) for name in _WHO):
            self._chosen = None  # a name of another service
        self.settings = settings
        self.caps.adopt(settings, self.ledger)
        self.gate = threading.BoundedSemaphore(settings.parallel)
        self._catalogue = FetchedCatalogue(self._read_catalogue, self._catalogue_file)

    def cap(self, dollars: Decimal | None) -> None:
        """Cap this kernel's spending, in US dollars, in the place of CBORG_BUDGET; None: as
        that says. What an administrator has locked stays in force beside it."""
        self.caps.own = dollars

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- asking ----------------------------------------------------------------------------

    def chat(
        self, question: str | Question, *, on_event: Listener = nobody, **wishes: Any
    ) -> Reply:
        """Ask a model, in a thread of the conversation unless `once`.

        A text with `wishes`, named as in `Question`, is one. `on_event` hears each
        piece as it comes. Every call leaves a row in the ledger, also one that fails or
        is interrupted. Raises a `CborgError`, or `Interrupted` on Ctrl-C; its `reply`
        is what had come by then.
        """
        if isinstance(question, str):
            question = Question(question, **wishes)
        entry = self._entry(question)
        if entry and (found := entry.answer(question, on_event)):
            return self._join(*found)
        plan = self.plan(question)
        self.warnings += plan.notes
        try:
            reply = self._shaped(plan, on_event)
        except errors.BadAnswer:
            raise  # kept and charged, but no turn: the next question must not build on it
        except (errors.CborgError, errors.Interrupted) as error:
            if error.reply and plan.question.shape is None:
                error.reply = self._join(plan.question, error.reply)
            raise
        reply = self._join(plan.question, reply)
        if entry and (warning := entry.keep(reply, self.service, self.settings.keys)):
            self.warnings.append(warning)
        return reply

    def plan(self, question: str | Question, **wishes: Any) -> Plan:
        """What `chat` would send. Raises what can be known before anything is sent."""
        if isinstance(question, str):
            question = Question(question, **wishes)
        return planning.plan(
            question,
            self._history(question),
            self.settings,
            self.service.provider,
            lambda: self.model,
            self.catalogue,
        )

    def kept(self, question: str | Question, **wishes: Any) -> KeptAnswer | None:
        """The answer to the question that is kept on disk, if it is and may be taken from there.
        Raises `NotAllowed`."""
        if isinstance(question, str):
            question = Question(question, **wishes)
        entry = self._entry(question)
        return entry.find() if entry else None

    def estimate(self, plan: Plan) -> Estimate:
        """What the call would cost. Asks no model; the service may count the tokens."""
        counted = self.client.count_tokens(plan.request)
        tokens_in = counted or tokens.of_messages(plan.request.messages)
        most = plan.request.max_tokens or (plan.model.max_output_tokens if plan.model else None)
        prices = plan.model.prices if plan.model else None

        def cost(completion: int) -> Cost:
            return pricing.price_of(Usage(tokens_in, completion), None, prices)

        return Estimate(
            tokens_in, counted is not None, most, cost(0), cost(most) if most else pricing.UNKNOWN
        )

    def _shaped(self, plan: Plan, tell: Listener) -> Reply:
        """The answer; where a shape was asked for, with its value, asked for twice at most."""
        reply, shape = self._ask(plan, tell), plan.question.shape
        if shape is None:
            return reply
        try:
            return replace(reply, value=shape.parse(reply.text))
        except errors.BadAnswer as problem:
            if reply.finish_reason == "length":  # it would be cut again
                problem.reply, problem.do = reply, "Allow a longer answer with --max-tokens."
                raise errors.bare(problem) from None
            tell(Rejected(reply, problem.what))
            correction = Message("user", shape.correction(problem))
        said = (*plan.request.messages, Message("assistant", reply.text), correction)
        reply = self._ask(replace(plan, request=replace(plan.request, messages=said)), tell)
        try:
            return replace(reply, value=shape.parse(reply.text))
        except errors.BadAnswer as problem:
            problem.reply = reply
            raise errors.bare(problem) from None

    def _history(self, question: Question) -> tuple[Turn, ...]:
        """What was said before the question, of what it is to be answered after."""
        if question.once:
            return ()
        return self.conversation.before(question.thread, question.run, new=question.new)

    def _entry(self, question: Question) -> Entry | None:
        """The question's place among the answers that are kept; None where none are wanted."""
        usual, locked = self.settings.cache is not None, "CBORG_CACHE" in self.settings.locked
        wanted = question.refresh or (usual if question.cache is None else question.cache)
        if locked and wanted != usual:
            raise errors.NotAllowed("CBORG_CACHE is locked by an administrator.")
        if not wanted:
            return None
        history, service = self._history(question), self.service
        completed = planning.complete(
            question, history, self.settings, service.provider, lambda: self.model
        )
        return Entry.of(AnswerFolder.of(self.settings), service, question, history, completed)

    def _join(self, question: Question, reply: Reply) -> Reply:
        """The reply, with its place in the conversation."""
        if not question.once:
            turn = Turn(question.message, reply, question.run, question.new)
            reply = replace(reply, joined=self.conversation.join(question.thread, turn))
        self.last = reply if reply.text else self.last
        return reply

    def _ask(self, plan: Plan, tell: Listener) -> Reply:
        """One request: weighed, sent, retried, heard, priced and written down, whatever happens."""
        problem: BaseException | None = None
        with holding() as hold, self.ledger.booking() as booking:
            request, capped = self._afforded(plan, booking)
            if self.service.provider.cache_keys and plan.thread:
                # Hashed: a thread's name is the person's own words.
                key = hashlib.sha256(f"{self.kernel} {plan.thread}".encode()).hexdigest()
                request = replace(request, cache_key=key[:32])
            progress = Progress(request, self.client.answer(request))
            try:
                try:
                    self._listen(progress, tell, hold)
                finally:
                    hold.keep()
            except BaseException as error:  # noqa: BLE001 - raised again below, after the ledger
                problem = error
            progress.answer.close()
            reply = self._reply(progress, problem)
            reply = replace(reply, capped=capped, passages=plan.question.passages)
            self.last = reply if reply.text else self.last
            place = (self.kernel, plan.thread, booking, self.notebook)
            if warning := self.ledger.record(reply, *place):
                self.warnings.append(warning)
            self.warnings += self.caps.warnings()
        if hold.pressed or isinstance(problem, KeyboardInterrupt):
            problem = errors.Interrupted("the answer was stopped" if reply.text else "stopped")
        if problem is None:
            return reply
        problem.reply = reply  # type: ignore[attr-defined]  # any exception may carry it
        raise errors.bare(problem) if isinstance(problem, errors.Plain) else problem

    def _afforded(self, plan: Plan, booking: Booking) -> tuple[Request, Capped | None]:
        """The request as the caps allow it, its worst case held. Raises `CapReached`."""
        if not self.caps.in_force:
            return plan.request, None
        question, request = plan.question, plan.request
        known = self.catalogue(WEIGHING_SECONDS)
        return self.caps.afford(
            booking,
            request,
            plan.model or self.service.provider.model_in(known, request.model),
            lambda: self.client.count_tokens(request),
            asked=question.max_tokens is not None,
            yes=question.yes,
        )

    def _listen(self, progress: Progress, tell: Listener, hold: Hold) -> None:
        """Open the answer, with retries, and hear it to its end."""
        request, answer = progress.request, progress.answer
        in_flight = ExitStack()  # one of the few requests the service takes at a time

        def attempt() -> None:
            with ExitStack() as stack:
                stack.enter_context(self.gate)
                progress.sent = True
                answer.open()
                in_flight.push(stack.pop_all())

        def say(event: Event) -> None:
            with hold:  # an output half drawn would be lost, or drawn twice
                tell(event)

        def waiting(event: Event) -> None:
            progress.sent = False
            say(event)

        with in_flight:
            say(Asking(request.model, self.service.host))
            self._catalogue.begin()
            try:
                retry.call(attempt, self.policy(), waiting)
            except errors.Refused as refusal:
                raise self._understood(refusal, request) from None
            for piece in answer:
                progress.hear(piece)
                say(piece)
                if progress.loops(self.service.provider.looping):
                    break

    def policy(self) -> retry.Policy:
        """When calls of this session are tried again."""
        return retry.Policy(lambda: self.client.answered, self.person, self.settings.max_wait)

    def _understood(self, refusal: errors.Refused, request: Request) -> errors.CborgError:
        """The refusal, with what the service says elsewhere of models and budgets."""
        if isinstance(refusal, errors.UnknownModel) or (
            type(refusal) is errors.Refused and refusal.status in (400, 404)
        ):
            return self._unknown_model(request.model) or refusal
        if isinstance(refusal, errors.BudgetSpent):
            refusal.do = f"{self._spent()} {refusal.do}".strip()
        return refusal

    def _unknown_model(self, name: str) -> errors.CborgError | None:
        """Services have hidden names, so a name is refused only after the service has done so."""
        catalogue = self.catalogue(wait=5)
        if catalogue is None or not catalogue.models or catalogue.find(name):
            return None
        near = catalogue.suggest(name)
        hint = f"Did you mean {' or '.join(near)}?" if near else "%models lists what there is."
        return errors.UnknownModel(f"{self.service.provider.title} has no model {name!r}", hint)

    def _spent(self) -> str:
        """Whose budget is spent and when it resets, where the service says."""
        when = [
            f"The {budget.owner}'s budget of ${budget.limit:f} is spent; it resets on"
            f" {budget.resets_at:%Y-%m-%d}."
            for budget in self.client.account().budgets
            if budget.is_spent and budget.resets_at
        ]
        return " ".join(when)

    def _reply(self, progress: Progress, problem: BaseException | None) -> Reply:
        answer, service = progress.answer, self.service
        outcome = progress.outcome(problem)
        # A person who presses Ctrl-C does not wait for a price list.
        patience = PRICES_SECONDS if outcome is Outcome.COMPLETED else 0.0
        catalogue = self._catalogue.get(patience)
        model = service.provider.model_in(catalogue, progress.request.model)
        asked = progress.sent and outcome is not Outcome.FAILED
        usage = (answer.usage or progress.counted()) if asked else None
        if asked:
            cost = pricing.price_of(usage, answer.billed, model.prices if model else None)
            if answer.fallback is not None and answer.billed is None and catalogue:
                # LLMBase bills the cheaper of what was asked and what answered.
                other = catalogue.find(answer.served or "")
                cost = pricing.cheaper(
                    cost, pricing.price_of(usage, None, other.prices if other else None)
                )
        else:  # who answers too late may have done the work; whoever refuses has not
            cost = pricing.UNKNOWN if isinstance(problem, errors.TimedOut) else pricing.FREE
        return Reply(
            text="".join(progress.text),
            reasoning="".join(progress.reasoning),
            provider=service.provider.name,
            host=service.host,
            model=progress.request.model,
            served=answer.served,
            location=service.provider.location(model),
            outcome=outcome,
            finish_reason=progress.finish_reason,
            usage=usage,
            cost=cost,
            started=progress.started,
            first_text=progress.first_text,
            seconds=progress.seconds(),
            call_id=answer.call_id or getattr(problem, "call_id", None),
            error=error_name(problem),
            fallback=answer.fallback,
            answer_id=answer.answer_id,
            tools=answer.tools,
        )

    def _catalogue_file(self) -> Kept | None:
        service = self.service
        if service.provider.here:
            return None
        return CatalogueFile(self.settings.home, service.provider.name, service.root)

    def _read_catalogue(self) -> Catalogue:
        return Catalogue(tuple(self.client.models()))

    def _log(self) -> Callable[[str], None] | None:
        """Where CBORG_DEBUG writes: what went over the wire, keys taken out."""
        if not self.settings.debug:
            return None
        path = self.settings.home / "debug.log"

        def write(line: str) -> None:
            stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            write_private(path, f"{stamp} {errors.without_keys(line)}\n")

        return write
