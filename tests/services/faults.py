"""How do the tests show what a real proxy cannot be made to show?

With a server that follows a script:

    faults.script("/chat/completions", refusal(429, "throttling_error", "slow down"),
                  chat_stream("It ", 0.5, "works", CUT))
    faults.script("/model/info", cloudflare(403))

The answers of a path are given one after the other; when they are used up, or none were given,
the server answers kindly. `/v1/x` and `/x` are the same path.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque

from tests.services.answers import Answer, chat_json, chat_stream, json_answer, usage
from tests.services.processes import free_port
from tests.services.server import Request, Server


class FaultServer(Server):
    """A server that answers what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> FaultServer:
        self.start()
        return self

    def script(self, path: str, *answers: Answer) -> None:
        """Append to the answers of a path."""
        self._scripts[_key(path)].extend(answers)

    def always(self, path: str, answer: Answer) -> None:
        """Set what a path answers when its script is used up."""
        self._always[_key(path)] = answer

    def requests_to(self, path: str) -> list[Request]:
        """Give the requests that a path has received."""
        return [request for request in self.requests if _key(request.path) == _key(path)]

    def wait_for(self, path: str, count: int = 1, seconds: float = 10.0) -> list[Request]:
        """Wait until a path has received so many requests."""
        deadline = time.monotonic() + seconds
        while len(found := self.requests_to(path)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} was asked {len(found)} times, not {count}")
            time.sleep(0.01)
        return found

    def answer(self, request: Request) -> Answer:
        key = _key(request.path)
        with self._lock:
            if self._scripts[key]:
                return self._scripts[key].popleft()
        return self._always.get(key) or _kind(key, request)


def nobody() -> str:
    """Give an address where nobody listens: connections are refused."""
    return f"http://127.0.0.1:{free_port()}"


def _key(path: str) -> str:
    return path.partition("?")[0].removeprefix("/v1")


def _kind(key: str, request: Request) -> Answer:
    if key == "/chat/completions":
        chat = chat_stream if (request.body or {}).get("stream") else chat_json
        return chat("ok", usage=usage(1, 1), model=request.body["model"])
    if key == "/embeddings":
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
        counts = {"prompt_tokens": 1, "total_tokens": 1}
        return json_answer({"object": "list", "model": "m", "data": data, "usage": counts})
    if key in ("/model/info", "/models"):
        return json_answer({"data": []})
    return json_answer({})
