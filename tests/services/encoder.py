"""Who makes vectors when a test must see every request? A server that counts what it is asked.

Like the LiteLLM proxy before one embedding model: `/model/info` tells its price and window, a
text's vector depends on the text alone, and each is remembered with how often it was asked for.
What a real server does rarely, this one does on wish.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.services.answers import Answer, json_answer, refusal
from tests.services.server import Request, Server

MODEL = "nomic-embed-text"
PRICE = 2e-08  # US dollars a token; a token is a word here
WINDOW = 50  # tokens


class Encoder(Server):
    """The service. `latency` is in seconds; `packs` whether it knows base64: it may also ignore
    the wish ("ignores"), or answer with nothing ("empty")."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.size = 8
        self.latency = 0.0
        self.packs: bool | str = True
        self.most_texts = 0  # that it takes at once; 0: any number
        self.most_words = 0  # in one text
        self.tells_window = True
        self.answered: Counter[str] = Counter()  # the texts, each as often as it was answered
        self.bare: list[str] = []  # what came as a string and not as a list
        self.models = [MODEL]
        self.scripted: list[Answer] = []  # given first
        self.odd: Callable[[str], list[float] | None] = lambda text: None  # another vector
        self.at_once = self.most_at_once = 0
        self._gate = threading.Condition()
        self._left: int | None = None  # requests that are still answered before all are held

    def __enter__(self) -> Encoder:
        self.start()
        return self

    def hold_after(self, requests: int) -> None:
        """Answer so many requests, and keep all others waiting until `release`."""
        with self._gate:
            self._left = requests

    def release(self) -> None:
        with self._gate:
            self._left = None
            self._gate.notify_all()

    def stop(self) -> None:
        self.release()
        super().stop()

    def texts(self) -> list[list[str]]:
        """What was asked for, a list for each request."""
        asked = (each.body["input"] for each in self.requests if _embeds(each))
        return [[each] if isinstance(each, str) else each for each in asked]

    def answer(self, request: Request) -> Answer:
        if request.path.startswith(("/model/info", "/v1/model/info")):
            return json_answer({"data": [self._row(model) for model in self.models]})
        if not _embeds(request):
            return json_answer({"data": []})
        with self._counted():
            return self._vectors(request.body).after(self.latency)

    def _row(self, model: str) -> dict[str, Any]:
        info = {"mode": "embedding", "input_cost_per_token": PRICE, "output_vector_size": self.size}
        window = {"max_input_tokens": WINDOW} if self.tells_window else {}
        return {"model_name": model, "litellm_params": {}, "model_info": info | window}

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """How many requests are under way; and the turn of this one."""
        with self._gate:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                self._gate.wait_for(lambda: self._left is None or self._left > 0)
                if self._left is not None:
                    self._left -= 1
                self._gate.wait(self.latency)  # others come in meanwhile
                yield
            finally:
                self.at_once -= 1

    def _vectors(self, body: dict[str, Any]) -> Answer:
        if self.scripted:
            return self.scripted.pop(0)
        form, asked = body.get("encoding_format"), body["input"]
        texts = [asked] if isinstance(asked, str) else asked
        if isinstance(asked, str):
            self.bare.append(asked)
        if form == "base64" and self.packs is False:
            return refusal(400, "BadRequestError", "base64 encoding is not currently supported")
        if self.most_texts and len(texts) > self.most_texts:
            return refusal(422, "validation_error", f"at most {self.most_texts} inputs")
        if self.most_words and any(len(text.split()) > self.most_words for text in texts):
            return refusal(400, "invalid_request_error", "too long", code="context_length_exceeded")
        self.answered.update(texts)
        packed = form == "base64" and self.packs is True
        rows = [
            {"object": "embedding", "index": index, "embedding": self._vector(text, packed)}
            for index, text in enumerate(texts)
        ]
        words = sum(len(text.split()) for text in texts)
        whole = {
            "object": "list",
            "model": body["model"],
            "data": [] if form == "base64" and self.packs == "empty" else rows,
            "usage": {"prompt_tokens": words, "total_tokens": words},
        }
        return json_answer(whole, headers={"x-litellm-response-cost": f"{words * PRICE:.12f}"})

    def _vector(self, text: str, packed: bool) -> list[float] | str:
        numbers = self.odd(text) or vector(text, self.size)
        if not packed:
            return numbers
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def vector(text: str, size: int = 8) -> list[float]:
    """The vector of a text: fractions of 256, which are exact in either form."""
    octets = hashlib.shake_256(text.encode()).digest(size)
    return [octet / 256 + 1 / 512 for octet in octets]


def _embeds(request: Request) -> bool:
    return request.path.endswith("/embeddings")
