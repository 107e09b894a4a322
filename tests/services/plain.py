"""What does a plain OpenAI-compatible server answer: vLLM, llama.cpp, Ollama?

Its chat is `upstream`'s. The list of models is vLLM's (documented), llama.cpp's (as its server was
seen to answer) or Ollama's (documented), the refusals are vLLM's.
"""

from __future__ import annotations

from typing import Any

from tests.services.answers import Answer, json_answer, refusal
from tests.services.server import Request
from tests.services.upstream import Upstream

KEY = "plain-test-2f9c81d4ab07e6"
MODEL = "meta-llama/Llama-3.3-70B-Instruct"
WINDOW = 32_768

LISTS: dict[str, list[dict[str, Any]]] = {
    "vllm": [
        {
            "id": MODEL,
            "object": "model",
            "created": 1_760_000_000,
            "owned_by": "vllm",
            "root": MODEL,
            "parent": None,
            "max_model_len": WINDOW,
            "permission": [{"id": "modelperm-1", "object": "model_permission"}],
        }
    ],
    "llama.cpp": [
        {
            "id": MODEL,
            "aliases": [MODEL],
            "tags": [],
            "object": "model",
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "created": 1_760_000_000,
            "owned_by": "llamacpp",
            "meta": {"n_vocab": 49152, "n_ctx": WINDOW, "n_ctx_train": 131_072, "n_embd": 576},
        },
        {"id": "nomic-embed-text-v1.5", "meta": {"n_ctx_train": 2048, "n_embd": 768}},
    ],
    "ollama": [
        {"id": MODEL, "object": "model", "created": 1_760_000_000, "owned_by": "library"},
    ],
}


class Plain(Upstream):
    """A server of one of the three kinds."""

    def __init__(self, kind: str = "vllm") -> None:
        super().__init__(0)
        self.kind = kind

    def __enter__(self) -> Plain:
        self.start()
        return self

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return json_answer({"error": "Unauthorized"}, 401)
        if request.path == "/v1/models":
            return json_answer({"object": "list", "data": LISTS[self.kind]})
        if request.path == "/v1/chat/completions" and request.body["model"] != MODEL:
            words = f"The model `{request.body['model']}` does not exist."
            return refusal(404, "NotFoundError", words)
        return super().answer(request)
