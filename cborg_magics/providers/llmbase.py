"""LLMBase (llmbase.ai): OpenAI's routes, usage in the last chunk, no cost in any answer."""

from __future__ import annotations

from collections.abc import Mapping

from cborg_magics.catalogue import Model
from cborg_magics.exchange import Location
from cborg_magics.providers.provider import Get, Provider


def read_models(get: Get) -> list[Model]:
    """The names. The unit of its prices is documented nowhere we found, so none is claimed."""
    rows = get("/v1/models")["data"]
    return [
        Model(str(row["id"]), location=Location.CLOUD)
        for row in rows
        if isinstance(row, Mapping) and row.get("id")
    ]


LLMBASE = Provider(
    name="llmbase",
    title="LLMBase",
    default_model="deepseek-v4-flash",
    default_url="https://api.llmbase.ai",
    credential=lambda settings: settings.llmbase,
    read_models=read_models,
    key_page="https://llmbase.ai",
    budget_hint="Top up the account at https://llmbase.ai.",
    unreachable_hint="Is this machine on the internet?",
    blocked_hint="Cloudflare stands before LLMBase; try again in a minute.",
    served=lambda headers: headers.get("x-llmbase-served-model"),
)
