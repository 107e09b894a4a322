"""What have we spent? One row a call, on disk, append only; and what is held for calls under way.

Holds no question, no answer and no key. The file is opened for each row and closed again.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cborg_magics import database
from cborg_magics.alive import Process
from cborg_magics.exchange import Cost, Outcome, Reply, Source, Usage

# Append to this tuple; never edit what has been released.
MIGRATIONS = (
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        kernel TEXT NOT NULL,      -- one for each session
        started TEXT NOT NULL,     -- ISO 8601, UTC
        seconds REAL NOT NULL,
        provider TEXT NOT NULL,
        host TEXT NOT NULL,
        model TEXT NOT NULL,       -- as asked
        served TEXT,               -- as the service names what answered
        outcome TEXT NOT NULL,     -- completed, interrupted, broken, failed
        error TEXT,                -- the class of what went wrong
        prompt_tokens INTEGER,
        cached_tokens INTEGER,
        completion_tokens INTEGER,
        reasoning_tokens INTEGER,
        counted INTEGER,           -- 1: the service counted the tokens; 0: we did
        dollars TEXT,              -- decimal digits as they came; NULL: unknown
        source TEXT NOT NULL,      -- billed, estimated, free, unknown
        call_id TEXT               -- the service's number of the call
    )""",
    "CREATE INDEX calls_started ON calls (started)",
    "ALTER TABLE calls ADD COLUMN written_tokens INTEGER",  # kept by the service, for the next call
    "ALTER TABLE calls ADD COLUMN thread TEXT",  # NULL: it stood alone
    """CREATE TABLE reservations (
        id TEXT PRIMARY KEY,
        kernel TEXT NOT NULL,
        host TEXT NOT NULL,        -- host, pid, born: the process that holds it
        pid INTEGER NOT NULL,
        born TEXT NOT NULL,
        made TEXT NOT NULL,        -- ISO 8601, UTC
        dollars TEXT NOT NULL      -- the most that the call may cost
    )""",
    "ALTER TABLE calls ADD COLUMN held TEXT",  # what was held for it; NULL: there was no cap
    "CREATE INDEX calls_kernel ON calls (kernel)",
    "ALTER TABLE calls ADD COLUMN answer_id TEXT",  # the answer's own number
    "ALTER TABLE calls ADD COLUMN notebook TEXT",  # its file; NULL: not known
    """CREATE TABLE corrections (
        id INTEGER PRIMARY KEY,
        call INTEGER NOT NULL,     -- calls.id; the newest correction holds
        dollars TEXT NOT NULL,
        source TEXT NOT NULL,      -- billed, free
        made TEXT NOT NULL         -- ISO 8601, UTC
    )""",
    "CREATE INDEX corrections_call ON corrections (call)",
)

FORGOTTEN = timedelta(hours=1)  # a reservation whose process cannot be asked after


@dataclass(frozen=True)
class Row:
    """One call as the ledger remembers it."""

    kernel: str
    started: datetime
    seconds: float
    provider: str
    host: str
    model: str
    served: str | None
    outcome: Outcome
    error: str | None
    usage: Usage | None
    cost: Cost
    call_id: str | None
    thread: str | None = None
    answer_id: str | None = None
    notebook: str | None = None
    id: int = 0


@dataclass(frozen=True)
class Total:
    """A sum that admits what it does not know. `estimated` is the part of `dollars` not billed."""

    dollars: Decimal
    estimated: Decimal
    calls: int
    unpriced: int


@dataclass(frozen=True)
class Spent:
    """What counts against a cap, in US dollars.

    `certain` is what calls cost, with `estimated` as a part of it; `unknown` the most that those
    may have cost whose price never came, `held` the most that those under way may cost.
    """

    certain: Decimal = Decimal(0)
    estimated: Decimal = Decimal(0)
    unknown: Decimal = Decimal(0)
    held: Decimal = Decimal(0)

    @property
    def counted(self) -> Decimal:
        """All of it."""
        return self.certain + self.unknown + self.held


@dataclass(frozen=True)
class Spending:
    """What one kernel has spent, and what all have this day."""

    kernel: Spent
    day: Spent


@dataclass
class Booking:
    """One call's place among the reservations. `held`: there may be something at it."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    held: bool = False


class Priced(Protocol):
    """Whatever knows what it costs."""

    @property
    def dollars(self) -> Decimal: ...


_P = TypeVar("_P", bound=Priced)


class Ledger:
    """The ledger in the directory `home`, made on the first write, readable by its owner only."""

    def __init__(self, home: Path) -> None:
        self.path = home / "ledger.sqlite"
        self._unsaved: list[tuple[Reply, str, str | None, str | None, str]] = []
        self._lock = threading.RLock()  # SQLite keeps kernels apart; this, a kernel's threads

    @contextmanager
    def booking(self) -> Iterator[Booking]:
        """A place to hold something for one call; what no row has settled is let go at the end."""
        made = Booking()
        try:
            yield made
        finally:
            if made.held:
                with suppress(OSError), self._writing() as db:  # else when this process ends
                    db.execute("DELETE FROM reservations WHERE id = ?", [made.id])

    def reserve(
        self, booking: Booking, kernel: str, day: datetime, decide: Callable[[Spending], _P]
    ) -> _P:
        """Hold what `decide` makes of the spending so far; `day` is when today began.

        Nobody else can hold or write anything in between, on this machine. Raises what
        `decide` raises, and `OSError` if the ledger cannot be written.
        """
        me, now = Process.this(), datetime.now(timezone.utc)
        with self._writing() as db:
            _let_go(db, now)
            decided = decide(_spending(db, kernel, day))
            booking.held, held = True, f"{decided.dollars:f}"
            db.execute(
                "INSERT INTO reservations (id, dollars, kernel, host, pid, born, made)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [booking.id, held, kernel, me.host, me.pid, me.born, now.isoformat()],
            )
        return decided

    def spending(self, kernel: str, day: datetime) -> Spending:
        """What has been spent and is held now. Raises `OSError` if that cannot be read."""
        with self._writing() as db:
            _let_go(db, datetime.now(timezone.utc))
            return _spending(db, kernel, day)

    def record(
        self,
        reply: Reply,
        kernel: str,
        thread: str | None = None,
        booking: Booking | None = None,
        notebook: str | None = None,
    ) -> str | None:
        """Write one row: a call of `kernel`, in `thread` of its conversation, from the file
        `notebook`. What was held for it under `booking` is let go in the same moment.

        Never raises: a full disk must not cost the answer.
        Returns None, or one line saying that the row waits in memory for the next try; what
        was held stays held until then.
        """
        mine = (reply, kernel, thread, notebook, booking.id if booking else "")
        self._unsaved.append(mine)  # not under the lock: who writes next takes it along
        if booking:
            booking.held = False
        try:
            with self._lock:
                if not any(each is mine for each in self._unsaved):
                    return None
                with self._writing() as db:
                    waiting = tuple(self._unsaved)
                    for each in waiting:
                        db.execute(_INSERT, _values(*each))
                        db.execute("DELETE FROM reservations WHERE id = ?", [each[-1]])
                    db.commit()
                    del self._unsaved[: len(waiting)]
        except OSError as problem:
            return f"this call is not in the ledger yet ({problem})"
        return None

    def rows(self, kernel: str | None = None, since: datetime | None = None) -> list[Row]:
        """Every call, oldest first, or those of one kernel, or begun since then; each with its
        cost as it is known now. Raises `OSError` if they cannot be read."""
        if not self.path.exists():
            return []
        asked = {
            "kernel = ?": kernel,
            "started >= ?": since and since.astimezone(timezone.utc).isoformat(),
        }
        values = [value for value in asked.values() if value]
        where = " AND ".join(["1", *(each for each, value in asked.items() if value)])
        try:
            with closing(self._open()) as db:
                found = db.execute(f"{_SELECT} WHERE {where} ORDER BY id", values)
                return [_row(each) for each in found]
        except sqlite3.Error as problem:
            raise OSError(f"{self.path}: {problem}") from None

    def correct(self, bills: Mapping[int, Cost]) -> None:
        """Note what calls, by the `id` of their rows, turned out to cost. The rows stay as they
        were written, and the newest correction holds. Raises `OSError`."""
        now = datetime.now(timezone.utc).isoformat()
        with self._writing() as db:
            db.executemany(
                "INSERT INTO corrections (call, dollars, source, made) VALUES (?, ?, ?, ?)",
                [
                    (call, f"{bill.dollars:f}", bill.source.value, now)
                    for call, bill in bills.items()
                ],
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else can write beside. Raises `OSError`."""
        try:
            with self._lock, closing(self._open()) as db, db:
                db.execute("BEGIN IMMEDIATE")
                yield db
        except sqlite3.Error as problem:
            raise OSError(f"{self.path}: {problem}") from None

    def _open(self) -> sqlite3.Connection:
        return database.connect(self.path, MIGRATIONS)


def total(rows: list[Row]) -> Total:
    """The sum of `rows`."""
    known = [row.cost for row in rows if row.cost.dollars is not None]
    return Total(
        dollars=sum((cost.dollars or Decimal(0) for cost in known), Decimal(0)),
        estimated=sum(
            (cost.dollars or Decimal(0) for cost in known if cost.source is Source.ESTIMATED),
            Decimal(0),
        ),
        calls=len(rows),
        unpriced=len(rows) - len(known),
    )


def _let_go(db: sqlite3.Connection, now: datetime) -> None:
    """Drop the reservations of processes that have ended, or that cannot be asked after."""
    found = db.execute("SELECT id, host, pid, born, made FROM reservations").fetchall()
    for number, host, pid, born, made in found:
        ended = Process(host, pid, born).ended
        if now - datetime.fromisoformat(made) > FORGOTTEN if ended is None else ended:
            db.execute("DELETE FROM reservations WHERE id = ?", [number])


def _spending(db: sqlite3.Connection, kernel: str, day: datetime) -> Spending:
    asked = {"kernel": kernel, "day": day.isoformat()}
    calls = db.execute(_COUNTED, asked).fetchall()
    held = db.execute("SELECT kernel = :kernel, dollars FROM reservations", asked).fetchall()
    # Whatever is held counts today: a call that goes on over midnight may be booked on either day.
    return Spending(
        kernel=_spent(
            [call for ours, _, *call in calls if ours], [dollars for ours, dollars in held if ours]
        ),
        day=_spent([call for _, today, *call in calls if today], [dollars for _, dollars in held]),
    )


# What a call costs, as far as it is known now.
_NOW = ", ".join(
    f"COALESCE((SELECT {name} FROM corrections WHERE call = calls.id"  # noqa: S608 - constants
    f" ORDER BY id DESC LIMIT 1), {name}) AS {name}"
    for name in ("dollars", "source")
)
_COUNTED = (
    "SELECT kernel = :kernel, started >= :day, dollars, held,"  # noqa: S608 - constants
    f" source = 'estimated' FROM (SELECT kernel, started, held, {_NOW} FROM calls"
    " WHERE kernel = :kernel OR started >= :day)"
)


def _spent(calls: list[list[Any]], held: Iterable[str]) -> Spent:
    return Spent(
        certain=_sum(dollars for dollars, _, _ in calls if dollars),
        estimated=_sum(dollars for dollars, _, estimated in calls if dollars and estimated),
        unknown=_sum(most for dollars, most, _ in calls if dollars is None and most),
        held=_sum(held),
    )


def _sum(figures: Iterable[str]) -> Decimal:
    return sum(map(Decimal, figures), Decimal(0))


_COLUMNS = (
    "kernel, started, seconds, provider, host, model, served, outcome, error, prompt_tokens,"
    " cached_tokens, completion_tokens, reasoning_tokens, counted, dollars, source, call_id,"
    " written_tokens, thread, answer_id, notebook"
)
_INSERT = (
    f"INSERT INTO calls ({_COLUMNS}, held) VALUES ({', '.join('?' * 21)},"  # noqa: S608 - constants
    " (SELECT dollars FROM reservations WHERE id = ?))"
)
_SELECT = f"SELECT {_COLUMNS.replace('dollars, source', _NOW)}, id FROM calls"  # noqa: S608


def _values(
    reply: Reply, kernel: str, thread: str | None, notebook: str | None, booking: str
) -> tuple[object, ...]:
    usage = reply.usage
    return (
        kernel,
        reply.started.isoformat(),
        round(reply.seconds, 3),
        reply.provider,
        reply.host,
        reply.model,
        reply.served,
        reply.outcome.value,
        reply.error,
        usage and usage.prompt,
        usage and usage.cached,
        usage and usage.completion,
        usage and usage.reasoning,
        usage and usage.counted,
        None if reply.cost.dollars is None else f"{reply.cost.dollars:f}",
        reply.cost.source.value,
        reply.call_id,
        usage and usage.written,
        thread,
        reply.answer_id,
        notebook,
        booking,
    )


def _row(found: tuple[Any, ...]) -> Row:
    kernel, started, seconds, provider, host, model, served, outcome, error, *rest = found
    prompt, cached, completion, reasoning, counted, money, source, call_id, written, *rest = rest
    usage = (
        None
        if prompt is None
        else Usage(prompt, completion, cached, reasoning, bool(counted), written)
    )
    cost = Cost(None if money is None else Decimal(money), Source(source))
    when = datetime.fromisoformat(started)
    return Row(
        kernel,
        when,
        seconds,
        provider,
        host,
        model,
        served,
        Outcome(outcome),
        error,
        usage,
        cost,
        call_id,
        *rest,
    )
