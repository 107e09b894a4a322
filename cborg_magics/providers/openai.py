"""Any other server that speaks OpenAI's protocol: the key and the address come as one pair."""

from __future__ import annotations

from collections.abc import Mapping

from cborg_magics.catalogue import Model
from cborg_magics.providers.provider import Get, Provider


def read_models(get: Get) -> list[Model]:
    """The names; such servers say no prices."""
    rows = get("/models")["data"]
    return [Model(str(row["id"])) for row in rows if isinstance(row, Mapping) and row.get("id")]


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
