"""Any LiteLLM proxy: what its answers and its /model/info say (measured: 1.74, 1.81, 1.106)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from cborg_magics import errors
from cborg_magics.catalogue import Kind, Model, Prices, kind_of
from cborg_magics.exchange import Account, Budget, Location, dollars
from cborg_magics.providers import litellm_log, rows
from cborg_magics.providers.provider import Get, Headers, Provider

# Prefixes of LiteLLM's own that can only mean somebody else's cloud.
CLOUDS = ("anthropic/", "azure/", "azure_ai/", "bedrock/", "gemini/", "mistral/", "vertex_ai/")
# The list of prices is refused for a passing reason: names alone would take the place of more.
PASSING = (errors.Busy, errors.Unavailable, errors.BudgetSpent)


def billed(headers: Headers) -> Decimal | None:
    """The cost of a call that was not streamed. The header is left out when the cost is 0,
    and when it is not known: both are None here."""
    return dollars(headers.get("x-litellm-response-cost"))


def fallback(headers: Headers) -> str | None:
    """LiteLLM counts the models that it tried in vain, and gives no reason."""
    tried = headers.get("x-litellm-attempted-fallbacks", "0")
    return "" if tried.isdecimal() and int(tried) else None


def read_models(get: Get) -> list[Model]:
    """The models of /model/info; several deployments of one name come as several models.

    Where that route is not for users, the list of names that every server has must do.
    """
    try:
        found = rows.of(get("/model/info"), "model_name")
    except errors.Refused as refusal:
        if isinstance(refusal, PASSING):
            raise
        return [_named(row) for row in rows.of(get("/v1/models"), "id")]
    return [_model(row) for row in found]


def _model(row: Mapping[str, Any]) -> Model:
    info, behind = rows.part(row, "model_info"), rows.part(row, "litellm_params")
    name, underlying = str(row["model_name"]), rows.text(behind.get("model"))
    kind = kind_of(info.get("mode"), name, underlying)
    completion = dollars(info.get("output_cost_per_token"))
    if kind is Kind.EMBEDDING and completion is None:
        completion = dollars(0)  # it writes nothing
    return Model(
        name,
        kind,
        underlying,
        prices=Prices(
            prompt=dollars(info.get("input_cost_per_token")),
            completion=completion,
            cached=dollars(info.get("cache_read_input_token_cost")),
            written=dollars(info.get("cache_creation_input_token_cost")),
        ),
        max_input_tokens=rows.count(info.get("max_input_tokens")),
        max_output_tokens=rows.count(info.get("max_output_tokens")),
        vision=rows.said(info.get("supports_vision")),
        tools=rows.said(info.get("supports_function_calling")),
        reasoning=rows.said(info.get("supports_reasoning")),
        caching=rows.said(info.get("supports_prompt_caching")),
        schemas=rows.said(info.get("supports_response_schema")),
        vector_size=rows.count(info.get("output_vector_size")),
        location=Location.CLOUD if str(underlying).startswith(CLOUDS) else Location.UNKNOWN,
    )


def _named(row: Mapping[str, Any]) -> Model:
    """A model of /v1/models; since 1.106 it says more than the name."""
    return Model(
        str(row["id"]),
        kind_of(row.get("mode"), row["id"]),
        max_input_tokens=rows.count(row.get("max_input_tokens")),
        max_output_tokens=rows.count(row.get("max_output_tokens")),
    )


def read_account(get: Get) -> Account:
    """What binds this key: its own budget, its user's, its team's; and when it ends.

    A key need not have a user or a team, may be made for models alone, and a user over
    the budget is refused even this by old releases: what is not told is left out.
    """
    key: Mapping[str, Any] = {}
    budgets: list[Budget | None] = []
    try:
        key = _ask(get, "/key/info", "info")
        budgets.append(_budget("key", key))
        budgets.append(_budget("user", _ask(get, "/user/info", "user_info")))
        if team := rows.text(key.get("team_id")):
            path = f"/team/info?team_id={quote(team, safe='')}"
            budgets.append(_budget("team", _ask(get, path, "team_info")))
    except errors.CborgError:
        pass  # it cannot be reached: the other questions would only wait as long
    told = tuple(budget for budget in budgets if budget)
    return Account(told, expires_at=_moment(key.get("expires")))


def _ask(get: Get, path: str, part: str) -> Mapping[str, Any]:
    try:
        return rows.part(get(path), part)
    except errors.Refused:
        return {}


def _budget(owner: str, info: Mapping[str, Any]) -> Budget | None:
    spent = dollars(info.get("spend"))
    if spent is None:
        return None
    limit, reset = dollars(info.get("max_budget")), _moment(info.get("budget_reset_at"))
    return Budget(owner, spent, limit, reset)


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


LITELLM = Provider(
    name="litellm",
    title="LiteLLM",
    default_model="",
    embed_model="nomic-embed-text",
    credential=lambda settings: settings.litellm,
    read_models=read_models,
    key_page="the people who run the proxy",
    budget_hint="The people who run the proxy can raise it.",
    unreachable_hint="Is LITELLM_BASE_URL right, and are you on the network it needs (VPN)?",
    blocked_hint="Is LITELLM_BASE_URL the proxy's own address?",
    billed=billed,
    served=lambda headers: headers.get("x-litellm-model-name"),
    call_id=lambda headers: headers.get("x-litellm-call-id"),
    fallback=fallback,
    token_counter="/utils/token_counter",
    read_account=read_account,
    read_log=litellm_log.read_log,
)
