"""What becomes of a text that is longer than the model's window? Pieces, pooled into one vector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy

from cborg_magics import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

OF_THE_WINDOW = 0.5  # our count of tokens is a guess
UNSAID = 2048  # tokens: the window of a model whose service does not say


def split(text: str, window: int) -> list[str]:
    """A text in pieces that surely fit in `window` tokens, cut between words where it can be.

    >>> split("one two three four", 4)
    ['one two ', 'three ', 'four']
    """
    most = max(1, int(window * OF_THE_WINDOW)) * tokens.BYTES_A_TOKEN
    return list(_pieces(text, most)) if len(text.encode()) > most else [text]


def pooled(
    vectors: NDArray[numpy.float32], parts: Sequence[Sequence[int]], pieces: Sequence[str]
) -> NDArray[numpy.float32]:
    """A row for each text, of the pieces that it is made of: `vectors` (pieces × d) and the
    positions in `parts` give (texts × d).

    Where there are several it is the mean of their directions, each as heavy as its piece is
    long, at length 1.
    """
    if all(len(each) == 1 for each in parts):
        if len(parts) == len(pieces):
            return vectors  # no two are alike, so each stands in its place
        return vectors[[each[0] for each in parts]]
    rows = numpy.empty((len(parts), vectors.shape[1]), numpy.float32)
    for row, numbers in enumerate(parts):
        each = vectors[list(numbers)]
        if len(numbers) == 1:
            rows[row] = each[0]
            continue
        weights = numpy.array([len(pieces[number].encode()) for number in numbers], numpy.float32)
        lengths = numpy.linalg.norm(each, axis=1)
        mean = (weights / numpy.where(lengths == 0, 1, lengths)) @ each
        rows[row] = mean / (numpy.linalg.norm(mean) or 1)
    return rows


def _pieces(text: str, most: int) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for word in re.findall(r"\s*\S+\s*|\s+", text):
        for part in _chopped(word, most):
            length = len(part.encode())
            if piece and size + length > most:
                yield "".join(piece)
                piece, size = [], 0
            piece.append(part)
            size += length
    yield "".join(piece)


def _chopped(word: str, most: int) -> list[str]:
    """A word without end, as in base64 or in Chinese, cut by force."""
    if len(word.encode()) <= most:
        return [word]
    step = max(1, most // 4)  # no character has more than four bytes
    return [word[start : start + step] for start in range(0, len(word), step)]
