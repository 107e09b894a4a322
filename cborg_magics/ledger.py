"""What have we spent? One row a call, on disk, append only.

Holds no question, no answer and no key. The file is opened for each row and
closed again: it works with many kernels at once, after a fork, and in a home
directory on the network (no write-ahead log, which such disks cannot share).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

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
)


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


@dataclass(frozen=True)
class Total:
    """A sum that admits what it does not know. `estimated` is the part of `dollars` not billed."""

    dollars: Decimal
    estimated: Decimal
    calls: int
    unpriced: int


class Ledger:
    """The ledger in the directory `home`, made on the first write, readable by its owner only."""

    def __init__(self, home: Path) -> None:
        self.path = home / "ledger.sqlite"
        self._unsaved: list[tuple[Reply, str, str | None]] = []
        self._lock = threading.Lock()  # SQLite keeps kernels apart; this, a kernel's threads

    def record(self, reply: Reply, kernel: str, thread: str | None = None) -> str | None:
        """Write one row: a call of `kernel`, in `thread` of its conversation.

        Never raises: a full disk must not cost the answer.
        Returns None, or one line saying that the row waits in memory for the next try.
        """
        with self._lock:
            self._unsaved.append((reply, kernel, thread))
            try:
                with closing(self._open()) as db, db:
                    db.executemany(_INSERT, [_values(*item) for item in self._unsaved])
            except (sqlite3.Error, OSError) as problem:
                return f"this call is not in the ledger yet ({self.path}: {problem})"
            self._unsaved.clear()
            return None

    def rows(self, kernel: str | None = None) -> list[Row]:
        """Every call, oldest first, or those of one kernel."""
        if not self.path.exists():
            return []
        where, values = ("WHERE kernel = ?", [kernel]) if kernel else ("", [])
        with closing(self._open()) as db:
            return [_row(found) for found in db.execute(f"{_SELECT} {where} ORDER BY id", values)]

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite would create the file with everybody's permissions.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.path, timeout=10)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version < len(MIGRATIONS):
                _migrate(db)
        except BaseException:
            db.close()
            raise
        return db


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


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the file up to date; two kernels may try at once, the lock lets one of them."""
    db.execute("BEGIN EXCLUSIVE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for statement in MIGRATIONS[version:]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
    db.commit()


_COLUMNS = (
    "kernel, started, seconds, provider, host, model, served, outcome, error, prompt_tokens,"
    " cached_tokens, completion_tokens, reasoning_tokens, counted, dollars, source, call_id,"
    " written_tokens, thread"
)
_INSERT = f"INSERT INTO calls ({_COLUMNS}) VALUES ({', '.join('?' * 19)})"  # noqa: S608 - constants
_SELECT = f"SELECT {_COLUMNS} FROM calls"  # noqa: S608 - constants


def _values(reply: Reply, kernel: str, thread: str | None) -> tuple[object, ...]:
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
    )


def _row(found: tuple[Any, ...]) -> Row:
    kernel, started, seconds, provider, host, model, served, outcome, error, *rest = found
    prompt, cached, completion, reasoning, counted, money, source, call_id, written, thread = rest
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
        thread,
    )
