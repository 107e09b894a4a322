"""What can a stand-in server answer, and how is it written down?

An answer is a value: a status, headers, and a body or a stream of pieces. `server.py` puts it on
the wire.
"""

from __future__ import annotations

import enum
import itertools
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


class Marker(enum.Enum):
    """What may stand between the pieces of a stream."""

    CUT = "the connection ends in the middle of a piece"
    HANG = "silence, until the client goes away"


CUT, HANG = Marker.CUT, Marker.HANG


class Thought(str):
    """A piece of the reasoning that comes before the answer."""

    __slots__ = ()


# What the tests write: words, thoughts, whole events, raw bytes, seconds of silence, markers.
Piece = str | dict[str, Any] | bytes | float | Marker
# What is left of it on the wire.
Wire = bytes | float | Marker


@dataclass(frozen=True)
class Answer:
    """One answer of a stand-in server."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: tuple[Wire, ...] | None = None  # sent in place of the body
    delay: float = 0.0  # seconds of silence before the status line
    drop: bool = False  # close the connection without a word

    def after(self, seconds: float) -> Answer:
        """Give the same answer, with silence before it."""
        return replace(self, delay=seconds)


DROP = Answer(drop=True)
SILENCE = Answer(delay=math.inf)  # not even a status line, until the client goes away


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Answer with JSON."""
    body = json.dumps(value).encode()
    return Answer(status, {"content-type": "application/json", **(headers or {})}, body)


def refusal(
    status: int,
    kind: str | None,
    message: str,
    headers: Mapping[str, str] | None = None,
    code: str | None = None,
) -> Answer:
    """Answer with an error, in the shape LiteLLM gives it: the code is the status as a string."""
    error = {"message": message, "type": kind, "param": None, "code": code or str(status)}
    return json_answer({"error": error}, status, headers)


def html(status: int, page: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a web page: what stands before a service sometimes does."""
    return Answer(
        status, {"content-type": "text/html; charset=UTF-8", **(headers or {})}, page.encode()
    )


def cloudflare(status: int = 403) -> Answer:
    """Answer with Cloudflare's page: 403 is its block page, 503 its "origin is down" page."""
    title = "Attention Required! | Cloudflare" if status == 403 else "Service Unavailable"
    text = "Sorry, you have been blocked" if status == 403 else "The origin web server is down"
    page = (
        f"<!DOCTYPE html>\n<html lang='en-US'>\n<head><title>{title}</title></head>\n"
        f"<body><h1>{text}</h1><p>Cloudflare Ray ID: <strong>8f00ba5e0000abcd</strong></p>"
        "<script>(function(){window._cf_chl_opt={}})();</script></body>\n</html>\n"
    )
    return html(status, page, {"server": "cloudflare", "cf-ray": "8f00ba5e0000abcd-SJC"})


def redirect(url: str, status: int = 307) -> Answer:
    """Send the client elsewhere."""
    return Answer(status, {"location": url})


def usage(prompt: int, completion: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """Give the counts of tokens as services send them."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def chat_json(
    *pieces: Piece,
    usage: Mapping[str, Any] | None = None,
    model: str = "test-model",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer a chat in one go. Numbers among the pieces are silence before it."""
    if CUT in pieces:
        return DROP
    thoughts = [piece for piece in pieces if isinstance(piece, Thought)]
    words = [p for p in pieces if isinstance(p, str) and not isinstance(p, Thought)]
    message = {"role": "assistant", "content": "".join(words)}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**_head(model, "chat.completion"), "choices": [choice], "usage": usage}
    silence = sum(piece for piece in pieces if isinstance(piece, float | int))
    return json_answer(body, headers=headers).after(silence)


def chat_stream(
    *pieces: Piece,
    usage: Mapping[str, Any] | None = None,
    model: str = "test-model",
    headers: Mapping[str, str] | None = None,
    finish: str | None = "stop",
    done: bool = True,
) -> Answer:
    """Answer a chat piece by piece. A dict is sent as it is, in place of a chunk."""
    head = _head(model, "chat.completion.chunk")
    chunk = _chunker(head)
    events: list[Wire] = [event(chunk({"role": "assistant", "content": ""}))]
    events += [_on_the_wire(piece, chunk) for piece in pieces]
    if finish:
        events.append(event(chunk({}, finish)))
    if usage:
        events.append(event({**head, "choices": [], "usage": usage}))
    if done:
        events.append(b"data: [DONE]\n\n")
    return Answer(
        200, {"content-type": "text/event-stream", **(headers or {})}, stream=tuple(events)
    )


def spaced(pieces: Iterable[Piece], seconds: float) -> list[Piece]:
    """Put silence after every piece."""
    if not seconds:
        return list(pieces)
    return list(itertools.chain.from_iterable((piece, seconds) for piece in pieces))


def event(value: object) -> bytes:
    """Write one server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _on_the_wire(piece: Piece, chunk: Callable[[dict[str, Any]], dict[str, Any]]) -> Wire:
    if isinstance(piece, Thought):
        return event(chunk({"reasoning_content": piece}))
    if isinstance(piece, str):
        return event(chunk({"content": piece}))
    return event(piece) if isinstance(piece, dict) else piece


def _chunker(head: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    return chunk


def _head(model: str, kind: str) -> dict[str, Any]:
    # LiteLLM books the spend under the id: it must be a new one every time.
    number = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": model}
