"""LLMBase (llmbase.ai): OpenAI's routes, usage in the last chunk, no cost in any answer.

Its documentation names the routes, the headers and the fields `input_modalities`,
`supported_features`, `supported_parameters`, `context_length`, `max_output_length` and
`input_cache_read`. It shows neither where in the answer they stand, nor the unit of a
price, nor any answer of /v1/balance. What we guess there says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cborg_magics.catalogue import Model, Prices, kind_of
from cborg_magics.errors import BadAttachment, BadOption, CborgError, Refused
from cborg_magics.exchange import Account, Location, Picture, Request, dollars
from cborg_magics.providers import rows
from cborg_magics.providers.provider import Get, Headers, Provider

# Documented, in the quickstart and in "OpenAI compatibility"; the last one has names only.
LISTS = ("/v1/model-metadata", "/v1/models?metadata=true", "/v1/models")
# Guessed. The fields' names are those in which a provider describes itself to OpenRouter, where
# prices stand in `pricing` under these.
PROMPT, COMPLETION = ("prompt", "input"), ("completion", "output")
# Guessed. A dollar for a thousand tokens is more than any model costs, and a tenth of a cent for
# a million is less: the documented prices are $0.09 to $4.40 for a million.
PER_MILLION_FROM = Decimal("0.001")
MILLION = Decimal(1_000_000)
# Guessed, all of them.
BALANCES = ("balance", "balance_usd", "available_balance", "available", "credits", "amount")


def read_models(get: Get) -> list[Model]:
    """The models, with all that is told of them where a richer list is to be had."""
    for path in LISTS[:-1]:
        try:
            return [_model(row) for row in rows.of(get(path), "id")]
        except Refused as refusal:
            if refusal.status not in (400, 404, 405):
                raise
        except TypeError:
            continue  # it is there, in a form that we did not guess
    return [_model(row) for row in rows.of(get(LISTS[-1]), "id")]


def _model(row: Mapping[str, Any]) -> Model:
    said, name = _flat(row), str(row["id"])
    senses = rows.names(said.get("input_modalities"))
    features = rows.names(said.get("supported_features"))

    def able(feature: str) -> bool | None:
        return None if features is None else feature in features

    return Model(
        name,
        kind_of(None, name),
        prices=_prices(said),
        max_input_tokens=rows.count(said.get("context_length")),
        max_output_tokens=rows.count(said.get("max_output_length")),
        vision=None if senses is None else "image" in senses,
        tools=able("tools"),
        reasoning=able("reasoning"),
        schemas=able("structured_outputs"),
        json_mode=able("json_mode"),
        caching=True if dollars(said.get("input_cache_read")) is not None else None,
        parameters=rows.names(said.get("supported_parameters")),
        location=Location.CLOUD,
    )


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with what stands in objects inside it, wherever a field may be."""
    inner = [_flat(value) for value in row.values() if isinstance(value, Mapping)]
    return {name: value for part in (*inner, row) for name, value in part.items()}


def _prices(said: Mapping[str, Any]) -> Prices:
    """US dollars per token, whichever of the two units the service uses."""
    prompt, completion, cached = (
        next((price for name in names if (price := dollars(said.get(name))) is not None), None)
        for names in (PROMPT, COMPLETION, ("input_cache_read",))
    )
    dearest = max((price for price in (prompt, completion) if price is not None), default=None)
    unit = MILLION if dearest is not None and dearest >= PER_MILLION_FROM else Decimal(1)
    return Prices(
        *(None if price is None else price / unit for price in (prompt, completion, cached))
    )


def check(request: Request, model: Model | None) -> None:
    """Refuse what the service would refuse: it answers 400 to what a model does not list."""
    if model is None:
        return
    pictures = any(isinstance(a, Picture) for m in request.messages for a in m.attachments)
    if pictures and model.vision is False:
        raise BadAttachment(f"{model.name} cannot see pictures, its service says.")
    form = (request.format or {}).get("type")
    if form == "json_schema" and model.schemas is False:
        raise BadOption(f"{model.name} cannot hold its answer to a schema, its service says.")
    if form == "json_object" and model.json_mode is False and not model.schemas:
        raise BadOption(f"{model.name} cannot hold its answer to JSON, its service says.")
    if request.reasoning_effort and not _takes(model, "reasoning_effort"):
        raise BadOption(
            f"{model.name} takes no reasoning effort, its service says.",
            "Leave out --reasoning-effort, or take another model: %models tells.",
        )
    if request.temperature is not None and not _takes(model, "temperature"):
        raise BadOption(
            f"{model.name} takes no temperature, its service says.",
            "Leave out --temperature and CBORG_TEMPERATURE.",
        )


def _takes(model: Model, parameter: str) -> bool:
    """Is the parameter listed? Guessed: a list without `max_tokens`, which every model takes,
    names only what is special, and says nothing of the usual ones."""
    listed = model.parameters
    if listed is None or (parameter == "temperature" and "max_tokens" not in listed):
        return True
    return parameter in listed


def read_account(get: Get) -> Account:
    """The prepaid balance. Keys of a subscription have a budget besides, which is not told."""
    try:
        said = get("/v1/balance")
    except CborgError:
        return Account()
    found = _flat(said) if isinstance(said, Mapping) else {"balance": said}
    currency = rows.text(found.get("currency")) or "USD"
    if currency.upper() != "USD":
        return Account()  # the figure is money, but not the dollars that it would be shown as
    credits = (dollars(found.get(name)) for name in BALANCES)
    return Account(credit=next((credit for credit in credits if credit is not None), None))


def fallback(headers: Headers) -> str | None:
    """Documented: it bills the cheaper of the two models then."""
    if headers.get("x-llmbase-fallback-applied", "").lower() != "true":
        return None
    return headers.get("x-llmbase-fallback-reason", "")


LLMBASE = Provider(
    name="llmbase",
    title="LLMBase",
    default_model="deepseek/deepseek-v4-flash",
    default_url="https://api.llmbase.ai",
    credential=lambda settings: settings.llmbase,
    read_models=read_models,
    key_page="https://llmbase.ai",
    budget_hint="Top up the account at https://llmbase.ai.",
    unreachable_hint="Is this machine on the internet?",
    blocked_hint="Cloudflare stands before LLMBase; try again in a minute.",
    served=lambda headers: headers.get("x-llmbase-served-model"),
    fallback=fallback,
    check=check,
    embeds=False,
    cache_keys=True,
    read_account=read_account,
    # Its guide: "set max_tokens on user-facing requests so spend stays predictable". Left out, it
    # would be all that the model can write.
    max_tokens=4096,
)
