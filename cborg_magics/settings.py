"""What does the environment say? Read in one place, into a frozen value."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import platformdirs

from cborg_magics.errors import BadSetting
from cborg_magics.exchange import dollars
from cborg_magics.policy import LIST, NONE, Policy

_T = TypeVar("_T")
ANSWERS = "answers"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Secret:
    """A key. It prints as dots; `reveal()` is called only where a request is made."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('...')"


@dataclass(frozen=True)
class Credential:
    """A key and the address it belongs to, as one pair: a key goes to no other host."""

    key: Secret | None
    base_url: str | None
    key_variable: str


@dataclass(frozen=True)
class Settings:
    """The environment's wishes. None means not said. Times in seconds, money in US dollars.

    `locked` are the variables that an administrator has locked. `cache` is the folder that
    answers are taken from and kept in; None: not unless asked.
    """

    provider: str | None
    cborg: Credential
    litellm: Credential
    llmbase: Credential
    openai: Credential
    model: str | None
    vision_model: str | None
    embed_model: str | None
    max_tokens: int | None
    temperature: float | None
    system: str | None
    context_tokens: int
    timeout: float
    max_wait: float | None
    parallel: int
    on_prem_only: bool
    allowed_models: tuple[str, ...]
    budget: Decimal | None
    budget_day: Decimal | None
    locked: frozenset[str]
    home: Path
    cache: Path | None
    debug: bool

    @classmethod
    def read(cls, environ: Mapping[str, str], policy: Policy = NONE) -> Settings:
        """The settings in `environ`, but for what `policy` has locked.

        `BadSetting` names the first variable that is malformed.
        """
        if policy.problem:
            raise BadSetting(f"the policy of this machine: {policy.problem}.", _ASK)
        environ = policy.over(environ)
        known = {"CBORG_API_KEY_FILE"}

        def get(name: str, parse: Callable[[str], _T], example: str) -> _T | None:
            known.add(name)
            text = environ.get(name, "").strip()
            if not text:
                return None
            try:
                return parse(text)
            except ValueError as problem:
                do = _ASK if name in policy.values else f"For example: {name}={example}"
                raise BadSetting(f"{name} is {problem}.", do) from None

        def credential(prefix: str) -> Credential:
            base = f"{prefix}_BASE_URL"
            known.add(f"{prefix}_API_KEY")
            return Credential(
                key=_key(environ, prefix),
                base_url=get(base, _address, "https://api.example.org"),
                key_variable=f"{prefix}_API_KEY",
            )

        home = get("CBORG_HOME", lambda text: Path(text).expanduser(), "~/.cborg")
        home = home or platformdirs.user_data_path("cborg_magics", appauthor=False)
        settings = cls(
            provider=get("CBORG_PROVIDER", str.lower, "cborg"),
            cborg=credential("CBORG"),
            litellm=credential("LITELLM"),
            llmbase=credential("LLMBASE"),
            openai=credential("OPENAI"),
            model=get("CBORG_MODEL", str, "lbl/cborg-chat"),
            vision_model=get("CBORG_VISION_MODEL", str, "lbl/cborg-vision"),
            embed_model=get("CBORG_EMBED_MODEL", str, "nomic-embed-text"),
            max_tokens=get("CBORG_MAX_TOKENS", _whole, "1000"),
            temperature=get("CBORG_TEMPERATURE", _temperature, "0.2"),
            system=get("CBORG_SYSTEM", str, "'Answer briefly.'"),
            context_tokens=get("CBORG_CONTEXT_TOKENS", _whole, "32000") or 128_000,
            timeout=get("CBORG_TIMEOUT", _seconds, "600") or 600.0,
            max_wait=get("CBORG_MAX_WAIT", _seconds, "120"),
            parallel=get("CBORG_PARALLEL", _whole, "5") or 5,
            on_prem_only=get("CBORG_ON_PREM_ONLY", _switch, "1") or False,
            allowed_models=get("CBORG_ALLOWED_MODELS", _patterns, "lbl/*,gpt-5") or (),
            budget=get("CBORG_BUDGET", _money, "0.50"),
            budget_day=get("CBORG_BUDGET_DAY", _money, "2.00"),
            locked=frozenset(policy.values),
            home=home,
            cache=get("CBORG_CACHE", lambda text: _folder(text, home), "answers"),
            debug=get("CBORG_DEBUG", _switch, "1") or False,
        )
        if unknown := sorted(settings.locked - known):  # a slip there must not open what it closes
            raise BadSetting(
                f"the policy of this machine locks {unknown[0]}, which is unknown.", _ASK
            )
        return settings

    @property
    def answers(self) -> Path:
        """Where answers are kept if the environment names no folder."""
        return self.home / ANSWERS

    @property
    def named_cache(self) -> Path | None:
        """The folder that CBORG_CACHE names, to be committed with its notebook."""
        return None if self.cache == self.answers else self.cache

    @property
    def keys(self) -> list[str]:
        """Every key that is set: none may be seen anywhere."""
        each = (self.cborg, self.litellm, self.llmbase, self.openai)
        return [credential.key.reveal() for credential in each if credential.key]

    def changed_since(self, earlier: Settings) -> list[str]:
        """The variables whose values differ, for one line to the user."""
        names = (f.name for f in fields(self) if getattr(self, f.name) != getattr(earlier, f.name))
        return [VARIABLE.get(name, f"CBORG_{name.upper()}") for name in names]


VARIABLE = {
    "cborg": "the CBORG key or address",
    "litellm": "the LITELLM key or address",
    "llmbase": "the LLMBASE key or address",
    "openai": "the OPENAI key or address",
}


_ASK = f"Your administrator can mend it: /etc/cborg_magics/policy.env, or {LIST}."


def _key(environ: Mapping[str, str], prefix: str) -> Secret | None:
    """PREFIX_API_KEY, or for CBorg the content of the file named by CBORG_API_KEY_FILE."""
    text = environ.get(f"{prefix}_API_KEY", "").strip()
    file = environ.get("CBORG_API_KEY_FILE", "").strip() if prefix == "CBORG" else ""
    if not text and file:
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            why = getattr(problem, "strerror", None) or "not a text file"
            raise BadSetting(f"CBORG_API_KEY_FILE: cannot read {file} ({why})") from None
        if not text:
            raise BadSetting(f"CBORG_API_KEY_FILE: {file} is empty")
    if not text:
        return None
    if not text.isascii() or len(text.split()) > 1:
        raise BadSetting(f"{prefix}_API_KEY holds spaces or unusual characters; copy the key again")
    return Secret(text)


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a web address")
    if parts.username or parts.password:
        raise ValueError("an address with a password in it")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("plain http, which would send the key in clear; use https")
    return text.rstrip("/")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r}, not a whole number above 0")
    return int(text)


def _money(text: str) -> Decimal:
    figure = dollars(text.removeprefix("$"))
    if figure is None:
        raise ValueError(f"{text!r}, not an amount of dollars")
    return figure


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(filter(None, map(str.strip, text.split(","))))
    if not patterns:
        raise ValueError(f"{text!r}, which names no model")
    return patterns


def _seconds(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise ValueError(f"{text!r}, not a number of seconds above 0")
    return number


def _temperature(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 2:
        raise ValueError(f"{text!r}, not between 0 and 2")
    return number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r}, not a number")
    return number


def _folder(text: str, home: Path) -> Path | None:
    """What CBORG_CACHE says: 0, 1 for a folder of the person's own, or a folder."""
    if text.lower() in ("1", "yes", "true", "on"):
        return home / ANSWERS
    return Path(text).expanduser() if _switch(text) else None


def _switch(text: str) -> bool:
    return text.lower() not in ("0", "no", "false", "off")


def write_private(path: Path, text: str) -> None:
    """Append `text` to a file that only its owner can read. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(
        path, "a", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)
    ) as file:
        file.write(text)
