"""When do we try again, and how long do we wait? (The only file that imports tenacity.)

| what happened                | tried again                                               |
| ---------------------------- | --------------------------------------------------------- |
| too many requests (429)      | up to 6 attempts, as long apart as the service asks        |
| network, 408, 5xx, 529       | at most 120 s apart, without end where a person can stop   |
|                              | it; 10 minutes in a headless run                           |
| a host that never answered   | 3 attempts or 30 s                                         |
| everything else              | never: asking again changes nothing, or would be paid twice |

`CBORG_MAX_WAIT` bounds the sum of all waits, in seconds. Once a piece of the
answer has arrived nothing is retried: it would be paid for and shown twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cborg_magics.errors import Busy, CborgError, Unavailable, Unreachable
from cborg_magics.exchange import Listener, Waiting

if TYPE_CHECKING:
    from tenacity import RetryCallState

_T = TypeVar("_T")
BUSY_ATTEMPTS = 6
STRANGER_ATTEMPTS, STRANGER_SECONDS = 3, 30.0
LONGEST_WAIT = 120.0
HEADLESS_SECONDS = 600.0


@dataclass(frozen=True)
class Policy:
    """`answered`: has this host ever answered in this kernel? `person`: can somebody interrupt?
    `max_wait`: seconds of waiting in all, where the user set a bound."""

    answered: Callable[[], bool]
    person: bool
    max_wait: float | None = None

    def attempts(self, error: BaseException) -> int | None:
        """How many attempts `error` allows in all; None is no limit."""
        if isinstance(error, Busy):
            return BUSY_ATTEMPTS
        if isinstance(error, Unreachable) and not self.answered():
            return STRANGER_ATTEMPTS
        return None

    def patience(self, error: BaseException) -> float:
        """How many seconds may be spent waiting in all."""
        if self.max_wait is not None:
            return self.max_wait
        if isinstance(error, Unreachable) and not self.answered():
            return STRANGER_SECONDS
        return float("inf") if self.person else HEADLESS_SECONDS


def pause(error: BaseException, attempt: int) -> float:
    """Seconds before the next try: as long as the service asks, else 1, 2, 4 ... with some chance.

    >>> round(pause(Unreachable("gone"), 20)) <= 120
    True
    """
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return float(asked)
    return min(LONGEST_WAIT, 2.0 ** min(attempt - 1, 10) * random.uniform(0.75, 1.25))  # noqa: S311


def call(function: Callable[[], _T], policy: Policy, tell: Listener) -> _T:
    """`function()`, tried again as the table above says; `tell` hears a `Waiting` each second.

    Raises the last error. Ctrl-C ends a wait at once.
    """
    import tenacity

    def error_of(state: RetryCallState) -> BaseException:
        problem = state.outcome.exception() if state.outcome else None
        return problem or RuntimeError("nothing failed")

    def give_up(state: RetryCallState) -> bool:
        error = error_of(state)
        limit = policy.attempts(error)
        if limit is not None and state.attempt_number >= limit:
            return True
        return state.idle_for + state.upcoming_sleep > policy.patience(error)

    def count_down(state: RetryCallState) -> None:
        error = error_of(state)
        limit = policy.attempts(error)
        end = time.monotonic() + state.upcoming_sleep
        while (left := end - time.monotonic()) > 0:
            tell(Waiting(max(1, round(left)), _reason(error), state.attempt_number + 1, limit))
            time.sleep(min(left, 1.0))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((Busy, Unavailable, Unreachable)),
        wait=lambda state: pause(error_of(state), state.attempt_number),
        stop=give_up,
        before_sleep=count_down,
        sleep=lambda seconds: None,  # the countdown has slept
        reraise=True,
    )(function)


def _reason(error: BaseException) -> str:
    return error.what if isinstance(error, CborgError) else str(error)
