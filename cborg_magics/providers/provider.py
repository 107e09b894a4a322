"""What differs between services? Data, and a few small readers of what they send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cborg_magics.catalogue import Catalogue, Model
from cborg_magics.exchange import Account, Location, Request, ServiceLog
from cborg_magics.settings import Credential, Secret, Settings

Headers = Mapping[str, str]
Get = Callable[[str], Any]  # GET a path of the service, as parsed JSON


@dataclass(frozen=True)
class Service:
    """A provider at an address with the key that belongs there.

    `base_url` is where the OpenAI routes are, `root` where the service's own are.
    `socket` is a Unix socket to talk through instead of the network.
    """

    provider: Provider
    base_url: str
    root: str
    key: Secret | None
    socket: Path | None = None

    @property
    def host(self) -> str:
        """The host's name, for people and for the ledger."""
        if self.provider.here:
            return "this machine"
        parts = urlsplit(self.base_url)
        return parts.netloc.rpartition("@")[2]

    @property
    def name(self) -> str:
        """What stays the same where a service has several addresses: else its host."""
        known = self.provider.here or self.host in self.provider.hosts
        return self.provider.name if known else self.host


def _nothing(headers: Headers) -> None:
    return None


def _no_log(get: Get, since: datetime) -> ServiceLog:
    return ServiceLog()


def _anything(request: Request, model: Model | None) -> None:
    return None


@dataclass(frozen=True)
class Provider:
    """One kind of service. Times of no interest here; text is for people."""

    name: str
    title: str
    default_model: str
    credential: Callable[[Settings], Credential | None]
    read_models: Callable[[Get], list[Model]]
    vision_model: str | None = None  # asked when pictures go along and no model is named
    embed_model: str | None = None  # makes vectors where no model is named
    default_url: str | None = None
    hosts: tuple[str, ...] = ()  # of one and the same service
    key_page: str | None = None
    needs_key: bool = True
    adds_v1: bool = True  # OpenAI's routes stand below /v1 of the address
    unreachable_hint: str = ""
    blocked_hint: str = ""
    budget_hint: str = ""
    # what the answer's headers say; a stream's cost headers are never asked (they say 0.0)
    billed: Callable[[Headers], Decimal | None] = _nothing
    served: Callable[[Headers], str | None] = _nothing
    call_id: Callable[[Headers], str | None] = _nothing
    # why another model answered than was asked ("": no reason given); None: it was the one asked
    fallback: Callable[[Headers], str | None] = _nothing
    # raises a CborgError that names what `model` lacks for a request, where that is known
    check: Callable[[Request, Model | None], None] = _anything
    embeds: bool = True  # has it embeddings at all?
    # the vectors of texts, packed, where the model runs inside this process
    encode: Callable[[Sequence[str]], list[bytes]] | None = None
    cache_keys: bool = False  # does it read `prompt_cache_key`, to find an earlier prompt again?
    token_counter: str | None = None  # the route that counts the tokens of messages, for nothing
    read_account: Callable[[Get], Account] = lambda get: Account()
    # what it has booked since a moment; raises a CborgError only if it cannot be reached
    read_log: Callable[[Get, datetime], ServiceLog] = _no_log
    start: Callable[[Provider], Service] | None = None  # for what runs inside this process
    here: bool = False
    system: str | None = None  # defaults of a model too small to do without
    temperature: float | None = None
    max_tokens: int | None = None
    looping: Callable[[str], bool] | None = None
    notice: str = ""

    def service(self, credential: Credential | None) -> Service:
        """This provider at the credential's address, or at its own."""
        address = (credential and credential.base_url) or self.default_url
        assert address, f"{self.name} has no address"  # noqa: S101 - choose() has seen to it
        root = address.removesuffix("/v1") if self.adds_v1 else address
        base = f"{root}/v1" if self.adds_v1 else address
        return Service(self, base, root, credential.key if credential else None)

    def model_in(self, catalogue: Catalogue | None, name: str) -> Model | None:
        """What is known of the model that answers to `name`: here, one answers to every name."""
        if catalogue is None:
            return None
        found = catalogue.find(name)
        return found or (next(iter(catalogue.models), None) if self.here else None)

    def longest_answer(self, model: Model | None) -> int | None:
        """How many tokens to allow where nobody has said: what the model can write, at most."""
        most = model.max_output_tokens if model else None
        return min(self.max_tokens, most) if self.max_tokens and most else self.max_tokens

    def location(self, model: Model | None) -> Location:
        """Where a call to `model` sends its data."""
        if self.here:
            return Location.HERE
        return model.location if model else Location.UNKNOWN
