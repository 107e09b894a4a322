"""What does a reader see of texts that are embedded? A line while it lasts, a badge at the end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from cborg_magics.catalogue import Model
from cborg_magics.display import tables, wording
from cborg_magics.display.notebook import quiet
from cborg_magics.display.tables import Column
from cborg_magics.exchange import Cost, Location, Waiting
from cborg_magics.pricing import money

KEPT = {"document": "documents", "query": "questions", "picture": "pictures"}


class Tally(Protocol):
    """How far a job has come."""

    of: int
    pieces: int
    at_hand: int
    tokens: int
    calls: int
    cost: Cost
    waiting: Waiting | None


class Origin(Protocol):
    """Whose vectors."""

    @property
    def service(self) -> str: ...
    @property
    def model(self) -> str: ...


class Job(Protocol):
    """What is to be embedded."""

    @property
    def origin(self) -> Origin: ...
    @property
    def model(self) -> Model | None: ...
    @property
    def pieces(self) -> Sequence[str]: ...
    @property
    def parts(self) -> Sequence[Sequence[int]]: ...
    @property
    def kept(self) -> dict[int, bytes]: ...
    @property
    def wanted(self) -> Sequence[int]: ...
    @property
    def requests(self) -> int: ...
    @property
    def split(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def cost(self) -> Cost: ...
    @property
    def notes(self) -> Sequence[str]: ...


class Holding(Protocol):
    """What the cache holds of one model."""

    @property
    def service(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def octets(self) -> int: ...
