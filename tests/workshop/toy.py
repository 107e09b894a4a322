"""What stands behind the proxy when notebooks are run there? The embedded model, over HTTP.

    with ToyProxy() as proxy: ...

It is the real LiteLLM proxy of the tests; whatever model is asked, the same toy answers, so that
answers have tokens to be billed, and the form that was asked for. Pictures are left out.

    python -m tests.workshop.toy PORT
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

from cborg_magics.providers import local, local_encoder
from tests.services.answers import Answer, chat_json, chat_stream, json_answer, refusal
from tests.services.proxy import Proxy
from tests.services.server import Request, Server

MODEL = "openai/gpt-4.1"  # of the proxy's list: priced, sees, and can be held to a schema
KEPT = ("response_format", "temperature")
LONGEST = 256  # tokens, as in a notebook without a key


class ToyProxy(Proxy):
    """The real LiteLLM proxy before the embedded model."""

    def _upstream_command(self) -> list[str | Path]:
        port = self._upstream.rpartition(":")[2]
        return [sys.executable, "-m", "tests.workshop.toy", port]


def environment(proxy: Proxy, key: str | None = None) -> dict[str, str]:
    """What a student of a class with a LiteLLM proxy would set, with the teacher's caps."""
    return {
        "LITELLM_BASE_URL": proxy.url,
        "LITELLM_API_KEY": key or proxy.master_key,
        "CBORG_MODEL": MODEL,
        "CBORG_BUDGET": "0.25",
        "CBORG_BUDGET_DAY": "0.50",
        "CBORG_ALLOWED_MODELS": f"{MODEL},nomic-embed-text",
    }


class Toy(Server):
    """The embedded models, asked by HTTP."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._turn = threading.Lock()

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("/embeddings"):
            return _vectors(request.body)
        if request.path.endswith("/chat/completions"):
            with self._turn:
                return _answer(request.body)
        return refusal(404, "not_found", f"no {request.path} here")


def _answer(body: dict[str, Any]) -> Answer:
    wishes = {name: body[name] for name in KEPT if name in body}
    messages = [{**each, "content": _text(each["content"])} for each in body["messages"]]
    if messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": local.LOCAL.system})
    said = _ask(
        {
            "model": local.NAME,
            "temperature": local.LOCAL.temperature,
            # Under a cap a long answer is asked for, which a toy that loops would fill.
            "max_tokens": min(body.get("max_tokens") or LONGEST, LONGEST),
            **wishes,
            "messages": messages,
        }
    )
    text, usage = said["choices"][0]["message"]["content"], said["usage"]
    if body.get("stream"):
        return chat_stream(text, usage=usage, model=body["model"])
    return chat_json(text, usage=usage, model=body["model"])


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] == "text")


def _ask(body: dict[str, Any]) -> Any:
    service = local.start(local.LOCAL)
    assert service.key
    assert service.socket
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(service.socket))
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {service.key.reveal()}",
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, said
    return said


def _vectors(body: dict[str, Any]) -> Answer:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": number, "embedding": _vector(vector, packed)}
        for number, vector in enumerate(local_encoder.encode(texts))
    ]
    tokens = sum(local_encoder.count(texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer({"object": "list", "model": body["model"], "data": data, "usage": usage})


def _vector(vector: bytes, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


if __name__ == "__main__":
    Toy(int(sys.argv[1])).start()
    threading.Event().wait()  # until the guard ends the process
