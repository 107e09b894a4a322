"""What of a collection goes along with a question? The passages nearest to it, numbered."""

from __future__ import annotations

from cborg_magics import tokens
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.hits import Hits, named
from cborg_magics.errors import BadOption, without_keys
from cborg_magics.exchange import Passage

# The names of passages stand outside their fences, and are Markdown where a thread is exported:
# a label must not open a fence, be a tag or a link, or pass for another passage's number.
_HARMLESS = str.maketrans("`<>[]", "'‹›()")
_MEASURED = 1000  # texts, to tell how long one is


def find(embeddings: Embeddings, name: str, question: str, k: int) -> tuple[Passage, ...]:
    """The k passages nearest to the question, best first: one call for the question's vector.

    Raises `BadOption` where what is called `name` cannot be searched, and any `CborgError`.
    """
    try:
        hits = embeddings.search(question, k)
    except ValueError as problem:
        raise BadOption(f"{name} cannot be searched: {problem}.") from None
    if not hits:
        raise BadOption(f"{name} is empty: there is nothing to answer from.")
    return of(hits)


def of(hits: Hits) -> tuple[Passage, ...]:
    """Each hit as a passage that is cited by its number, from 1: `[1] genesis.txt`."""
    return tuple(
        Passage(
            f"[{number}] {_name(hit.label, hit.row)}",
            without_keys(hit.text),
            score=hit.score,
            label=hit.label,
            row=hit.row,
        )
        for number, hit in enumerate(hits, start=1)
    )


def expected(embeddings: Embeddings, k: int) -> tuple[int, int]:
    """How many passages a question would take along, and about how many tokens they have."""
    count, sample = min(k, len(embeddings)), embeddings.texts[:_MEASURED]
    return count, -(-count * sum(map(tokens.of_text, sample)) // max(len(sample), 1))


def _name(label: object, row: int) -> str:
    # Where nobody gave labels, they are the rows' numbers.
    words = f"row {row}" if isinstance(label, int) and label == row else named(label)
    return without_keys(words).translate(_HARMLESS)
