"""Who can answer? The table of providers; a new one is a new file and a line here."""

from __future__ import annotations

from urllib.parse import urlsplit

from cborg_magics.errors import BadSetting, NoKey
from cborg_magics.providers.cborg import CBORG
from cborg_magics.providers.litellm import LITELLM
from cborg_magics.providers.llmbase import LLMBASE
from cborg_magics.providers.local import LOCAL
from cborg_magics.providers.openai import OPENAI
from cborg_magics.providers.provider import Provider, Service
from cborg_magics.settings import LOOPBACK, Credential, Settings

PROVIDERS = (CBORG, LITELLM, LLMBASE, OPENAI, LOCAL)


def choose(settings: Settings) -> Service:
    """The service that the environment names, by the first of these that holds:

    CBORG_PROVIDER; a CBorg key; LITELLM_API_KEY with LITELLM_BASE_URL; an LLMBase
    key; OPENAI_API_KEY with OPENAI_BASE_URL; else the embedded model. A key goes
    only to the host it belongs to. Raises `NoKey` or `BadSetting`.
    """
    if settings.provider:
        return _named(settings.provider, settings)
    if settings.cborg.key or settings.cborg.base_url:
        return _connect(CBORG, settings.cborg)
    if settings.litellm.key and settings.litellm.base_url:
        return _connect(LITELLM, settings.litellm)
    if _is_llmbase(settings.llmbase):
        return _connect(LLMBASE, settings.llmbase)
    if settings.openai.key and settings.openai.base_url:
        return _connect(OPENAI, settings.openai)
    return _connect(LOCAL, None)


def _named(name: str, settings: Settings) -> Service:
    provider = next((p for p in PROVIDERS if p.name == name), None)
    if provider is None:
        names = ", ".join(p.name for p in PROVIDERS)
        raise BadSetting(f"CBORG_PROVIDER is {name!r}; write one of {names}")
    own = provider.credential(settings)
    # CBORG_API_KEY with an address of its own may stand for any service there.
    if own and not own.key and not own.base_url and settings.cborg.base_url:
        own = settings.cborg
    return _connect(provider, own)


def _connect(provider: Provider, credential: Credential | None) -> Service:
    if provider.start:
        return provider.start(provider)
    assert credential  # noqa: S101 - every provider that is not embedded has one
    if not credential.base_url and not provider.default_url:
        variable = credential.key_variable.replace("API_KEY", "BASE_URL")
        raise BadSetting(f"set {variable} to the address of the {provider.title} server")
    service = provider.service(credential)
    keyless = provider is OPENAI and urlsplit(service.base_url).hostname in LOOPBACK
    if not credential.key and not keyless:
        raise NoKey(
            f"no key for {provider.title}: set {credential.key_variable}",
            f"Keys come from {provider.key_page}.",
        )
    if provider is LLMBASE and not _is_llmbase(credential):
        raise BadSetting("LLMBASE_API_KEY is not an API key of LLMBase; those begin with llmbase_")
    return service


def _is_llmbase(credential: Credential) -> bool:
    """llmbase_... is the API's key; llmbase_chat_... is another product's, and stays here."""
    key = credential.key.reveal() if credential.key else ""
    return key.startswith("llmbase_") and not key.startswith("llmbase_chat_")
