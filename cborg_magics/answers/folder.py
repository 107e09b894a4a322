"""Where are answers kept? In a folder, one small JSON file each, to be read and committed.

A file's name is the digest of the question; the question itself is not written down, and no key
is. What cannot be read is as if it were not there.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING

from cborg_magics import pricing
from cborg_magics.exchange import Cost, FromCache, Location, Outcome, Passage, Reply, Usage
from cborg_magics.settings import Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_OURS = re.compile(r"[0-9a-f]{40}\.json")
VERSION = 1  # of the form; raised when a field changes its meaning


@dataclass(frozen=True)
class Sent:
    """How much of a passage went along: its first `characters`, as its `note` says."""

    characters: int
    note: str


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it was given, `at` a moment in UTC, for `cost`. `provider` and `address` say
    by whom; the other fields are as in `Reply`."""

    version: int
    at: datetime
    provider: str
    address: str
    host: str
    location: Location
    model: str
    served: str | None
    text: str
    reasoning: str
    finish_reason: str | None
    usage: Usage | None
    cost: Cost
    passages: tuple[Sent, ...] = ()

    def reply(self) -> Reply:
        """The answer as one that is given now, for nothing."""
        now = datetime.now(timezone.utc)
        return Reply(
            text=self.text,
            reasoning=self.reasoning,
            provider=self.provider,
            host=self.host,
            model=self.model,
            served=self.served,
            location=self.location,
            outcome=Outcome.COMPLETED,
            finish_reason=self.finish_reason,
            usage=self.usage,
            cost=pricing.FREE,
            started=now,
            first_text=None,
            seconds=0.0,
            call_id=None,
            from_cache=FromCache(self.at, self.cost),
        )

    def cut(self, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """The passages as far as they went along."""
        return tuple(
            replace(each, text=each.text[: sent.characters], note=sent.note)
            for each, sent in zip(passages, self.passages, strict=False)
        )


@dataclass(frozen=True)
class Holding:
    """What is kept of one model: how many answers, what they cost (but for `unknown` of them,
    whose cost nobody knows), and their bytes."""

    host: str
    model: str
    count: int
    cost: Cost
    unknown: int
    octets: int


@cache
def _form() -> TypeAdapter[KeptAnswer]:
    from pydantic import TypeAdapter  # where answers are kept, and nowhere else

    return TypeAdapter(KeptAnswer)


class AnswerFolder:
    """The answers in the folder `path`, made when the first one is kept; `private`: readable by
    its owner only."""

    def __init__(self, path: Path, *, private: bool) -> None:
        self.path, self.private = path, private

    @classmethod
    def of(cls, settings: Settings) -> AnswerFolder:
        """The folder that the settings name, or the person's own."""
        path = settings.cache or settings.answers
        return cls(path, private=path == settings.answers)

    def find(self, digest: str) -> KeptAnswer | None:
        """The answer that is kept under `digest`."""
        return self._read(self._file(digest))

    def keep(self, digest: str, kept: KeptAnswer) -> None:
        """Write an answer down, in the place of an earlier one. Raises `OSError`, and
        `ValueError` for what is no text."""
        content = _form().dump_json(kept, indent=1) + b"\n"
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700 if self.private else 0o777)
        mode = 0o600 if self.private else 0o666
        new = self.path / f"{uuid.uuid4().hex}.new"  # others see the old file or the new one
        try:
            with open(new, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(content)
            new.replace(self._file(digest))
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def __iter__(self) -> Iterator[KeptAnswer]:
        """All that is kept. Raises `OSError`."""
        return (kept for _, kept in self._all())

    def holdings(self) -> list[Holding]:
        """What is kept, by service and model. Raises `OSError`."""
        found: dict[tuple[str, str], list[tuple[Path, KeptAnswer]]] = {}
        for path, kept in self._all():
            found.setdefault((kept.host, kept.model), []).append((path, kept))
        return [_holding(*whose, found[whose]) for whose in sorted(found)]

    def clear(self, model: str | None = None) -> int:
        """Drop all answers, or those of one model; how many there were. Raises `OSError`."""
        gone = [path for path, kept in self._all() if model in (None, kept.model)]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _all(self) -> Iterator[tuple[Path, KeptAnswer]]:
        if not self.path.exists():
            return
        for path in sorted(self.path.iterdir()):
            if _OURS.fullmatch(path.name) and (kept := self._read(path)):
                yield path, kept

    def _read(self, path: Path) -> KeptAnswer | None:
        try:
            kept = _form().validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError):
            return None
        return kept if kept.version == VERSION else None

    def _file(self, digest: str) -> Path:
        return self.path / f"{digest[:40]}.json"


def _holding(host: str, model: str, found: list[tuple[Path, KeptAnswer]]) -> Holding:
    known = [kept.cost for _, kept in found if kept.cost.dollars is not None]
    return Holding(
        host,
        model,
        len(found),
        reduce(pricing.add, known, pricing.FREE),
        len(found) - len(known),
        sum(path.stat().st_size for path, _ in found),
    )
