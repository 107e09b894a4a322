"""What stands behind the proxy in the place of a language model?

A server that does what the last user message commands:

    !tokens N [DELAY]        N words, w0 w1 ..., each followed by a delay in seconds
    !reason N M [DELAY]      N pieces of reasoning, then M words
    !sleep S                 an answer, after S seconds
    !stall N S               N words, S seconds of silence, one more word
    !cut N                   N words, then the connection breaks
    !event N                 N words, then an error in the stream
    !err STATUS [CODE]       an error; CODE may be context_length_exceeded or the like
    !fail K STATUS [AFTER]   an error the first K times this exact message comes, then an answer;
                             AFTER becomes the header retry-after
    !cached N                an answer whose prompt had N cached tokens
    !echo TEXT               the text as it was received
    !markdown [DELAY]        `MARKDOWN`, in pieces of four characters

Anything else is answered with "You said: ...". A piece is a token. `GET /seen` gives the last
requests, without LiteLLM's questions for the list of models. It runs in a process of its own, so
that it takes no time from the code under test:

    python -m tests.services.upstream PORT
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import sys
import threading
from collections import Counter
from typing import Any

from tests.services.answers import (
    CUT,
    Answer,
    Piece,
    Thought,
    chat_json,
    chat_stream,
    json_answer,
    refusal,
    spaced,
    usage,
)
from tests.services.server import Request, Server

KEPT = 50  # requests
VECTOR = 8  # numbers in an embedding
KINDS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
# LiteLLM recognises these two by their words.
MESSAGES = {
    "context_length_exceeded": "This model's maximum context length is 8192 tokens. "
    "However, your messages resulted in 9000 tokens.",
    "content_policy_violation": "Your request was rejected as a result of our safety system. "
    "content_policy_violation",
}

MARKDOWN = r"""# Detector report

## Summary

The **gain** is *stable*; run `calibrate()` again. It costs $5 to $10, or \$7.50 a day.

| channel | gain | price |
|--------:|:----:|-------|
| 1       | 2.5  | $3    |
| 2       | 3.1  | $4    |

1. First, measure $E = mc^2$.
2. Then integrate:
   - once,
   - twice.

$$
\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}
$$

```python
def gain(x: float) -> float:
    '''Not a formula: $x$.'''
    return 2 * x  # <b>not bold</b>
```

> A quotation with a [link](https://example.org/a_b_c) and <em>HTML</em>.

Done: 100 % — naïve café, 日本語, 🙂.
"""


class Upstream(Server):
    """A model that does as it is told."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._failed: Counter[str] = Counter()

    def answer(self, request: Request) -> Answer:
        if request.path == "/seen":
            return json_answer([_plain(each) for each in self.requests if each.method == "POST"])
        del self.requests[:-KEPT]
        if request.path.endswith("/embeddings"):
            return embeddings(request.body)
        if request.path.endswith("/chat/completions"):
            return self.chat(request.body)
        return refusal(404, "not_found", f"no {request.path} here")

    def chat(self, body: dict[str, Any]) -> Answer:
        """Answer a chat."""
        text = last_text(body["messages"])
        match text.split() if text.startswith("!") else []:
            case ["!err", status, *code]:
                return failure(int(status), *code)
            case ["!fail", times, status, *after] if self._fails(text, int(times)):
                headers = {"retry-after": after[0]} if after and is_number(after[0]) else {}
                return refusal(int(status), "server_error", "try again", headers)
            case ["!sleep", seconds]:
                return speak(body, ["slept"]).after(float(seconds))
            case ["!cached", number]:
                return speak(body, ["cached"], cached=int(number))
        return speak(body, pieces(text, body))

    def _fails(self, text: str, times: int) -> bool:
        self._failed[text] += 1
        return self._failed[text] <= times


def pieces(text: str, body: dict[str, Any]) -> list[Piece]:
    """Say piece by piece what the answer to a text is."""
    match text.split() if text.startswith("!") else []:
        case ["!tokens", number, *delay]:
            return spaced(words(number), seconds(delay))
        case ["!reason", number, then, *delay]:
            thoughts = [Thought(f"t{i} ") for i in range(int(number))]
            return spaced([*thoughts, *words(then)], seconds(delay))
        case ["!stall", number, silence]:
            return [*words(number), float(silence), "end"]
        case ["!cut", number]:
            return [*words(number), 0.05, CUT]  # the silence lets the words pass the proxy first
        case ["!event", number]:
            error = {"message": "CUDA out of memory", "type": "server_error", "code": 500}
            return [*words(number), {"error": error}]
        case ["!echo", *_]:
            return [text.removeprefix("!echo")[1:]]  # the command ends with one blank
        case ["!markdown", *delay]:
            return spaced(re.findall(r"(?s).{1,4}", MARKDOWN), seconds(delay))
    return plain_answer(text, body)


def plain_answer(text: str, body: dict[str, Any]) -> list[Piece]:
    """Answer a message without a command, with what was seen of it."""
    seen = images(body["messages"])
    note = f" [{len(seen)} image(s), {sum(map(len, seen))} characters]" if seen else ""
    thoughts = [Thought("Let me "), Thought("think. ")] if "think" in body["model"] else []
    return [*thoughts, *re.findall(r"\s*\S+|\s+", f"You said: {text}{note}")]


def speak(body: dict[str, Any], answer: list[Piece], cached: int = 0) -> Answer:
    """Send pieces in the way the client wants them."""
    thoughts = sum(isinstance(piece, Thought) for piece in answer)
    tokens = sum(isinstance(piece, str) for piece in answer)
    counts = usage(prompt_tokens(body) + cached, tokens, cached, thoughts)
    if not body.get("stream"):
        return _in_one_go(body["model"], answer, counts)
    wanted = (body.get("stream_options") or {}).get("include_usage")
    broken = isinstance(answer[-1], dict) if answer else False  # after an error nothing comes
    return chat_stream(
        *answer,
        model=body["model"],
        usage=counts if wanted and not broken else None,
        finish=None if broken else "stop",
        done=not broken,
    )


def _in_one_go(model: str, answer: list[Piece], counts: dict[str, Any]) -> Answer:
    errors = [piece["error"] for piece in answer if isinstance(piece, dict)]
    if errors:
        return refusal(500, errors[0]["type"], errors[0]["message"])
    return chat_json(*answer, usage=counts, model=model)


def failure(status: int, code: str | None = None) -> Answer:
    """Answer with an error of OpenAI's shape."""
    message = MESSAGES.get(code or "", f"upstream says {status}")
    headers = {"retry-after": "7"} if status == 429 else {}
    return refusal(status, KINDS.get(status, "server_error"), message, headers, code)


def embeddings(body: dict[str, Any]) -> Answer:
    """Answer a request for embeddings: the same numbers for the same text."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    coded = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": vector(str(text), coded)}
        for index, text in enumerate(inputs)
    ]
    tokens = sum(max(1, len(str(text)) // 4) for text in inputs)
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer({"object": "list", "model": body["model"], "data": data, "usage": counts})


def vector(text: str, coded: bool) -> list[float] | str:
    """Give the embedding of a text: fractions of 256, which are exact in either form."""
    numbers = [byte / 256 for byte in hashlib.sha256(text.encode()).digest()[:VECTOR]]
    packed = struct.pack(f"<{VECTOR}f", *numbers)
    return base64.b64encode(packed).decode() if coded else numbers


def last_text(messages: list[dict[str, Any]]) -> str:
    """Give the question: the last text of the last user message, after what was attached."""
    users = [message for message in messages if message["role"] == "user"]
    content = users[-1]["content"] if users else ""
    if isinstance(content, str):
        command = content.rpartition("\n\n!")[2] if "\n\n!" in content else None
        return f"!{command}" if command else content
    return str([part["text"] for part in content if part["type"] == "text"][-1])


def images(messages: list[dict[str, Any]]) -> list[str]:
    """Give the addresses of all images."""
    parts = [p for m in messages if isinstance(m["content"], list) for p in m["content"]]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def prompt_tokens(body: dict[str, Any]) -> int:
    """Count the tokens of a prompt, roughly: four letters each."""
    return sum(len(json.dumps(message)) for message in body["messages"]) // 4


def words(number: str) -> list[str]:
    """Give so many words."""
    return [f"w{i} " for i in range(int(number))]


def seconds(delay: list[str]) -> float:
    """Read an optional delay."""
    return float(delay[0]) if delay else 0.0


def is_number(text: str) -> bool:
    """Tell whether a word is a number."""
    return text.replace(".", "", 1).isdigit()


def _plain(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "body": request.body,
    }


if __name__ == "__main__":
    Upstream(int(sys.argv[1])).start()
    threading.Event().wait()  # until the guard ends the process
