"""What is a model, and which one did you mean?"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Protocol, TypeVar

from cborg_magics.exchange import Location

_Row = TypeVar("_Row", "Model", "Prices")

CATALOGUE_AGE = timedelta(hours=1)
PATIENCE = 0.5  # seconds for a newer list, where an older one is at hand


class Kind(str, Enum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    OTHER = "other"


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

    Can it see pictures (`vision`), call `tools`, think first (`reasoning`), keep a prompt
    for the next call (`caching`), hold its answer to a JSON schema (`schemas`), or at
    least to JSON (`json_mode`)? Does it bring a `system` prompt of its own? None: not said.
    `vector_size` is the length of an embedding; limits are in tokens. `parameters` are the
    fields of a request that it takes. `deployments` stand behind the name.
    """

    name: str
    kind: Kind = Kind.CHAT
    underlying: str | None = None
    prices: Prices = field(default_factory=Prices)
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    caching: bool | None = None
    schemas: bool | None = None
    json_mode: bool | None = None
    system: bool | None = None
    vector_size: int | None = None
    parameters: frozenset[str] | None = None
    location: Location = Location.UNKNOWN
    deployments: int = 1


@dataclass(frozen=True)
class Catalogue:
    """The models of one service, each name once, and when they were read."""

    models: tuple[Model, ...] = ()
    read_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", _each_once(self.models))

    @property
    def age(self) -> timedelta:
        """How long ago the service gave this list."""
        return datetime.now(timezone.utc) - self.read_at

    @property
    def stale(self) -> bool:
        """Older than an hour: the service could not be asked since, or was too slow."""
        return not timedelta(0) <= self.age <= CATALOGUE_AGE

    def find(self, name: str) -> Model | None:
        """The model of that exact name."""
        return next((model for model in self.models if model.name == name), None)

    def names(self) -> list[str]:
        """Every name, in the service's order."""
        return [model.name for model in self.models]

    def only(self, kind: Kind) -> Catalogue:
        """The models of one kind."""
        return replace(self, models=tuple(model for model in self.models if model.kind is kind))

    def twins(self, model: Model) -> list[str]:
        """The other names behind which the service says the same model stands. They may differ
        in what the service adds: a system prompt, an effort of reasoning, a price."""
        if not model.underlying:
            return []
        same = [each.name for each in self.models if each.underlying == model.underlying]
        return [name for name in same if name != model.name]

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


def kind_of(mode: object, *names: object) -> Kind:
    """The kind for a `mode` as LiteLLM says it. Where it says none the `names` must do: a
    model is for chatting unless one of them tells that it embeds.

    >>> kind_of("responses"), kind_of("image_generation"), kind_of(None, "nomic-embed-code")
    (<Kind.CHAT: 'chat'>, <Kind.IMAGE: 'image'>, <Kind.EMBEDDING: 'embedding'>)
    """
    if isinstance(mode, str) and mode:
        return next((kind for start, kind in _MODES if mode.startswith(start)), Kind.OTHER)
    embeds = any("embed" in name.lower() for name in names if isinstance(name, str))
    return Kind.EMBEDDING if embeds else Kind.CHAT


_MODES = (  # chat, completion, responses, image_generation, image_edit, audio_speech, ...
    ("chat", Kind.CHAT),
    ("completion", Kind.CHAT),
    ("responses", Kind.CHAT),
    ("embedding", Kind.EMBEDDING),
    ("image", Kind.IMAGE),
    ("audio", Kind.AUDIO),
    ("realtime", Kind.AUDIO),
    ("video", Kind.VIDEO),
)


def _each_once(models: Iterable[Model]) -> tuple[Model, ...]:
    """One model a name. Services list a name once for each server that stands behind it."""
    rows: dict[str, list[Model]] = {}
    for model in models:
        rows.setdefault(model.name, []).append(model)
    return tuple(same[0] if len(same) == 1 else _merged(same) for same in rows.values())


def _merged(rows: list[Model]) -> Model:
    """One model with only what all `rows` say alike: nobody knows which of them will answer."""
    said = {row.kind for row in rows} - {Kind.CHAT}  # chat may be a guess, the others are not
    return replace(
        _agreed(rows, Model(rows[0].name)),
        kind=said.pop() if len(said) == 1 else Kind.CHAT,
        prices=_agreed([row.prices for row in rows], Prices()),
        deployments=sum(row.deployments for row in rows),
    )


def _agreed(rows: list[_Row], unsaid: _Row) -> _Row:
    """`unsaid`, with the fields in which all `rows` are equal."""
    said = {f.name: {getattr(row, f.name) for row in rows} for f in fields(unsaid)}
    return replace(unsaid, **{name: v.pop() for name, v in said.items() if len(v) == 1})


class Kept(Protocol):
    """A place where a catalogue survives the kernel."""

    def read(self) -> Catalogue | None:
        """What was kept, or None."""

    def write(self, catalogue: Catalogue) -> None:
        """Keep it. Raises `OSError`."""


class FetchedCatalogue:
    """A catalogue that is fetched in the background, so that no answer waits for it.

    `read` asks the service. `place` tells where the list is kept between kernels (None:
    nowhere): that copy serves at once, and until the service has given a newer one.
    """

    def __init__(
        self, read: Callable[[], Catalogue], place: Callable[[], Kept | None] = lambda: None
    ) -> None:
        self.problem: Exception | None = None  # why the service did not give its list
        self._read = read
        self._place = place
        self._kept: Kept | None = None
        self._opened = False
        self._value: Catalogue | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start fetching, unless it is under way or fresh enough."""
        with self._lock:
            self._open()
            if self._value is None or self._value.stale:
                self._start()

    def refresh(self, wait: float | None = None) -> Catalogue | None:
        """Ask the service even if the list is fresh, and give the newest there is after `wait`
        seconds at most; `problem` tells what went wrong, if something did."""
        with self._lock:
            self._open()
            self._start()
            thread = self._thread
        if thread is not None:
            thread.join(wait)
        return self._value

    def get(self, wait: float | None) -> Catalogue | None:
        """The newest there is, after waiting `wait` seconds at most for one under way; where
        an older one is at hand, hardly at all."""
        thread = self._thread
        if thread is not None:
            if self._value is not None:
                wait = PATIENCE if wait is None else min(wait, PATIENCE)
            thread.join(wait)
        return self._value

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            self._kept = self._place()
            self._value = self._kept.read() if self._kept else None
        except Exception as problem:  # noqa: BLE001 - without a copy, the service is asked
            self.problem = problem

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._fetch, daemon=True)
            self._thread.start()

    def _fetch(self) -> None:
        try:
            self._value = self._read()
            self.problem = None
            if self._kept and self._value.models:
                with suppress(OSError):  # a full disk, a home to read only: it is but a copy
                    self._kept.write(self._value)
        except Exception as problem:  # noqa: BLE001 - the answer matters, its price list less
            self.problem = problem
        finally:
            self._thread = None
