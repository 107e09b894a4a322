"""What does a reader see of texts that are embedded? A line while it lasts, a badge at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cborg_magics.display import tables, wording
from cborg_magics.display.notebook import quiet
from cborg_magics.display.tables import Column

if TYPE_CHECKING:
    from cborg_magics.embeddings.cache import Holding
    from cborg_magics.embeddings.job import Job
    from cborg_magics.embeddings.work import Tally

WHAT = {"document": "text", "query": "question", "picture": "picture"}


def progress(tally: Tally, elapsed: float) -> str:
    """How far, how fast, what it has cost so far, how long it will take."""
    parts = [f"{tally.pieces:,} of {tally.of:,} texts"]
    if tally.waiting:
        return wording.DOT.join([*parts, wording.waiting(tally.waiting)])
    new = tally.pieces - tally.at_hand
    if not new or elapsed <= 0:
        return wording.DOT.join([*parts, f"{wording.seconds(elapsed)} so far"])
    rate = new / elapsed
    parts += [
        f"{rate:,.0f} a second" if rate >= 1 else f"{60 * rate:.0f} a minute",
        f"{wording.cost(tally.cost)}{' so far' if tally.cost.dollars else ''}",
        f"{wording.seconds((tally.of - tally.pieces) / rate)} left",
    ]
    return wording.DOT.join(parts)


def summary(job: Job, tally: Tally, seconds: float) -> str:
    """What the whole job came to; also of one that was stopped."""
    location = wording.place(job.model.location) if job.model else ""
    whole = tally.pieces == tally.of
    parts = [
        job.origin.model,
        _amount(job) if whole else f"{tally.pieces:,} of {tally.of:,} texts",
        *([f"{tally.at_hand:,} from the cache"] if tally.at_hand else []),
        *([f"{job.split:,} split and pooled"] if job.split else []),
        *job.corpus.notes,
        *([f"{wording.count(tally.tokens, 'token')} in"] if tally.tokens else []),
        wording.cost(tally.cost) if tally.calls else "nothing charged",
        wording.seconds(seconds),
        *([location] if tally.calls and location else []),
    ]
    return wording.DOT.join(parts)


def badge(words: str) -> dict[str, Any]:
    """One quiet line."""
    return {"text/html": quiet(words), "text/plain": words}


def plan(job: Job) -> list[str]:
    """What would be sent, and what it would cost: one fact a line."""
    where = wording.place(job.model.location) if job.model else ""
    kept = f" {len(job.kept):,} of them are in the cache." if job.kept else ""
    if not job.wanted:
        return [f"Dry run, nothing was asked: all {_amount(job)} are in the cache. Cost: nothing."]
    about = f", about {wording.count(job.tokens, 'token')} (a guess at four bytes each)"
    cost = wording.cost(job.cost).removeprefix("cost ")
    return [
        f"Dry run, nothing was asked: {wording.DOT.join(filter(None, [job.origin.model, where]))}",
        f"{_amount(job)}.{kept}",
        f"It would send {wording.count(len(job.wanted), 'text')} in"
        f" {wording.count(job.requests, 'request')}{about if job.tokens else ''}.",
        f"Cost: {cost}.",
    ]


def _amount(job: Job) -> str:
    """How many there are, and how many of them differ."""
    rows, pieces = len(job.parts), len(job.pieces)
    alike = f" ({pieces:,} different)" if pieces < rows else ""
    return f"{wording.count(rows, WHAT[job.kind])}{alike}"


HOLDINGS = (
    *(Column("service"), Column("model"), Column("of")),
    *(
        Column("vectors", right=True),
        Column("numbers each", right=True),
        Column("size", right=True),
    ),
)


def holdings(found: Sequence[Holding], path: str) -> dict[str, Any]:
    """What the cache holds."""
    if not found:
        return badge("The cache is empty.")
    rows = [
        [
            each.service,
            each.model,
            f"{WHAT.get(each.kind, each.kind)}s",
            f"{each.count:,}",
            f"{each.size:,}",
            wording.size(each.octets),
        ]
        for each in found
    ]
    title = f"vectors kept in {path}"
    return {
        "text/html": tables.html(HOLDINGS, rows, title),
        "text/plain": tables.plain(HOLDINGS, rows, title),
    }
