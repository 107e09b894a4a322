"""CBorg, Berkeley Lab's LiteLLM proxy (cborg.lbl.gov)."""

from __future__ import annotations

from dataclasses import replace

from cborg_magics.catalogue import Model
from cborg_magics.exchange import Location
from cborg_magics.providers import litellm
from cborg_magics.providers.provider import Get

LOCAL_ADDRESS = "https://api-local.cborg.lbl.gov"


def read_models(get: Get) -> list[Model]:
    """LiteLLM's list, and what CBorg says elsewhere of its own models."""
    return [_known(model) for model in litellm.read_models(get)]


def _known(model: Model) -> Model:
    # Only the vLLM servers are proof of CBorg's own. A name that begins with lbl/ is none, nor is
    # a price of 0: both were seen on cloud models.
    if (model.underlying or "").startswith("hosted_vllm/"):
        model = replace(model, location=Location.ON_PREMISES)
    # Its list of models: lbl/cborg-* add a system prompt. The same names exist without lbl/.
    if model.name.removeprefix("lbl/").startswith("cborg-"):
        model = replace(model, system=True)
    return model


CBORG = replace(
    litellm.LITELLM,
    name="cborg",
    title="CBorg",
    default_model="lbl/cborg-chat",
    vision_model="lbl/cborg-vision",
    default_url="https://api.cborg.lbl.gov",
    hosts=("api.cborg.lbl.gov", "api-local.cborg.lbl.gov"),
    credential=lambda settings: settings.cborg,
    read_models=read_models,
    key_page="https://api.cborg.lbl.gov/key/manage",
    unreachable_hint=(
        "Are you on the lab's network or VPN? From elsewhere, register your address first at"
        f" https://api.cborg.lbl.gov/key/manage. On the VPN you may also set"
        f" CBORG_BASE_URL={LOCAL_ADDRESS}."
    ),
    blocked_hint=(
        f"Cloudflare stands before CBorg. On the lab's network or VPN go round it:"
        f" CBORG_BASE_URL={LOCAL_ADDRESS}."
    ),
    budget_hint="On CBorg the free models stop too. Write to scienceit@lbl.gov for more.",
)
