"""How does one call turn texts into vectors? Texts go in, packed numbers come out.

Numbers as JSON cost five times their size and most of the client's time, so they are asked for
in base64. Some servers refuse that, some answer with plain numbers all the same, and some with
nothing: each is asked for plain numbers from then on.

A picture goes as a data address among the inputs, which is what LiteLLM takes for the models
that it knows to see; no service was found that documents it for nomic-embed-vision. Unproved.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cborg_magics import errors
from cborg_magics.exchange import Usage

if TYPE_CHECKING:
    from cborg_magics.providers.client import Client

NUMBER = 4  # bytes: a float32
# How servers refuse base64. 500: what LiteLLM makes of an answer that it cannot read.
UNWILLING = (400, 415, 422, 500, 501)


@dataclass(frozen=True)
class Embedded:
    """`vectors`: one for each input, in order, as little-endian float32 packed; `billed` in US
    dollars, None: not said."""

    vectors: tuple[bytes, ...]
    usage: Usage | None
    billed: Decimal | None = None
    served: str | None = None
    call_id: str | None = None

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return len(self.vectors[0]) // NUMBER if self.vectors else 0


Gate = AbstractContextManager[object]


def embed(
    client: Client, model: str, texts: str | Sequence[str], timeout: float, gate: Gate
) -> Embedded:
    """The vectors of `texts`; `timeout` in seconds. Raises the errors of `errors.py`.

    A bare string is sent as such: CBorg takes it for a query, and a list for documents. `gate`
    is held while the request is under way, and no longer: the next one goes while this is read.
    """
    if encode := client.service.provider.encode:
        return Embedded(tuple(encode([texts] if isinstance(texts, str) else texts)), None)
    packs = client.packs.get(model)
    if packs is False:
        return _ask(client, model, texts, timeout, "float", gate)
    try:
        found = _ask(client, model, texts, timeout, "base64", gate)
    except (errors.Refused, errors.NotTheApi) as problem:
        if packs or not _unwilling(problem):
            raise
        found = _ask(client, model, texts, timeout, "float", gate)
        client.packs[model] = False
        return found
    client.packs[model] = True
    return found


def _unwilling(problem: errors.Refused | errors.NotTheApi) -> bool:
    """May it be base64 that was refused? What is refused by its name is not."""
    if isinstance(problem, errors.NotTheApi):
        return True
    return type(problem) in (errors.Refused, errors.Unavailable) and problem.status in UNWILLING


def _ask(
    client: Client, model: str, texts: str | Sequence[str], timeout: float, form: str, gate: Gate
) -> Embedded:
    provider = client.service.provider
    count = 1 if isinstance(texts, str) else len(texts)
    client.log(">", f"{model}: {count} inputs to embed, as {form}")
    with client.translated(model):
        sent = {
            "model": model,
            "input": texts if isinstance(texts, str) else list(texts),
            "encoding_format": form,
        }
        with gate:
            answer = client.post("/embeddings", sent, timeout)
        body = _body().model_validate_json(answer.content)
        rows = sorted(body.data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(count)):
            raise ValueError(f"{len(rows)} vectors came for {count} texts")
        return Embedded(
            vectors=tuple(_packed(row.embedding) for row in rows),
            usage=_usage(body.usage),
            billed=provider.billed(answer.headers),
            served=provider.served(answer.headers),
            call_id=provider.call_id(answer.headers),
        )


@functools.cache
def _body() -> Any:
    """What comes back, for pydantic: it reads base64 as bytes, ten times as fast as the SDK reads
    it into lists. Made at the first call."""
    from pydantic import BaseModel, ConfigDict

    class Row(BaseModel):
        model_config = ConfigDict(val_json_bytes="base64")
        index: int
        embedding: bytes | list[float]

    class Body(BaseModel):
        data: list[Row]
        usage: Any = None

    # Names in a function's own classes are found only here.
    Body.model_rebuild(_types_namespace={"Row": Row, "Any": Any})
    return Body


def _packed(vector: bytes | Sequence[float]) -> bytes:
    """A vector in whichever form it came.

    >>> _packed([1.0, 0.5]).hex()
    '0000803f0000003f'
    """
    packed = vector if isinstance(vector, bytes) else struct.pack(f"<{len(vector)}f", *vector)
    if not packed or len(packed) % NUMBER:
        raise ValueError(f"a vector of {len(packed)} bytes")
    return packed


def _usage(usage: Any) -> Usage | None:
    """Old servers send no usage with vectors."""
    prompt = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return None if prompt is None else Usage(int(prompt), 0)
