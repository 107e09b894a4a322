"""How is a database of ours opened? Readable by its owner only, and brought up to date.

It is opened for each use and closed again: so it works with many kernels at once, after a fork,
and in a home directory on the network (no write-ahead log, which such disks cannot share).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

SECONDS = 10.0  # how long to wait while another kernel writes


def connect(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """The database at `path`, made if it is not there, with all `migrations` done. What has been
    released of them is never edited. Raises `OSError` and `sqlite3.Error`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite would create the file with everybody's permissions.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, timeout=SECONDS)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version < len(migrations):
            _migrate(db, migrations)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring it up to date; two kernels may try at once, the lock lets one of them."""
    db.execute("BEGIN EXCLUSIVE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for statement in migrations[version:]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {max(version, len(migrations))}")
    db.commit()
