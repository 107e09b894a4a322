"""What is to be embedded, what is at hand already, and what will the rest cost?"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cborg_magics import policy, pricing, tokens
from cborg_magics.catalogue import Model
from cborg_magics.embeddings import batches, models, pieces
from cborg_magics.embeddings.cache import VectorCache, digest
from cborg_magics.embeddings.corpus import Corpus
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import BadTexts
from cborg_magics.exchange import Cost, Picture, Usage
from cborg_magics.session import Session

NAMED = 5  # rows that an error names


@dataclass(frozen=True)
class Job:
    """What is to be done. `pieces` are the distinct texts, or what long ones were split into;
    `parts` says for each row of the corpus which pieces it is made of.

    `kept` are the vectors at hand, by the position of their piece; `wanted` are the others'
    positions, whose `tokens` and `cost` are estimated.
    """

    corpus: Corpus
    origin: Origin
    kind: str  # document, query, picture
    model: Model | None
    pieces: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]
    kept: dict[int, bytes]
    wanted: tuple[int, ...]
    tokens: int
    cost: Cost
    cache: VectorCache | None

    @property
    def most(self) -> int:
        """How many pieces may go along in one request: a query is sent by itself."""
        return 1 if self.kind == "query" else batches.MOST_TEXTS

    @property
    def requests(self) -> int:
        """How many it will take."""
        return batches.requests(self.pieces, self.wanted, self.most)

    @property
    def split(self) -> int:
        """How many rows are made of several pieces."""
        return sum(len(each) > 1 for each in self.parts)

    def rows(self, found: Iterable[int]) -> str:
        """The rows that hold these pieces, for people."""
        bad = set(found)
        return numbered([row for row, parts in enumerate(self.parts) if bad.intersection(parts)])


def make(
    session: Session,
    corpus: Corpus,
    model: str | None = None,
    *,
    query: bool = False,
    split: bool = False,
    cache: bool = True,
) -> Job:
    """The job for `corpus`; nothing is sent. Raises `BadTexts`, `BadSetting`, `NotAllowed`."""
    name, known = models.choose(session, model, pictures=bool(corpus.pictures))
    provider = session.service.provider
    policy.check(name, provider.location(known), session.settings)
    texts: Sequence[str] = [_address(each) for each in corpus.pictures] or corpus.texts
    if keyed := _with_keys(texts, session.settings.keys):
        raise BadTexts(f"{numbered(keyed)}: a key of yours is in it", "Take it out, and go on.")
    window = known.max_input_tokens if known and not corpus.pictures else None
    if window and not split:
        _fit(texts, window, name)
    where: dict[str, int] = {}
    parts = []
    for text in texts:
        mine = pieces.split(text, window or pieces.UNSAID) if split else [text]
        parts.append(tuple(where.setdefault(piece, len(where)) for piece in mine))
    distinct = tuple(where)
    origin = Origin(session.service.name, name)
    kind = "picture" if corpus.pictures else "query" if query else "document"
    stored = VectorCache.of(session.settings) if cache else None
    kept = _kept(session, stored, origin, kind, distinct)
    wanted = tuple(number for number in range(len(distinct)) if number not in kept)
    count = 0 if corpus.pictures else sum(tokens.of_text(distinct[number]) for number in wanted)
    cost = pricing.price_of(Usage(count, 0), None, known.prices if known else None)
    if corpus.pictures and cost != pricing.FREE:
        cost = pricing.UNKNOWN  # nobody tells how many tokens a picture has here
    return Job(
        corpus,
        origin,
        kind,
        known,
        distinct,
        tuple(parts),
        kept,
        wanted,
        count,
        cost if wanted else pricing.FREE,
        stored,
    )


def numbered(rows: Sequence[int]) -> str:
    """Rows for people, counted from 0.

    >>> numbered([3]), numbered([3, 17, 20]), numbered(range(9))
    ('row 3', 'rows 3, 17 and 20', 'rows 0, 1, 2, 3, 4 and 4 more')
    """
    names = [str(row) for row in rows[:NAMED]]
    if len(rows) > NAMED:
        names.append(f"{len(rows) - NAMED:,} more")
    if len(names) == 1:
        return f"row {names[0]}"
    return f"rows {', '.join(names[:-1])} and {names[-1]}"


def _fit(texts: Sequence[str], window: int, model: str) -> None:
    long = [row for row, text in enumerate(texts) if tokens.of_text(text) > window]
    if long:
        raise BadTexts(
            f"{numbered(long)}: longer than the {window:,} tokens that {model} takes, at"
            f" {tokens.BYTES_A_TOKEN} bytes each",
            "Cut the text, or say --split: its pieces are embedded, and pooled.",
        )


def _with_keys(texts: Sequence[str], keys: Sequence[str]) -> list[int]:
    return [row for row, text in enumerate(texts) if any(key in text for key in keys)]


def _kept(
    session: Session, cache: VectorCache | None, origin: Origin, kind: str, texts: Sequence[str]
) -> dict[int, bytes]:
    """What is at hand, by position."""
    if cache is None:
        return {}
    digests = [digest(text) for text in texts]
    try:
        found = cache.find(origin, kind, digests)
    except OSError as problem:
        session.warnings.append(f"Vectors that were kept cannot be read: {problem}.")
        return {}
    return {number: found[each] for number, each in enumerate(digests) if each in found}


def _address(picture: Picture) -> str:
    if picture.url:
        return picture.url
    return f"data:{picture.type};base64,{base64.b64encode(picture.data).decode()}"
