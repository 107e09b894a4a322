"""Any LiteLLM proxy: what its answers and its /model/info say (measured: 1.74, 1.81, 1.106)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from cborg_magics.catalogue import Model, Prices
from cborg_magics.errors import CborgError
from cborg_magics.exchange import Account, Budget, Location, dollars
from cborg_magics.providers.provider import Get, Headers, Provider

# Prefixes of LiteLLM's own that can only mean somebody else's cloud.
CLOUDS = ("anthropic/", "azure/", "azure_ai/", "bedrock/", "gemini/", "mistral/", "vertex_ai/")


def billed(headers: Headers) -> Decimal | None:
    """The cost of a call that was not streamed. The header is left out when the cost is 0,
    and when it is not known: both are None here."""
    return dollars(headers.get("x-litellm-response-cost"))


def read_models(get: Get) -> list[Model]:
    """The models of /model/info; several deployments of one name come as several models."""
    rows = get("/model/info")["data"]
    return [_model(row) for row in rows if isinstance(row, Mapping) and row.get("model_name")]


def _model(row: Mapping[str, Any]) -> Model:
    info = row.get("model_info") or {}
    underlying = (row.get("litellm_params") or {}).get("model")
    return Model(
        name=str(row["model_name"]),
        underlying=underlying,
        prices=Prices(
            prompt=dollars(info.get("input_cost_per_token")),
            completion=dollars(info.get("output_cost_per_token")),
            cached=dollars(info.get("cache_read_input_token_cost")),
            written=dollars(info.get("cache_creation_input_token_cost")),
        ),
        max_input_tokens=_count(info.get("max_input_tokens")),
        max_output_tokens=_count(info.get("max_output_tokens")),
        vision=_said(info.get("supports_vision")),
        schemas=_said(info.get("supports_response_schema")),
        location=Location.CLOUD if str(underlying).startswith(CLOUDS) else Location.UNKNOWN,
    )


def read_account(get: Get) -> Account:
    """The budgets that bind this key: its own, and its user's. A key need not have a user, and
    a service in trouble may refuse either question: what it does not say is left out."""
    found = (
        _budget("key", _ask(get, "/key/info", "info")),
        _budget("user", _ask(get, "/user/info", "user_info")),
    )
    return Account(tuple(budget for budget in found if budget))


def _ask(get: Get, path: str, part: str) -> Mapping[str, Any]:
    try:
        found = get(path)[part]
    except (CborgError, LookupError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _budget(owner: str, info: Mapping[str, Any]) -> Budget | None:
    spent, limit = dollars(info.get("spend")), dollars(info.get("max_budget"))
    if spent is None or limit is None:
        return None
    return Budget(owner, spent, limit, _moment(info.get("budget_reset_at")))


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


def _said(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


LITELLM = Provider(
    name="litellm",
    title="LiteLLM",
    default_model="",
    credential=lambda settings: settings.litellm,
    read_models=read_models,
    key_page="the people who run the proxy",
    budget_hint="The people who run the proxy can raise it.",
    unreachable_hint="Is LITELLM_BASE_URL right, and are you on the network it needs (VPN)?",
    blocked_hint="Is LITELLM_BASE_URL the proxy's own address?",
    billed=billed,
    served=lambda headers: headers.get("x-litellm-model-name"),
    call_id=lambda headers: headers.get("x-litellm-call-id"),
    token_counter="/utils/token_counter",
    read_account=read_account,
)
