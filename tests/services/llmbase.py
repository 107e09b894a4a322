"""What does LLMBase answer? A stand-in for https://api.llmbase.ai.

Documented (llmbase.ai/docs: quickstart, authentication, OpenAI compatibility, model discovery,
streaming, fallback, prompt caching, rate limits), and done as it is said there:

- POST /v1/chat/completions, GET /v1/models, /v1/models?metadata=true, /v1/model-metadata,
  /v1/balance; no embeddings, no /key/info.
- A Bearer key llmbase_...; one that begins with llmbase_chat_ is refused here. 401 is
  {"error": {"message", "type": "invalid_request_error", "code": "invalid_api_key" or
  "missing_api_key"}}. /v1/models needs no login, but a request without the header may meet
  Cloudflare's challenge: here it always does.
- A stream always ends with usage, on the chunk that has finish_reason and a choice. No answer
  names a cost.
- 400 for what a model does not list; 429 too_many_concurrent_requests above 20 at a time.
- Another model may answer: headers x-llmbase-requested-model, -served-model, -fallback-applied,
  -fallback-reason, -fallback-chain; `X-LLMBase-Fallback: off` forbids it.
- The fields input_modalities, supported_features, supported_parameters, context_length,
  max_output_length, input_cache_read; the names and prices of the models below.

Guessed, because the documentation shows no such answer:

- Where these fields stand, and the unit of prices: `form` chooses. "openrouter" is the form in
  which providers describe themselves to OpenRouter (strings, per token, in `pricing`), "table"
  the one of the documentation's table (numbers, per million), "nested" puts all below `metadata`.
- Which features each model has. The answer of /v1/balance. 402 insufficient_credits once it is
  0. 404 model_not_found for an unknown model, as at OpenAI.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

from tests.services.answers import (
    Answer,
    Piece,
    chat_json,
    chat_stream,
    cloudflare,
    json_answer,
    refusal,
    usage,
)
from tests.services.server import Request, Server
from tests.services.upstream import failure, last_text, pieces, prompt_tokens

KEY = "llmbase_test_2f9c81d4ab07e6"
MOST_AT_ONCE = 20
AWAY = "openai/gpt-oss-120b"  # the model that another one has to stand in for
ALL = ("tools", "json_mode", "structured_outputs", "reasoning", "logprobs")
USUAL = ("max_tokens", "temperature", "top_p", "stop", "seed")

# name, US dollars per million tokens in, out, read from the cache; window, features, senses
MODELS: tuple[tuple[str, str, str, str | None, int, tuple[str, ...], tuple[str, ...]], ...] = (
    ("deepseek/deepseek-v4-flash", "0.20", "0.30", "0.02", 1_048_576, ALL, ("text",)),
    (AWAY, "0.09", "0.36", None, 131_072, ("tools", "json_mode"), ("text",)),
    ("moonshotai/kimi-k2.6", "0.90", "4.00", "0.15", 262_144, ALL, ("text", "image")),
    ("paddlepaddle/paddleocr-vl-0.9b", "0.20", "1.00", None, 32_768, (), ("text", "image", "file")),
)


class LLMBase(Server):
    """The service, with so many US dollars on its account."""

    def __init__(self, form: str = "openrouter", balance: object = "12.50") -> None:
        super().__init__()
        self.form = form
        self.balance = balance
        self.balance_answer: object = None  # in the place of the usual one
        self.without: tuple[str, ...] = ()  # routes that are not there
        self._at_once = threading.BoundedSemaphore(MOST_AT_ONCE)

    def __enter__(self) -> LLMBase:
        self.start()
        return self

    def answer(self, request: Request) -> Answer:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path in self.without:
            return refusal(404, "invalid_request_error", "no such route", code="not_found")
        if request.path == "/v1/models":
            return json_answer({"object": "list", "data": names()}) if bearer else cloudflare()
        if not bearer.startswith("llmbase_") or bearer != KEY:
            code = "invalid_api_key" if bearer else "missing_api_key"
            return refusal(401, "invalid_request_error", "Check your API key.", code=code)
        if request.path in ("/v1/model-metadata", "/v1/models?metadata=true"):
            data = [described(model, self.form) for model in MODELS]
            return json_answer({"object": "list", "data": data})
        if request.path == "/v1/balance":
            balance = {"object": "balance", "balance": self.balance, "currency": "USD"}
            return json_answer(self.balance_answer or balance)
        if request.path == "/v1/chat/completions":
            return self._chat(request)
        return refusal(404, "invalid_request_error", "no such route", code="not_found")

    def _chat(self, request: Request) -> Answer:
        if not self._at_once.acquire(blocking=False):
            return refusal(
                429, "rate_limit_error", "slow down", code="too_many_concurrent_requests"
            )
        try:
            return self._answered(request)
        finally:
            self._at_once.release()

    def _answered(self, request: Request) -> Answer:
        body = request.body
        found = next((model for model in MODELS if model[0] == body["model"]), None)
        if found is None:
            words = f"The model {body['model']} does not exist."
            return refusal(404, "invalid_request_error", words, code="model_not_found")
        if lacking := unsupported(body, found):
            words = f"{found[0]} does not support {lacking}"
            return refusal(400, "invalid_request_error", words, code="unsupported_capability")
        if Decimal(str(self.balance)) <= 0:
            return refusal(402, "billing_error", "No credits", code="insufficient_credits")
        strict = request.headers.get("x-llmbase-fallback") == "off"
        if found[0] == AWAY and strict:
            return refusal(503, "server_error", "temporarily unavailable", code="model_unavailable")
        served = MODELS[0] if found[0] == AWAY else found
        return spoken(body, headers(found[0], served[0]), served[0])


def headers(asked: str, served: str) -> dict[str, str]:
    """Say which model answered."""
    said = {
        "x-llmbase-requested-model": asked,
        "x-llmbase-served-model": served,
        "x-llmbase-fallback-applied": "true" if asked != served else "false",
    }
    if asked != served:
        said["x-llmbase-fallback-reason"] = "model_unavailable"
        said["x-llmbase-fallback-chain"] = f"{asked},{served}"
    return said


def spoken(body: dict[str, Any], said: dict[str, str], model: str) -> Answer:
    """Answer what the last message commands, as `upstream` does."""
    text = last_text(body["messages"])
    match text.split() if text.startswith("!") else []:
        case ["!err", status, *code]:
            return failure(int(status), *code)
        case ["!cached", number]:
            answer, cached = ["cached"], int(number)
        case _:
            answer, cached = pieces(text, body), 0
    counts = usage(
        prompt_tokens(body) + cached, sum(isinstance(each, str) for each in answer), cached
    )
    if not body.get("stream"):
        return chat_json(*answer, usage=counts, model=model, headers=said)
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    kind = "chat.completion.chunk"
    last: Piece = {"id": "c", "object": kind, "choices": [choice], "usage": counts, "model": model}
    return chat_stream(*answer, last, model=model, headers=said, finish=None)


def unsupported(body: dict[str, Any], model: tuple[Any, ...]) -> str:
    """Name what of the request the model does not list."""
    features, senses = model[5], model[6]
    parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
    if any(part["type"] == "image_url" for part in parts) and "image" not in senses:
        return "image input"
    form = (body.get("response_format") or {}).get("type")
    if form == "json_schema" and "structured_outputs" not in features:
        return "structured_outputs"
    if form == "json_object" and not {"json_mode", "structured_outputs"} & set(features):
        return "json_mode"
    if body.get("reasoning_effort") and "reasoning" not in features:
        return "reasoning_effort"
    return ""


def names() -> list[dict[str, Any]]:
    """Give the list in OpenAI's form, with names only."""
    return [
        {"id": model[0], "object": "model", "created": 1_760_000_000, "owned_by": "llmbase"}
        for model in MODELS
    ]


def described(model: tuple[Any, ...], form: str) -> dict[str, Any]:
    """Give all that is told of a model."""
    name, prompt, completion, cached, window, features, senses = model
    prices = {"prompt": prompt, "completion": completion, "input_cache_read": cached}
    known = {key: Decimal(value) for key, value in prices.items() if value}
    metadata: dict[str, Any] = {
        "input_modalities": list(senses),
        "output_modalities": ["text"],
        "supported_features": list(features),
        "supported_parameters": [*USUAL, *["reasoning_effort"] * ("reasoning" in features)],
        "context_length": window,
        "max_output_length": min(window, 65_536),
    }
    if form == "openrouter":
        pricing: Any = {key: f"{value / 1_000_000:f}" for key, value in known.items()}
        return {"id": name, "object": "model", **metadata, "pricing": pricing}
    pricing = {key: float(value) for key, value in known.items()}
    if form == "nested":
        return {"id": name, "object": "model", "metadata": {**metadata, "pricing": pricing}}
    renamed = {"prompt": "input", "completion": "output"}
    flat = {renamed.get(key, key): value for key, value in pricing.items()}
    return {"id": name, "object": "model", **metadata, "pricing": flat}
