"""What is looked at? The settings, and a service that is being asked, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from functools import partial

from cborg_magics import policy, spending
from cborg_magics.catalogue import Catalogue
from cborg_magics.doctor import keys
from cborg_magics.doctor.keys import KEY_FILE
from cborg_magics.doctor.report import Later
from cborg_magics.errors import BadSetting, CborgError, Unreachable
from cborg_magics.exchange import Account
from cborg_magics.ledger import Spending, Spent
from cborg_magics.providers.provider import Service
from cborg_magics.session import Session
from cborg_magics.settings import Settings

SECONDS = 8.0  # how long anything is waited for; all is begun at once


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
        begins = spending.month(today())
        self.month = Later(partial(self.session.ledger.rows, None, begins), SECONDS)
        self.weighed = Later(self._weigh, SECONDS)

    def connect(self) -> None:
        """Find the service, and begin to ask it what it has and what is left."""
        if self.broken:
            return
        try:
            _ = self.session.client.sdk  # made here, for threads would make one each
        except CborgError as error:
            self.problem = error
            return
        except Exception as error:  # noqa: BLE001 - a proxy of no known kind, half a package
            self.problem = Unreachable(
                f"no connection can be made ({type(error).__name__}: {error})",
                "Look at HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, and at what is installed.",
            )
            return
        self.service = self.session.service
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
        """`text` without any key that is set."""
        return keys.hide(text, keys.secrets(self.environ))


def case(environ: Mapping[str, str], ask: bool) -> Case:
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
            f"{service.host} did not answer within {SECONDS:.0f} s",
            service.provider.unreachable_hint,
        )
    return found, time.monotonic() - clock


def today() -> date:
    return datetime.now().astimezone().date()
