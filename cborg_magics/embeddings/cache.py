"""Which vectors have been paid for already? They are kept on disk, each as it comes.

Known by service, model, kind (document, query, picture) and the exact text, of which only a
digest is written down: no text and no key stands in the file. Written in short transactions: a
killed kernel loses nothing that had come.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from cborg_magics import database
from cborg_magics.embeddings.origin import Origin
from cborg_magics.settings import Settings

# Append to this tuple; never edit what has been released.
MIGRATIONS = (
    """CREATE TABLE sets (
        id INTEGER PRIMARY KEY,
        service TEXT NOT NULL,
        model TEXT NOT NULL,
        kind TEXT NOT NULL,        -- document, query, picture
        made TEXT NOT NULL,        -- ISO 8601, UTC
        UNIQUE (service, model, kind)
    )""",
    """CREATE TABLE vectors (
        id INTEGER PRIMARY KEY,
        of INTEGER NOT NULL,       -- sets.id
        digest BLOB NOT NULL,      -- SHA-256 of the text
        vector BLOB NOT NULL       -- little-endian float32
    )""",
    "CREATE UNIQUE INDEX vectors_digest ON vectors (of, digest)",
)
AT_ONCE = 500  # values in a question to SQLite


@dataclass(frozen=True)
class Holding:
    """What is kept of one model: how many vectors of `size` numbers, and their bytes."""

    service: str
    model: str
    kind: str
    count: int
    size: int
    octets: int


def digest(text: str) -> bytes:
    """What a text is known by."""
    return hashlib.sha256(text.encode()).digest()


class VectorCache:
    """The cache in the directory `home`, made on the first write, readable by its owner only."""

    def __init__(self, home: Path) -> None:
        self.path = home / "vectors.sqlite"
        self._waiting: list[tuple[Origin, str, Mapping[bytes, bytes]]] = []
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> VectorCache:
        """The cache of the person, or the one in the folder that CBORG_CACHE names."""
        return cls(settings.named_cache or settings.home)

    def find(self, origin: Origin, kind: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """The vectors that are kept, by digest. Raises `OSError`."""
        if not self.path.exists():
            return {}
        found: dict[bytes, bytes] = {}
        with self._open() as db:
            of = _set(db, origin, kind)
            if of is None:
                return {}
            for start in range(0, len(digests), AT_ONCE):
                part = digests[start : start + AT_ONCE]
                marks = ", ".join("?" * len(part))
                asked = f"SELECT digest, vector FROM vectors WHERE of = ? AND digest IN ({marks})"  # noqa: S608 - marks
                found.update(db.execute(asked, [of, *part]))
        return found

    def keep(self, origin: Origin, kind: str, vectors: Mapping[bytes, bytes]) -> None:
        """Write vectors down, by digest; a newer one takes an older one's place.

        Of several threads the first to write takes along what the others have. Raises `OSError`.
        """
        self._waiting.append((origin, kind, vectors))
        with self._lock:
            waiting = tuple(self._waiting)
            if not waiting:
                return
            with self._open() as db:
                db.execute("BEGIN IMMEDIATE")
                for whose, what, each in waiting:
                    of = _set(db, whose, what) or _make(db, whose, what)
                    db.executemany(
                        "INSERT OR REPLACE INTO vectors (of, digest, vector) VALUES (?, ?, ?)",
                        ((of, known_by, vector) for known_by, vector in each.items()),
                    )
                db.commit()
            del self._waiting[: len(waiting)]

    def holdings(self) -> list[Holding]:
        """What is kept, by service and model. Raises `OSError`."""
        if not self.path.exists():
            return []
        with self._open() as db:
            return [
                Holding(*row)
                for row in db.execute(
                    "SELECT service, model, kind, COUNT(*), MAX(LENGTH(vector)) / 4,"
                    " SUM(LENGTH(vector)) FROM vectors JOIN sets ON sets.id = of"
                    " GROUP BY of ORDER BY service, model, kind"
                )
            ]

    def clear(self, model: str | None = None) -> int:
        """Drop all vectors, or those of one model; how many there were. Raises `OSError`."""
        if not self.path.exists():
            return 0
        which = "SELECT id FROM sets WHERE ? IS NULL OR model = ?"
        with self._open() as db:
            gone = db.execute(f"DELETE FROM vectors WHERE of IN ({which})", [model, model])  # noqa: S608 - a constant
            db.execute(f"DELETE FROM sets WHERE id IN ({which})", [model, model])  # noqa: S608
            db.commit()
            db.execute("VACUUM")
            return gone.rowcount

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(database.connect(self.path, MIGRATIONS)) as db:
                db.execute("PRAGMA synchronous = NORMAL")  # it can be bought again
                yield db
        except sqlite3.Error as problem:
            raise OSError(f"{self.path}: {problem}") from None


def _set(db: sqlite3.Connection, origin: Origin, kind: str) -> int | None:
    # CBorg's pages write a model with and without lbl/; its list, if it can be asked, says which.
    name = origin.model.removeprefix("lbl/")
    asked = (
        "SELECT id FROM sets WHERE service = ? AND model IN (?, ?) AND kind = ?"
        " ORDER BY model != ?"  # where there are both, the one that was named
    )
    values = [origin.service, name, f"lbl/{name}", kind, origin.model]
    row = db.execute(asked, values).fetchone()
    return row[0] if row else None


def _make(db: sqlite3.Connection, origin: Origin, kind: str) -> int:
    now = datetime.now(timezone.utc).isoformat()
    made = db.execute(
        "INSERT INTO sets (service, model, kind, made) VALUES (?, ?, ?, ?)",
        [origin.service, origin.model, kind, now],
    )
    assert made.lastrowid is not None  # noqa: S101 - it was just inserted
    return made.lastrowid
