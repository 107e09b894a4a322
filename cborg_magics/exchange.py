"""What do we send, and what comes back? Frozen values, passed between the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from cborg_magics import code_blocks
from cborg_magics.code_blocks import Block


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent: `data` (of the MIME type `type`), or a public `url` that the
    service fetches itself. `size` is width and height in pixels, None for a URL.

    `name` is what the person called it; `note` says what was assumed or changed.
    """

    name: str
    type: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str | None = None
    size: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class Document:
    """Text that goes along: `language` is the fence's (python, json, markdown, text)."""

    name: str
    text: str = field(repr=False)
    language: str = "text"
    note: str = ""


@dataclass(frozen=True)
class Passage(Document):
    """A text that a question is to be answered from. `score` is its cosine with the question,
    -1 to 1; `label` and `row` are those that it has in the Embeddings that were searched."""

    score: float = 0.0
    label: Any = None
    row: int = 0


Attachment = Picture | Document


@dataclass(frozen=True)
class Message:
    """One message of a conversation. `role` is system, user or assistant.

    `cached`: the service is asked to keep everything up to here for the next call.
    """

    role: str
    content: str
    attachments: tuple[Attachment, ...] = ()
    cached: bool = False

    @property
    def pictures(self) -> list[Picture]:
        """The pictures among the attachments."""
        return [each for each in self.attachments if isinstance(each, Picture)]


@dataclass(frozen=True)
class Request:
    """One call to a model. None means: the service's own default. `timeout` in seconds.

    `format` is the `response_format` to send: what shape the answer must have. `cache_key`
    tells the service which calls begin alike.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = True
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    format: Mapping[str, object] | None = None
    timeout: float = 600.0
    cache_key: str | None = None


# -- what a listener hears while the answer comes ------------------------------------------


@dataclass(frozen=True)
class Asking:
    """A request is about to be sent."""

    model: str
    host: str


@dataclass(frozen=True)
class Waiting:
    """A try failed; the next one comes in `seconds`. `of` is None where tries have no limit."""

    seconds: int
    reason: str
    attempt: int
    of: int | None


@dataclass(frozen=True)
class Reasoning:
    """A piece of what a reasoning model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Rejected:
    """The answer is whole and charged, but has not the shape that was asked for; it is asked
    for once more. `reason` says what is wrong with it."""

    reply: Reply
    reason: str


Event = Asking | Waiting | Reasoning | Text | Rejected
Listener = Callable[[Event], object]


# -- what a call came to -------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """Tokens. `cached` and `written` (kept by the service for the next call) are part of
    `prompt`, `reasoning` is part of `completion`; None: not said.

    `counted` is False where the service did not say and we counted what we saw.
    """

    prompt: int
    completion: int
    cached: int | None = None
    reasoning: int | None = None
    counted: bool = True
    written: int | None = None


class Source(str, Enum):
    """How a cost is known."""

    BILLED = "billed"  # the service said so
    ESTIMATED = "estimated"  # tokens times the catalogue's price
    FREE = "free"  # the catalogue's price is zero
    UNKNOWN = "unknown"  # no price is known; never shown as 0


@dataclass(frozen=True)
class Cost:
    """US dollars, and how they are known. `dollars` is None exactly where source is UNKNOWN."""

    dollars: Decimal | None
    source: Source


@dataclass(frozen=True)
class Budget:
    """What the service has booked, in US dollars; `owner` is key, user or team. No `limit`:
    none is set."""

    owner: str
    spent: Decimal
    limit: Decimal | None
    resets_at: datetime | None

    @property
    def is_spent(self) -> bool:
        return self.limit is not None and self.spent >= self.limit


@dataclass(frozen=True)
class Account:
    """What the service says of this key. `credit` is prepaid money, in US dollars; None: not
    said. `expires_at` is the key's end, None if it has none or it is not said."""

    budgets: tuple[Budget, ...] = ()
    credit: Decimal | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class LogEntry:
    """One call in the service's own log: `dollars` is its bill, in US dollars, `started` in UTC.

    `call_id` and `answer_id` are as in `Reply`; old releases tell one of them. `ours`: it was
    made with this very key, and not with another one of the same user.
    """

    call_id: str | None
    answer_id: str | None
    started: datetime
    model: str
    dollars: Decimal
    failed: bool
    ours: bool


@dataclass(frozen=True)
class LogDay:
    """One day (UTC) of this key in the service's sums, in US dollars."""

    day: date
    dollars: Decimal
    calls: int


@dataclass(frozen=True)
class ServiceLog:
    """What the service has booked; None where it does not tell this key."""

    calls: tuple[LogEntry, ...] | None = None
    days: tuple[LogDay, ...] | None = None


def dollars(value: object) -> Decimal | None:
    """A service's figure as a Decimal with the digits it was sent with; None if it is no figure.

    >>> dollars("9e-05"), dollars(4.9999999999999996e-05), dollars(None), dollars("n/a")
    (Decimal('0.00009'), Decimal('0.000049999999999999996'), None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        figure = Decimal(str(value))
    except ArithmeticError:
        return None
    return Decimal(f"{figure:f}") if figure.is_finite() and figure >= 0 else None


class Outcome(str, Enum):
    """How a call ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"  # Ctrl-C
    BROKEN = "broken"  # the stream broke off
    FAILED = "failed"  # no answer at all


class Location(str, Enum):
    """Where the data went, as far as it can be proved."""

    HERE = "this machine"
    ON_PREMISES = "on-premises"
    CLOUD = "cloud"
    UNKNOWN = "location unknown"


@dataclass(frozen=True)
class Reply:
    """One finished call. Times in seconds; `started` in UTC; `text` exactly as the model wrote it.

    `model` was asked; `served` is the name the service gives of what answered, if it says.
    `call_id` is the service's own number of the call, `answer_id` that of the answer: the bill
    can be found by the one or by the other.
    `value` is the answer parsed and validated, where a shape was asked for; `passages` are what
    it was made from, as they were sent. `tools`: the service says that tools took part, a search
    of the web, say. `from_cache`: it was given before; `usage` is what it took then, `cost` is 0.
    """

    text: str
    reasoning: str
    provider: str
    host: str
    model: str
    served: str | None
    location: Location
    outcome: Outcome
    finish_reason: str | None
    usage: Usage | None
    cost: Cost
    started: datetime
    first_text: float | None
    seconds: float
    call_id: str | None
    error: str | None = None
    value: Any = None
    answer_id: str | None = None
    capped: Capped | None = None
    joined: Joined | None = None
    fallback: str | None = None
    passages: tuple[Passage, ...] = ()
    tools: bool = False
    from_cache: FromCache | None = None

    @property
    def thread(self) -> str | None:
        """The thread that the answer belongs to; None if it stands alone."""
        return self.joined.thread if self.joined else None

    @property
    def pieces(self) -> tuple[Reasoning | Text, ...]:
        """What a listener hears of the answer where it comes in one go."""
        said = (Reasoning(self.reasoning), Text(self.text))
        return tuple(piece for piece in said if piece.text)

    @property
    def code(self) -> tuple[Block, ...]:
        """The fenced code blocks of the answer, in order: each has a `language` and a `text`."""
        return code_blocks.find(self.text)

    def _repr_markdown_(self) -> str:
        """The answer, made harmless, where the reply is a cell's last value."""
        from cborg_magics.harmless import harmless  # many patterns to compile

        return harmless(self.text)


@dataclass(frozen=True)
class Joined:
    """How an answer joined its thread: as which turn, counted from 1, and at what price.

    `replaced`: what an earlier run of the cell had put there is gone, with `dropped`
    later turns. `turn` is None where the answer did not join: it is partial, and
    what the cell had said before stands.
    """

    thread: str
    turn: int | None
    replaced: bool = False
    dropped: int = 0


@dataclass(frozen=True)
class Capped:
    """The answer was asked to have `tokens` at most: the cap set by `by` affords no more."""

    tokens: int
    by: str


@dataclass(frozen=True)
class FromCache:
    """The answer was kept on disk: it was given `at` a moment in UTC, and cost this then."""

    at: datetime
    cost: Cost
