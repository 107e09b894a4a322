"""Any other server that speaks OpenAI's protocol: the key and the address come as one pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cborg_magics.catalogue import Kind, Model, kind_of
from cborg_magics.providers import rows
from cborg_magics.providers.provider import Get, Provider


def read_models(get: Get) -> list[Model]:
    """The names, and what llama.cpp and vLLM add to them; such servers say no prices."""
    return [_model(row) for row in rows.of(get("/models"), "id")]


def _model(row: Mapping[str, Any]) -> Model:
    # llama.cpp (measured): `n_ctx` is what it was started with, older ones say only what the
    # model was trained for; `n_embd` is a vector's length. vLLM (documented): `max_model_len`.
    # Ollama says none of it.
    meta, name = rows.part(row, "meta"), str(row["id"])
    kind = kind_of(None, name)
    senses = rows.names(rows.part(row, "architecture").get("input_modalities"))
    return Model(
        name,
        kind,
        max_input_tokens=rows.count(
            row.get("max_model_len"), meta.get("n_ctx"), meta.get("n_ctx_train")
        ),
        vision=None if senses is None else "image" in senses,
        vector_size=rows.count(meta.get("n_embd")) if kind is Kind.EMBEDDING else None,
    )


OPENAI = Provider(
    name="openai",
    title="OpenAI-compatible server",
    default_model="",
    credential=lambda settings: settings.openai,
    read_models=read_models,
    adds_v1=False,
    key_page="the people who run the server",
    unreachable_hint="Is OPENAI_BASE_URL right, and is the server running?",
    blocked_hint="Is OPENAI_BASE_URL the API's own address (it often ends in /v1)?",
    call_id=lambda headers: headers.get("x-request-id"),
)
