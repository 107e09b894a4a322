"""What can go wrong, and what can be done about it?

CborgError                 everything this package raises on purpose
├── BadOption              a word on the magic's line is wrong
├── BadAttachment          what was to be attached is not there, or cannot be sent
├── NotAllowed             a rule of this installation forbids it
├── CapReached             a cap on spending leaves too little; nothing was sent
├── BadTexts               what was to be embedded is empty, no text, or too long
├── BadValue               what Embeddings were given does not fit; a ValueError, too
├── DifferentModel         vectors of two models would meet
├── BadAnswer              the answer has not the shape that was asked for; it is kept
├── BadSetting             an environment variable is wrong
├── NoKey                  a service was named, its key was not
├── NoLocalModel           the embedded model is not installed or cannot start
├── Unreachable            nobody answered: no network, wrong address, TLS
├── TimedOut               the service answered too late
├── NotTheApi              a web page came back instead of JSON
├── StreamBroken           the answer broke off; what had come is kept
├── Unexpected             a fault of ours; its traceback is in a file, keys taken out
└── Refused                the service said no (status, type, call_id)
    ├── KeyRefused         wrong or blocked key
    ├── KeyExpired
    ├── UnknownModel
    ├── ModelNotAllowed    the model exists, this key may not use it
    ├── BudgetSpent        the budget of the key, the user or the team
    ├── OutOfCredit        prepaid money is gone
    ├── TooLong            more tokens than the model takes
    ├── PolicyRefusal      the content was refused
    ├── Busy               too many requests; tried again
    └── Unavailable        the service or the model is down; tried again
Interrupted                Ctrl-C; a KeyboardInterrupt, so that it stops Run All

Each shows itself in a notebook as a few plain lines, without a traceback, and
the cell still counts as failed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cborg_magics.exchange import Reply

_KEY = r"\b(sk-|llmbase_)[\w-]{6,}|(?<=Bearer )[^\s'\"]+"
# LiteLLM tells the ends of a key that it refuses: sk-...a1b2, my-k****c3d4.
_ENDS = r"\b(?:sk-|llmbase_)\.{2,}\w+|\b[\w-]{1,8}\*{4,}[\w-]{1,8}"
_KEYS = re.compile(rf"{_KEY}|\b[0-9a-f]{{64}}\b|{_ENDS}")


def without_keys(text: str, *known: str) -> str:
    """`text` with everything that is, or looks like, an API key or its hash taken out.

    >>> without_keys("Received API Key = sk-abcdefgh1234, sorry")
    'Received API Key = [key], sorry'
    >>> without_keys("Received sk-...a1b2 and my-k****c3d4, sorry")
    'Received [key] and [key], sorry'
    """
    return _KEYS.sub("[key]", without(text, *known))


def has_key(text: str) -> bool:
    """Does the text hold what looks like a key? Checksums, which files are full of, do not."""
    return bool(re.search(_KEY, text)) or "PRIVATE KEY-----" in text


def without(text: str, *keys: str) -> str:
    """`text` with these keys taken out."""
    for key in keys:
        if key:
            text = text.replace(key, "[key]")
    return text


class Plain(BaseException):
    """Shows as `Name: what happened`, then what to do; IPython asks for exactly this method."""

    def _render_traceback_(self) -> list[str]:
        return f"{type(self).__name__}: {self}".splitlines()


class CborgError(Plain, Exception):
    """`what` happened, in one line; what to `do` about it, in one or two.

    `reply` is the partial answer with its charge, where one was being made.
    """

    reply: Reply | None = None

    def __init__(self, what: str, do: str = "") -> None:
        self.what, self.do = without_keys(what), without_keys(do)
        super().__init__(self.what, self.do)

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.what, self.do)))


_E = TypeVar("_E", bound=BaseException)


def bare(error: _E) -> _E:
    """The error without the way it came: frames of the HTTP library hold the key."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


class BadOption(CborgError):
    """A word on the magic's line is wrong."""


class BadAttachment(CborgError):
    """What was to be attached is not there, or cannot be sent."""


class NotAllowed(CborgError):
    """A rule of this installation forbids it."""


class CapReached(CborgError):
    """A cap on spending leaves too little; nothing was sent."""


class BadTexts(CborgError):
    """What was to be embedded is empty, no text, or too long."""


class BadValue(CborgError, ValueError):
    """What Embeddings were given does not fit; nothing was changed."""


class DifferentModel(CborgError):
    """Vectors of two models would meet."""


class BadAnswer(CborgError):
    """The answer has not the shape that was asked for; it is kept in `reply`."""


class BadSetting(CborgError):
    """An environment variable is wrong."""


class NoKey(CborgError):
    """A service was named, its key was not."""


class NoLocalModel(CborgError):
    """The embedded model is not installed or cannot start."""


class Unreachable(CborgError):
    """Nobody answered: no network, wrong address, TLS."""


class TimedOut(CborgError):
    """The service answered too late."""


class NotTheApi(CborgError):
    """A web page came back instead of JSON."""


class StreamBroken(CborgError):
    """The answer broke off; what had come is kept."""


class Unexpected(CborgError):
    """A fault of ours; its traceback is in a file, keys taken out."""


class Refused(CborgError):
    """The service said no.

    `status` is the HTTP status, `type` the service's own name for the error,
    `call_id` what to quote to its operators, `retry_after` seconds to wait.
    """

    status: int = 0
    type: str = ""
    call_id: str | None = None
    retry_after: float | None = None


class KeyRefused(Refused):
    """Wrong or blocked key."""


class KeyExpired(Refused):
    """The key's time is over."""


class UnknownModel(Refused):
    """The service has no model of that name."""


class ModelNotAllowed(Refused):
    """The model exists, this key may not use it."""


class BudgetSpent(Refused):
    """The budget of the key, the user or the team is spent."""


class OutOfCredit(Refused):
    """Prepaid money is gone."""


class TooLong(Refused):
    """More tokens than the model takes."""


class PolicyRefusal(Refused):
    """The content was refused."""


class Busy(Refused):
    """Too many requests."""


class Unavailable(Refused):
    """The service or the model is down."""


class Interrupted(Plain, KeyboardInterrupt):
    """Ctrl-C. `reply` is the partial answer with its charge, if it had begun."""

    reply: Reply | None = None
