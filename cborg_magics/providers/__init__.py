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
    return _connect(*_which(settings))


def can_ask(settings: Settings) -> bool:
    """Is there a key, or is none needed? The embedded model counts only where it is named.
    Raises `BadSetting`."""
    provider, credential = _which(settings)
    if credential is None:
        return settings.provider is not None
    return credential.key is not None or _keyless(provider, credential)


def kept(name: str, address: str) -> Service | None:
    """A service that answers are kept of, as `folder.Kept` tells of it: there is no key to ask
    it with. None if we know no such provider."""
    provider = next((p for p in PROVIDERS if p.name == name), None)
    if provider is None:
        return None
    if provider.here:
        return Service(provider, "", "", None)
    return provider.service(Credential(None, address, ""))


def _which(settings: Settings) -> tuple[Provider, Credential | None]:
    if settings.provider:
        return _named(settings.provider, settings)
    if settings.cborg.key or settings.cborg.base_url:
        return CBORG, settings.cborg
    if settings.litellm.key and settings.litellm.base_url:
        return LITELLM, settings.litellm
    if _is_llmbase(settings.llmbase):
        return LLMBASE, settings.llmbase
    if settings.openai.key and settings.openai.base_url:
        return OPENAI, settings.openai
    return LOCAL, None


def _named(name: str, settings: Settings) -> tuple[Provider, Credential | None]:
    provider = next((p for p in PROVIDERS if p.name == name), None)
    if provider is None:
        names = ", ".join(p.name for p in PROVIDERS)
        raise BadSetting(f"CBORG_PROVIDER is {name!r}; write one of {names}")
    own = provider.credential(settings)
    # CBORG_API_KEY with an address of its own may stand for any service there.
    if own and not own.key and not own.base_url and settings.cborg.base_url:
        own = settings.cborg
    return provider, own


def _connect(provider: Provider, credential: Credential | None) -> Service:
    if provider.start:
        return provider.start(provider)
    assert credential  # noqa: S101 - every provider that is not embedded has one
    if not credential.base_url and not provider.default_url:
        variable = credential.key_variable.replace("API_KEY", "BASE_URL")
        raise BadSetting(f"set {variable} to the address of the {provider.title} server")
    service = provider.service(credential)
    if not credential.key and not _keyless(provider, credential):
        raise NoKey(
            f"no key for {provider.title}: set {credential.key_variable}",
            f"Keys come from {provider.key_page}.",
        )
    if provider is LLMBASE and not _is_llmbase(credential):
        raise BadSetting("LLMBASE_API_KEY is not an API key of LLMBase; those begin with llmbase_")
    return service


def _keyless(provider: Provider, credential: Credential) -> bool:
    """A server of the person's own, on this machine, asks for no key."""
    return provider is OPENAI and urlsplit(credential.base_url or "").hostname in LOOPBACK


def _is_llmbase(credential: Credential) -> bool:
    """llmbase_... is the API's key; llmbase_chat_... is another product's, and stays here."""
    key = credential.key.reveal() if credential.key else ""
    return key.startswith("llmbase_") and not key.startswith("llmbase_chat_")
