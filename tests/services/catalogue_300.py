"""What does a long /model/info look like? 300 rows, made the same way every time.

As CBorg's list of 2026 was seen or described: several deployments of one name, a tenth of the rows
without `mode` (all lbl/cborg-* among them), prices that are 0, unset or floats of odd digits, and
most of the hundred fields of every row null.
"""

from __future__ import annotations

import json
from typing import Any

ROWS = 300
TWICE = ("anthropic/claude-sonnet", "openai/gpt-4.1", "lbl/cborg-chat")  # two deployments each
NULLS = [f"supports_feature_{n}" for n in range(40)] + [f"cost_of_{n}" for n in range(60)]

ON_PREMISES = {
    "lbl/cborg-chat": "hosted_vllm/gemma-4",
    "lbl/cborg-coder": "hosted_vllm/gemma-4",
    "lbl/cborg-vision": "hosted_vllm/qwen-vl",
    "lbl/gpt-oss-20b": "vertex_ai/gpt-oss-20b",  # the prefix is no proof
}
EMBEDDINGS = {
    "nomic-embed-text": ("openai/nomic-embed-text", 768, None),
    "nomic-embed-code": ("openai/nomic-embed-code", 3584, None),
    "lbl/nomic-embed-text": ("openai/nomic-embed-text", 768, None),
    "openai/text-embedding-ada-002": ("azure/text-embedding-ada-002", 1536, "embedding"),
}
OTHERS = {
    "openai/gpt-image-1": "image_generation",
    "openai/whisper-1": "audio_transcription",
    "openai/tts-1": "audio_speech",
    "cohere/rerank": "rerank",
    "google/veo": "video_generation",
}


def rows() -> list[dict[str, Any]]:
    """Give the rows."""
    found = [_row(name, behind, None, 0.0, 0.0) for name, behind in ON_PREMISES.items()]
    for name, (behind, size, mode) in EMBEDDINGS.items():
        found.append(_row(name, behind, mode, 2e-08, None, output_vector_size=size))
    found += [_row(name, f"openai/{name}", mode, None, None) for name, mode in OTHERS.items()]
    for name, price in (("anthropic/claude-sonnet", 3e-06), ("openai/gpt-4.1", 2e-06)):
        found.append(_row(name, f"azure/{name}", "chat", price, 4 * price, supports_vision=True))
    found.append(_row("anthropic/claude-sonnet", "bedrock/claude", "chat", 3e-06, 1.5e-05))
    found.append(_row("openai/gpt-4.1", "openai/gpt-4.1", "responses", 2e-06, 8e-06))
    found.append(_row("lbl/cborg-chat", "hosted_vllm/gemma-4", "chat", 0.0, 0.0))
    for number in range(ROWS - len(found)):
        mode = None if number % 10 == 0 else "responses" if number % 17 == 0 else "chat"
        price = None if number % 13 == 0 else 4.9999999999999996e-05 / (1 + number)
        name = f"vendor{number % 9}/model-{number}"
        found.append(_row(name, f"openai/{name}", mode, price, price))
    return found


def answer() -> dict[str, Any]:
    """Give the answer of /model/info, as JSON brings it."""
    return json.loads(json.dumps({"data": rows()}))  # type: ignore[no-any-return]


def _row(
    name: str,
    behind: str,
    mode: str | None,
    prompt: float | None,
    completion: float | None,
    **more: Any,
) -> dict[str, Any]:
    info = dict.fromkeys(NULLS) | {
        "mode": mode,
        "input_cost_per_token": prompt,
        "output_cost_per_token": completion,
        "max_input_tokens": 128_000,
        "max_output_tokens": None,
        "supports_vision": None,
        **more,
    }
    return {"model_name": name, "litellm_params": {"model": behind}, "model_info": info}
