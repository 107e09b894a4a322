"""%models: what can be asked here, at what price, and does it answer?"""

from __future__ import annotations

import argparse
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument

from cborg_magics import display
from cborg_magics.errors import BadOption, Interrupted, NotAllowed, TimedOut
from cborg_magics.magics import arguments
from cborg_magics.magics.shared import SharedSession

if TYPE_CHECKING:
    from cborg_magics.attachments.notebook import Notebook
    from cborg_magics.catalogue import Catalogue, Model
    from cborg_magics.checking import Checked
    from cborg_magics.display.model_controls import Controls
    from cborg_magics.display.model_list import Listing
    from cborg_magics.selection import Wanted
    from cborg_magics.session import Session

PATIENCE = 20.0  # seconds for the service's list
A_CENT = Decimal("0.01")


def _price(text: str) -> Decimal:
    from cborg_magics.exchange import dollars

    figure = dollars(text.removeprefix("$"))
    if figure is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of dollars")
    return figure


def _tokens(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text.replace(",", "").replace("m", "M"))
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens, like 200k or 1M")
    return int(Decimal(found[1]) * {"": 1, "k": 1000, "M": 1_000_000}[found[2]])


@magics_class
class ModelsMagic(Magics):
    """The magic `models`."""

    def __init__(self, shell: Any, shared: SharedSession, notebook: Notebook) -> None:
        super().__init__(shell)
        self._shell, self._shared = shell, shared
        self._controls: Controls | None = None

    @line_magic
    @arguments.manual
    @argument("--vision", action="store_true", help="only models that see pictures")
    @argument("--tools", action="store_true", help="only models that call tools")
    @argument("--embed", action="store_true", help="only models that make vectors")
    @argument("--cached", action="store_true", help="only where a prompt can be kept and reused")
    @argument("--free", action="store_true", help="only models whose price is told to be zero")
    @argument("--on-prem", action="store_true", help="only models proved to run on-premises")
    @argument("--max-price", type=_price, metavar="DOLLARS", help="at most, per million tokens in")
    @argument("--context", type=_tokens, metavar="TOKENS", help="takes at least so many: 200k, 1M")
    @argument(
        "--sort",
        choices=["price", "context", "name"],
        metavar="ORDER",
        help="by price, context or name; default: as the service lists them",
    )
    @argument("--use", metavar="NAME", help="make this the kernel's default model")
    @argument("--check", action="store_true", help="ask the named models, or all, for one word")
    @argument("--yes", action="store_true", help="check without asking, whatever it may cost")
    @argument("--refresh", action="store_true", help="ask the service for its list again")
    @argument(
        "-o",
        "--output",
        type=arguments.variable_name,
        metavar="NAME",
        help="a variable for the table, a DataFrame",
    )
    def models(self, line: str) -> None:
        """List the models of the service in use, with prices, windows and abilities.

        All of them::

            %models

        Words are parts of a name, and options say what a model must be able to do::

            %models claude --vision --max-price 5 --context 200k --sort price

        An exact name tells all of one model; --use asks it from now on in this kernel::

            %models lbl/cborg-chat
            %models --use lbl/cborg-chat

        Does it answer? Each model is asked for one word, each embedding model for one
        vector; with no names, all that may be asked::

            %models --check lbl/cborg-chat nomic-embed-text

        Prices are US dollars per million tokens. "free" is a price of zero; "no price
        told" is something else. What a service does not tell of a model counts as no.
        """
        self._shared.run(self._models, line)

    def _models(self, line: str) -> None:
        if line.strip() in ("-h", "--help"):
            self._shell.run_line_magic("pinfo", "%models")
            return
        args, words = arguments.read_words(self.models, line)
        if args.use and (words or args.check):
            raise BadOption("%models --use takes one name, and nothing else.")
        session = self._shared.session()
        catalogue = _catalogue(session, refresh=args.refresh)
        if args.use:
            display.tell(self._shell, _use(session, catalogue, args.use))
        elif args.check:
            self._check(session, catalogue, args, words)
        else:
            self._list(session, catalogue, args, words)

    # -- the list --------------------------------------------------------------------------

    def _list(
        self, session: Session, catalogue: Catalogue, args: argparse.Namespace, words: list[str]
    ) -> None:
        from cborg_magics.display import model_list

        wanted = _wanted(args, words)
        one = catalogue.find(words[0]) if len(words) == 1 else None
        if one and wanted == _wanted(argparse.Namespace(), words):
            notes = [*_state(session, catalogue), *_forbidden(session, one)]
            self._show(model_list.card(_placed(session, one), catalogue.twins(one), notes))
            self._put(args, _frame([_facts(one)], [one]))
            return
        listing = _listing(session, catalogue, wanted)
        display_id = uuid.uuid4().hex
        self._show(model_list.table(listing), display_id)
        self._put(args, _frame([_facts(model) for model in listing.models], listing.models))
        if len(listing.models) > 1 and self._ready():
            assert self._controls  # noqa: S101 - _ready() has made them

            def draw(wanted: Wanted) -> list[str]:
                listing = _listing(session, catalogue, wanted)
                self._show(model_list.table(listing), display_id, update=True)
                return [model.name for model in listing.models]

            def choose(name: str) -> str:
                line = _use(session, catalogue, name)
                draw(self._controls.wanted if self._controls else wanted)
                return line

            names = [model.name for model in listing.models]
            self._controls.show(wanted, names, listing.default, draw, choose)

    def _ready(self) -> bool:
        """Is there somebody to click, and something to click on?"""
        if not (display.is_notebook(self._shell) and display.has_person(self._shell)):
            return False
        if self._controls is None:
            from cborg_magics.display.model_controls import Controls

            with suppress(ImportError):  # without ipywidgets, the table is all there is
                self._controls = Controls(self._shell)
        return self._controls is not None

    def _show(self, data: dict[str, Any], display_id: str = "", *, update: bool = False) -> None:
        if display.is_notebook(self._shell):
            transient = {"display_id": display_id} if display_id else {}
            self._shell.display_pub.publish(data, transient=transient, update=update)
        else:
            print(data["text/plain"])

    def _put(self, args: argparse.Namespace, value: object) -> None:
        if args.output:
            self._shell.user_ns[args.output] = value

    # -- the check -------------------------------------------------------------------------

    def _check(
        self, session: Session, catalogue: Catalogue, args: argparse.Namespace, words: list[str]
    ) -> None:
        from cborg_magics import checking
        from cborg_magics.display import model_list
        from cborg_magics.display.bar import Bar

        models = _named(session, catalogue, words) if words else _all(session, catalogue, args)
        if not models:
            raise BadOption("%models --check: no model of the list can be asked for a word.")
        self._agree(checking.estimate(models), len(models), args, named=bool(words))
        found: list[Checked] = []
        began = time.monotonic()
        bar = Bar(
            self._shell,
            lambda: len(models),
            lambda: len(found),
            lambda elapsed: model_list.checks(found, len(models), elapsed),
        )
        try:
            checking.check(session, models, found.append)
        finally:
            bar.finish(model_list.checked(found, len(models), time.monotonic() - began))
            self._put(args, _frame([_checked(each) for each in found], found))
            self._shared.tell_warnings()

    def _agree(self, most: Any, count: int, args: argparse.Namespace, *, named: bool) -> None:
        """Ask, if it may cost more than a cent; what tells no price may cost anything, unless
        it was asked for by name. Raises `BadOption` where nobody can be asked."""
        from cborg_magics.display import wording
        from cborg_magics.pricing import money

        if args.yes or (most.dollars <= A_CENT and (named or not most.unpriced)):
            return
        unpriced = f", and {most.unpriced} of them tell no price" if most.unpriced else ""
        may = f"Checking {wording.count(count, 'model')} may cost {money(most.dollars)}{unpriced}."
        if not display.has_person(self._shell):
            raise BadOption(may, "Nobody can be asked here: say --yes.")
        if input(f"{may} Go on? [y/N] ").strip().lower() not in ("y", "yes"):
            raise Interrupted("nothing was asked")


def _catalogue(session: Session, *, refresh: bool) -> Catalogue:
    """The service's list, perhaps an old one. Raises why there is none."""
    found = session.refresh(PATIENCE) if refresh else session.catalogue(PATIENCE)
    if found is not None:
        return found
    raise session.catalogue_problem or TimedOut(
        f"{session.service.host} has not given its list in {PATIENCE:.0f} s", "Try again."
    )


def _wanted(args: argparse.Namespace, words: Sequence[str]) -> Wanted:
    from cborg_magics.selection import Wanted

    names = ("vision", "tools", "embed", "cached", "free", "on_prem", "max_price", "context")
    said = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    return Wanted(tuple(words), sort=getattr(args, "sort", None) or "", **said)


def _listing(session: Session, catalogue: Catalogue, wanted: Wanted) -> Listing:
    from cborg_magics.display import wording
    from cborg_magics.display.model_list import Listing

    every = [_placed(session, model) for model in catalogue.models]
    may = [model for model in every if not _forbidden(session, model)]
    found = wanted.of(may)
    notes = _state(session, catalogue)
    if hidden := len(every) - len(may):
        rules = " and ".join(_rules(session))
        notes.append(f"{wording.count(hidden, 'model')} may not be asked here ({rules}).")
    if not found:
        near = catalogue.suggest(wanted.words[0]) if len(wanted.words) == 1 else []
        meant = f"Did you mean {' or '.join(near)}?"
        notes.append(meant if near else "Nothing is all of that; ask for less.")
    service = session.service
    return Listing(
        title=f"{service.provider.title} ({service.host})",
        models=found,
        total=len(may),
        wanted=str(wanted),
        default=_default(session),
        read_at=catalogue.read_at,
        age=catalogue.age,
        notes=tuple(notes),
    )


def _state(session: Session, catalogue: Catalogue) -> list[str]:
    """What the reader must know of a list that may not be the newest."""
    if problem := session.catalogue_problem:
        said = str(getattr(problem, "what", problem))
        return [f"An older list is shown, the service could not be asked: {said}."]
    return ["The list is more than an hour old; a newer one is on its way."] * catalogue.stale


def _placed(session: Session, model: Model) -> Model:
    """The model with where it runs: here, if the service runs here."""
    return replace(model, location=session.service.provider.location(model))


def _forbidden(session: Session, model: Model) -> list[str]:
    """Why it may not be asked here; nothing if it may."""
    from cborg_magics import policy

    try:
        policy.check(model.name, session.service.provider.location(model), session.settings)
    except NotAllowed as problem:
        return [problem.what]
    return []


def _rules(session: Session) -> list[str]:
    settings = session.settings
    return ["CBORG_ALLOWED_MODELS"] * bool(settings.allowed_models) + [
        "CBORG_ON_PREM_ONLY"
    ] * settings.on_prem_only


def _default(session: Session) -> str:
    try:
        return session.model
    except Exception:  # noqa: BLE001 - a service need not have one
        return ""


def _use(session: Session, catalogue: Catalogue, name: str) -> str:
    """Ask `name` from now on; a line about it."""
    from cborg_magics import policy

    model = catalogue.find(name)
    if model is None:
        raise _unknown(session, catalogue, name)
    policy.check(name, session.service.provider.location(model), session.settings)
    session.use(name)
    return f"{name} is asked from now on in this kernel, unless -m names another."


def _unknown(session: Session, catalogue: Catalogue, name: str) -> BadOption:
    near = catalogue.suggest(name)
    hint = f"Did you mean {' or '.join(near)}?" if near else "%models lists what there is."
    return BadOption(f"{session.service.provider.title} lists no model {name!r}.", hint)


def _named(session: Session, catalogue: Catalogue, names: Sequence[str]) -> list[Model]:
    from cborg_magics import policy
    from cborg_magics.checking import KINDS

    found = []
    for name in dict.fromkeys(names):
        model = catalogue.find(name)
        if model is None:
            raise _unknown(session, catalogue, name)
        if model.kind not in KINDS:
            raise BadOption(f"%models --check: {name} is for {model.kind.value}, not for words.")
        policy.check(name, session.service.provider.location(model), session.settings)
        found.append(model)
    return found


def _all(session: Session, catalogue: Catalogue, args: argparse.Namespace) -> list[Model]:
    from cborg_magics.checking import KINDS

    models = (_placed(session, model) for model in catalogue.models)
    may = [model for model in models if model.kind in KINDS and not _forbidden(session, model)]
    return _wanted(args, ()).of(may)


def _frame(rows: list[dict[str, object]], otherwise: Sequence[object]) -> object:
    """A DataFrame of `rows`; without pandas, `otherwise` as a list."""
    if not find_spec("pandas"):
        return list(otherwise)
    import pandas  # type: ignore[import-untyped,unused-ignore]

    return pandas.DataFrame(rows)


def _facts(model: Model) -> dict[str, object]:
    from cborg_magics.selection import MILLION

    def price(dollars: Decimal | None) -> float | None:
        return None if dollars is None else float(round(dollars * MILLION, 9))

    prices = model.prices
    return {
        "model": model.name,
        "kind": model.kind.value,
        "stands_for": model.underlying,
        "usd_per_million_in": price(prices.prompt),
        "usd_per_million_out": price(prices.completion),
        "usd_per_million_cache_read": price(prices.cached),
        "usd_per_million_cache_write": price(prices.written),
        "context": model.max_input_tokens,
        "longest_answer": model.max_output_tokens,
        "vision": model.vision,
        "tools": model.tools,
        "reasoning": model.reasoning,
        "caching": model.caching,
        "schemas": model.schemas,
        "vector_size": model.vector_size,
        "runs": model.location.value,
        "deployments": model.deployments,
    }


def _checked(each: Checked) -> dict[str, object]:
    return {
        "model": each.model,
        "answers": each.answers,
        "words": each.words,
        "seconds": each.seconds,
        "usd": None if each.cost.dollars is None else float(each.cost.dollars),
        "cost_is": each.cost.source.value,
        "vector_size": each.vector,
    }
