"""Who answers in a benchmark? A server that does no work, in a process of its own.

The last user message says what is answered:

    fast N        the first N tokens of the report, as fast as they can be sent
    report RATE   the whole report, so many tokens a second

A request for embeddings is answered after 50 ms, by vectors as long as the model's name says
(`vectors-768`). `GET /sent` gives the time at which the last token of the last report was sent.

    python -m tests.bench.server PORT
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from tests.bench import report
from tests.services.answers import Answer, Wire, chat_stream, json_answer, usage
from tests.services.processes import free_port, running, scratch, wait_until
from tests.services.proxy import send
from tests.services.server import Request, Server
from tests.services.upstream import last_text

LATENCY = 0.05  # seconds, of a request for embeddings


class Model(Server):
    """A model that knows its answer by heart."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.sent = 0.0

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("/chat/completions"):
            return self.chat(request.body)
        if request.path.endswith("/embeddings"):
            return vectors(request.body)
        return json_answer(self.sent if request.path == "/sent" else {"data": []})

    def chat(self, body: dict[str, Any]) -> Answer:
        """Answer a chat as its last message says."""
        command, number = last_text(body["messages"]).split()
        tokens = report.tokens(int(number) if command == "fast" else None)
        counts = usage(100, len(tokens))
        answer = chat_stream(*tokens, model=body["model"], usage=counts)
        if command == "fast":
            return answer
        paced = self._paced(answer.stream or (), len(tokens), float(number))
        return replace(answer, stream=cast("tuple[Wire, ...]", paced))  # it is only iterated over

    def _paced(self, events: tuple[Wire, ...], last: int, rate: float) -> Iterator[Wire]:
        """The events at their times. The first is no token; those after the last token go with it.

        A late one is not followed by late ones.
        """
        began = time.monotonic()
        for number, event in enumerate(events):
            time.sleep(max(0.0, began + min(number, last) / rate - time.monotonic()))
            if number == last:
                self.sent = time.time()
            yield event


@functools.cache
def numbers(size: int, form: str) -> bytes:
    """One vector as JSON, made once."""
    values = [(number % 97) / 256 for number in range(size)]
    packed = base64.b64encode(struct.pack(f"<{size}f", *values)).decode()
    return json.dumps(packed if form == "base64" else values).encode()


def vectors(body: dict[str, Any]) -> Answer:
    """Answer with a vector for each text, all the same."""
    size, form = int(body["model"].rpartition("-")[2]), body.get("encoding_format", "float")
    return many(len(body["input"]), size, form)


@functools.cache
def many(count: int, size: int, form: str) -> Answer:
    """So many vectors as an answer, made once: the server must not be what takes time."""
    vector = numbers(size, form)
    rows = (
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, vector)
        for index in range(count)
    )
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (count, count)
    whole = b'{"object":"list","model":"m","data":[%b],"usage":%b}' % (b",".join(rows), usage)
    return Answer(headers={"content-type": "application/json"}, body=whole).after(LATENCY)


@contextlib.contextmanager
def model() -> Iterator[str]:
    """The address of the server, without /v1, while the block lasts."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def alive() -> bool:
        try:
            return send(f"{url}/sent", seconds=2.0)[0] == 200
        except OSError:
            return False

    with scratch() as folder:
        log = folder / "server.log"
        command = [sys.executable, "-m", "tests.bench.server", str(port)]
        with running(command, log=log) as process:
            wait_until(alive, process, log, 30)
            yield url


def last_sent(url: str) -> float:
    """When the server sent the last token, in seconds since 1970."""
    return float(send(f"{url}/sent")[2])


if __name__ == "__main__":
    Model(int(sys.argv[1])).start()
    threading.Event().wait()  # until the guard ends the process
