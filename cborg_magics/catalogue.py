"""What is a model, and which one did you mean?"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from cborg_magics.exchange import Location

CATALOGUE_AGE = timedelta(hours=1)


@dataclass(frozen=True)
class Prices:
    """US dollars per token. None: not said, which is not the same as free."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    cached: Decimal | None = None
    written: Decimal | None = None  # tokens that the service keeps for the next call

    @property
    def free(self) -> bool:
        """The service says zero, in both directions."""
        return self.prompt == 0 and self.completion == 0


@dataclass(frozen=True)
class Model:
    """One name that can be asked for. `underlying` is what the service says stands behind it.

    `vision`: can it see pictures; `schemas`: can its answers be held to a JSON
    schema; None where the service does not say.
    """

    name: str
    underlying: str | None = None
    prices: Prices = field(default_factory=Prices)
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    schemas: bool | None = None
    location: Location = Location.UNKNOWN


@dataclass(frozen=True)
class Catalogue:
    """The models of one service, and when they were read."""

    models: tuple[Model, ...] = ()
    read_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def find(self, name: str) -> Model | None:
        """The model of that exact name. Several deployments of one name are one model here,
        and what they disagree on is not known."""
        rows = [model for model in self.models if model.name == name]
        if not rows:
            return None
        return _agreed(rows)

    def names(self) -> list[str]:
        """Every name once, in the service's order."""
        return list(dict.fromkeys(model.name for model in self.models))

    def suggest(self, name: str) -> list[str]:
        """Up to three names that may have been meant, the best first.

        >>> Catalogue((Model("lbl/cborg-chat"), Model("gpt-5"))).suggest("cborg-chta")
        ['lbl/cborg-chat']
        """
        last = {n: n.rsplit("/", 1)[-1].lower() for n in self.names()}
        word = name.rsplit("/", 1)[-1].lower()
        close = difflib.get_close_matches(word, set(last.values()), n=3, cutoff=0.6)
        found = [n for part in close for n in last if last[n] == part]
        return (found or [n for n in last if word and word in n.lower()])[:3]


def _agreed(rows: list[Model]) -> Model:
    """One model with only what all `rows` say alike."""
    unsaid = Model(rows[0].name)
    same = {
        f.name: getattr(rows[0], f.name)
        for f in fields(Model)
        if len({getattr(row, f.name) for row in rows}) == 1
    }
    return replace(unsaid, **same)


class FetchedCatalogue:
    """A catalogue that is fetched in the background, so that no answer waits for it."""

    def __init__(self, read: Callable[[], Catalogue]) -> None:
        self._read = read
        self._value: Catalogue | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start fetching, unless it is under way or fresh enough."""
        stale = self._value is None or (
            datetime.now(timezone.utc) - self._value.read_at > CATALOGUE_AGE
        )
        if stale and self._thread is None:
            self._thread = threading.Thread(target=self._fetch, daemon=True)
            self._thread.start()

    def get(self, wait: float | None) -> Catalogue | None:
        """The newest there is, after waiting `wait` seconds at most for one under way."""
        thread = self._thread
        if thread is not None:
            thread.join(wait)
        return self._value

    def _fetch(self) -> None:
        try:
            self._value = self._read()
        except Exception as problem:  # noqa: BLE001 - the answer matters, its price list less
            self.problem = str(problem)
        finally:
            self._thread = None
