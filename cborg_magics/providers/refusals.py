"""Why did the service say no? Its answer, as one of our errors.

Recognised by status and by the service's own name for the error, never by the
words of its message: those change from release to release. LiteLLM's messages
begin with the name of its exception class, which does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cborg_magics import errors
from cborg_magics.errors import CborgError, Refused, without_keys
from cborg_magics.providers.provider import Headers, Service

LONGEST_QUOTE = 300


@dataclass(frozen=True)
class Answer:
    """What came back in place of an answer. `body` is parsed JSON, or the text itself."""

    status: int
    headers: Headers
    body: Any

    @property
    def _error(self) -> Mapping[str, Any]:
        """The error object, from any of the shapes services use."""
        body = self.body
        for key in ("error", "detail"):
            if isinstance(body, Mapping) and key in body:
                body = body[key]
        return body if isinstance(body, Mapping) else {"message": body}

    @property
    def type(self) -> str:
        """The service's name for the error: `type`, or `code` where that is a word."""
        named = [self._error.get("type"), self._error.get("code")]
        words = [str(word) for word in named if word and not str(word).isdecimal()]
        known = [word for word in words if word in BY_TYPE]
        return without_keys((known or words or [""])[0])

    @property
    def message(self) -> str:
        text = without_keys(" ".join(str(self._error.get("message") or "").split()))
        return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + " ..."

    @property
    def classes(self) -> set[str]:
        """LiteLLM's exception classes at the head of the message."""
        head = re.match(r"(?:\s*(?:litellm\.)?\w+(?:Error|Exception|Timeout):)+", self.message)
        return set(re.findall(r"(\w+):", head[0])) if head else set()

    @property
    def is_page(self) -> bool:
        """A web page, as from Cloudflare or a login, instead of JSON."""
        kind = self.headers.get("content-type", "")
        return "html" in kind or (isinstance(self.body, str) and self.body.lstrip()[:1] == "<")

    @property
    def retry_after(self) -> float | None:
        """Seconds that the service, or what stands behind it, asks to wait."""
        for name in ("retry-after", "llm_provider-retry-after"):
            try:
                return max(0.0, float(self.headers[name]))
            except (KeyError, ValueError):
                continue
        return None


BY_TYPE: dict[str, type[Refused]] = {
    "budget_exceeded": errors.BudgetSpent,  # 400, 422 or 429, by release
    "expired_key": errors.KeyExpired,  # 400 or 401, by release
    "token_not_found_in_db": errors.KeyRefused,
    "invalid_api_key": errors.KeyRefused,
    "missing_api_key": errors.KeyRefused,
    "no_db_connection": errors.KeyRefused,
    "key_model_access_denied": errors.ModelNotAllowed,  # 401 or 403, by release
    "team_model_access_denied": errors.ModelNotAllowed,
    "user_model_access_denied": errors.ModelNotAllowed,
    "model_not_found": errors.UnknownModel,
    "context_length_exceeded": errors.TooLong,
    "exceed_context_size_error": errors.TooLong,  # llama.cpp
    "content_filter": errors.PolicyRefusal,
    "content_policy_violation": errors.PolicyRefusal,
    "insufficient_quota": errors.OutOfCredit,
}
BY_CLASS: dict[str, type[Refused]] = {
    "ContextWindowExceededError": errors.TooLong,
    "ContentPolicyViolationError": errors.PolicyRefusal,
}
BY_STATUS: dict[int, type[Refused]] = {
    401: errors.KeyRefused,
    402: errors.OutOfCredit,
    403: errors.KeyRefused,
    408: errors.Unavailable,
    413: errors.TooLong,
    429: errors.Busy,
}


def refusal(service: Service, model: str, answer: Answer) -> CborgError:
    """The error that tells what `answer` means for somebody who asked `model` of `service`."""
    if answer.is_page and answer.status < 500:
        return errors.NotTheApi(
            f"{service.host} answered with a web page ({answer.status}) instead of the API's JSON",
            service.provider.blocked_hint,
        )
    kind = _kind(answer)
    what, do = _words(kind, service, model, answer)
    error = kind(what, do)
    error.status, error.type, error.retry_after = answer.status, answer.type, answer.retry_after
    error.call_id = service.provider.call_id(answer.headers)
    return error


def _kind(answer: Answer) -> type[Refused]:
    if answer.type in BY_TYPE:
        return BY_TYPE[answer.type]
    for name in answer.classes & BY_CLASS.keys():
        return BY_CLASS[name]
    if answer.status >= 500:
        return errors.Unavailable
    if answer.classes and answer.status in (401, 402, 403):
        return Refused  # it is the proxy's own key or credit, further up; ours is good
    return BY_STATUS.get(answer.status, Refused)


def _words(kind: type[Refused], service: Service, model: str, answer: Answer) -> tuple[str, str]:
    """What happened, and what to do about it."""
    provider, host, said = service.provider, service.host, answer.message
    variable = f"{provider.name.upper()}_API_KEY"
    quoted = f" It says: {said}" if said else ""
    new_key = f"Check {variable}; keys come from {provider.key_page}."
    return {
        errors.KeyRefused: (f"{host} does not accept the key it was sent.{quoted}", new_key),
        errors.KeyExpired: (f"the key for {host} has expired", new_key),
        errors.UnknownModel: (f"{provider.title} has no model {model!r}", ""),
        errors.ModelNotAllowed: (
            f"this key may not use {model}",
            f"Choose another model, or ask {provider.key_page} for access.",
        ),
        errors.BudgetSpent: (f"the budget is spent.{quoted}", provider.budget_hint),
        errors.OutOfCredit: (f"no credit left at {host}.{quoted}", provider.budget_hint),
        errors.TooLong: (
            f"too long for {model}.{quoted}",
            "Shorten the text, or start afresh with --new or --once.",
        ),
        errors.PolicyRefusal: (
            f"{model} refused the content.{quoted}",
            "Nothing was answered; put it in other words, or ask another model.",
        ),
        errors.Busy: (f"{host} is busy ({answer.status})", _quote(said)),
        errors.Unavailable: (
            f"{host} cannot answer now ({answer.status})",
            "" if answer.is_page else _quote(said),
        ),
        Refused: (f"{host} refused ({answer.status}).{quoted}", ""),
    }[kind]


def _quote(said: str) -> str:
    return f"It says: {said}" if said else ""
