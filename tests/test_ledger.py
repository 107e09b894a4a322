"""Every call leaves a row, and no row is lost."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from cborg_magics.exchange import Cost, Location, Outcome, Reply, Source, Usage
from cborg_magics.ledger import MIGRATIONS, Ledger, total


def reply(dollars: str | None = "0.000678", source: Source = Source.BILLED) -> Reply:
    return Reply(
        text="the answer",
        reasoning="",
        provider="cborg",
        host="api.example.org",
        model="gpt-5",
        served=None,
        location=Location.CLOUD,
        outcome=Outcome.COMPLETED,
        finish_reason="stop",
        usage=Usage(10, 20, cached=5),
        cost=Cost(None if dollars is None else Decimal(dollars), source),
        started=datetime(2026, 11, 21, 12, tzinfo=timezone.utc),
        first_text=0.5,
        seconds=1.25,
        call_id="call-1",
    )


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(home)


def test_a_row_comes_back_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.record(reply("0.000049999999999999996"), "kernel-1") is None
    (row,) = ledger.rows()
    assert row.cost == Cost(Decimal("0.000049999999999999996"), Source.BILLED)
    assert row.usage == Usage(10, 20, cached=5)
    assert row.started == datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
    assert (row.kernel, row.call_id, row.outcome) == ("kernel-1", "call-1", Outcome.COMPLETED)


def test_neither_question_nor_answer_nor_key_is_kept(ledger: Ledger) -> None:
    ledger.record(reply(), "kernel-1")
    assert b"the answer" not in ledger.path.read_bytes()


def test_only_its_owner_can_read_it(ledger: Ledger) -> None:
    before = os.umask(0)
    try:
        ledger.record(reply(), "kernel-1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_it_leaves_no_second_file_that_a_network_disk_could_lose(ledger: Ledger) -> None:
    ledger.record(reply(), "kernel-1")
    assert [file.name for file in ledger.path.parent.iterdir()] == ["ledger.sqlite"]


WRITER = """
import sys
from pathlib import Path
from cborg_magics.ledger import Ledger
from tests.test_ledger import reply
ledger = Ledger(Path(sys.argv[1]))
assert all(ledger.record(reply(), sys.argv[2]) is None for _ in range(25))
"""


def test_many_kernels_may_write_at_once(ledger: Ledger) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(ledger.path.parent), f"kernel-{n}"])
        for n in range(6)
    ]
    assert [writer.wait(120) for writer in writers] == [0] * 6
    assert len(ledger.rows()) == 150
    assert len(ledger.rows("kernel-3")) == 25


def test_what_cannot_be_written_waits_for_the_next_call(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    ledger.path.mkdir()  # as bad as a full disk
    warning = ledger.record(reply(), "kernel-1")
    assert warning is not None
    assert "not in the ledger yet" in warning
    ledger.path.rmdir()
    assert ledger.record(reply(), "kernel-1") is None
    assert len(ledger.rows()) == 2


def test_a_total_says_how_many_calls_have_no_price(ledger: Ledger) -> None:
    ledger.record(reply("0.01"), "k")
    ledger.record(reply("0.02", Source.ESTIMATED), "k")
    ledger.record(reply(None, Source.UNKNOWN), "k")
    ledger.record(reply("0", Source.FREE), "k")
    found = total(ledger.rows())
    assert (found.dollars, found.estimated) == (Decimal("0.03"), Decimal("0.02"))
    assert (found.calls, found.unpriced) == (4, 1)


def test_a_ledger_of_an_older_release_is_brought_up_to_date(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute(MIGRATIONS[0])
        db.execute("PRAGMA user_version = 1")
    assert ledger.record(reply(), "kernel-1") is None
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_ledger_of_a_newer_release_is_still_written(ledger: Ledger) -> None:
    ledger.record(reply(), "kernel-1")
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("ALTER TABLE calls ADD COLUMN colour TEXT")
        db.execute("PRAGMA user_version = 99")
    assert ledger.record(reply(), "kernel-1") is None
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
