"""How fast are 20,000 short texts embedded, beside a loop of one text a call?

The server takes 50 ms for a request, in a process of its own; 5 requests go at once. So 313
batches of 64 texts cannot take less than 63 times 50 ms.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

import openai

from cborg_magics.embeddings import asking
from tests.bench import server
from tests.bench.table import Figure

TEXTS, BATCH, PARALLEL = 20_000, 64, 5
LOOP = 100  # texts of the loop; its time is scaled up
ROUNDS = 3
BOUND = -(-TEXTS // BATCH // PARALLEL) * server.LATENCY
SHARE = 0.9  # of the bound that must be reached


def measure() -> list[Figure]:
    """Both ways, in turn."""
    texts = [f"event {number}: two muons and a photon" for number in range(TEXTS)]
    with server.model() as url, tempfile.TemporaryDirectory() as home:
        os.environ |= {"LITELLM_BASE_URL": url, "LITELLM_API_KEY": "sk-none", "CBORG_HOME": home}
        asking.embed("imports and a connection", "vectors-768")
        rounds = [
            (
                _ours(texts, 768),
                _ours(texts, 3584),
                _ours([f"{text}, {number}" for text in texts], 768, cache=True),
                _loop(texts, url),
            )
            for number in range(ROUNDS)
        ]
    ours, wide, kept, loop = (median(each) for each in zip(*rounds, strict=True))
    return [
        _figure("768 numbers each", ours),
        _figure("3,584 numbers each", wide),
        _figure("768, each kept on disk", kept),
        Figure("a loop of one text a call", loop / ours, "times ours", note=f"{loop:,.0f} s"),
    ]


def _figure(what: str, seconds: float) -> Figure:
    note = f"{seconds:.2f} s; {TEXTS / seconds:,.0f} texts a second; bound {BOUND:.2f} s"
    return Figure(what, seconds / BOUND, "times the bound", 1 / SHARE, note)


def _ours(texts: list[str], size: int, cache: bool = False) -> float:
    return _timed(lambda: asking.embed(texts, f"vectors-{size}", cache=cache))


def _loop(texts: list[str], url: str) -> float:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-none")

    def one_by_one() -> None:
        for text in texts[:LOOP]:
            client.embeddings.create(model="vectors-768", input=[text])

    return _timed(one_by_one) * TEXTS / LOOP


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
