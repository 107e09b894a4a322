"""What may pass is tried again, visibly and never in vain; the rest is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cborg_magics import errors, retry
from cborg_magics.exchange import Waiting
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.conftest import KEY
from tests.services.answers import DROP, chat_stream, refusal
from tests.services.faults import FaultServer, nobody

BUSY = errors.Busy("api.example.org is busy (429)")
AWAY = errors.Unreachable("cannot reach api.example.org")
DOWN = errors.Unavailable("api.example.org cannot answer now (503)")


def policy(*, answered: bool = True, person: bool = True, max_wait: float | None = None) -> Any:
    return retry.Policy(lambda: answered, person, max_wait)


def asked_to_wait(error: errors.CborgError, seconds: float) -> errors.CborgError:
    error.retry_after = seconds  # type: ignore[attr-defined]
    return error


class Failing:
    """Fails so many times, then works."""

    def __init__(self, error: errors.CborgError, times: int) -> None:
        self.error, self.left, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "answer"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service asks for no wait: only the count of attempts is looked at."""
    for error in (BUSY, AWAY, DOWN):
        monkeypatch.setattr(error, "retry_after", 0.0, raising=False)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("error", "answered", "attempts"),
    [(BUSY, True, 6), (BUSY, False, 6), (AWAY, False, 3), (errors.TimedOut("late"), True, 1)],
)
def test_the_number_of_attempts(error: errors.CborgError, answered: bool, attempts: int) -> None:
    failing = Failing(error, times=1000)
    with pytest.raises(type(error)):
        retry.call(failing, policy(answered=answered), lambda event: None)
    assert failing.calls == attempts


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("error", [AWAY, DOWN])
def test_a_service_that_has_answered_before_is_waited_for_without_end(
    error: errors.CborgError,
) -> None:
    failing = Failing(error, times=200)
    assert retry.call(failing, policy(answered=True), lambda event: None) == "answer"


@pytest.mark.parametrize(
    "kind", [errors.KeyRefused, errors.BudgetSpent, errors.UnknownModel, errors.OutOfCredit]
)
def test_what_will_not_change_is_not_asked_again(kind: type[errors.Refused]) -> None:
    failing = Failing(kind("no"), times=1000)
    with pytest.raises(kind):
        retry.call(failing, policy(), lambda event: None)
    assert failing.calls == 1


def test_waits_grow_to_two_minutes_and_not_beyond() -> None:
    waits = [retry.pause(DOWN, attempt) for attempt in range(1, 40)]
    assert 0.75 <= waits[0] <= 1.25
    assert all(wait <= 120 for wait in waits)
    assert min(waits[9:]) == 120


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (policy(person=False), 600),
        (policy(person=True), float("inf")),
        (policy(answered=False), 30),
        (policy(max_wait=7), 7),
        (policy(person=False, max_wait=7), 7),
    ],
)
def test_how_long_is_waited_in_all(given: retry.Policy, seconds: float) -> None:
    assert given.patience(AWAY) == seconds


def test_a_wait_longer_than_patience_is_not_begun() -> None:
    failing = Failing(asked_to_wait(errors.Busy("busy"), 3600), times=1)
    with pytest.raises(errors.Busy):
        retry.call(failing, policy(person=False), lambda event: None)
    assert failing.calls == 1


# -- against a server ----------------------------------------------------------------------


@pytest.fixture
def ask(service: FaultServer) -> Callable[[], tuple[str, list[Waiting]]]:
    """Ask through a session; the answer, and the waits that were announced."""
    session = Session.from_environment()

    def chat() -> tuple[str, list[Waiting]]:
        events: list[Any] = []
        reply = session.chat("hi", on_event=events.append)
        return reply.text, [event for event in events if isinstance(event, Waiting)]

    return chat


Ask = Callable[[], tuple[str, list[Waiting]]]


def test_a_busy_service_is_waited_for_as_long_as_it_asks(ask: Ask, service: FaultServer) -> None:
    busy = refusal(429, "throttling_error", "slow down", {"retry-after": "2"})
    service.script("/chat/completions", busy, chat_stream("at last"))
    text, waits = ask()
    assert text == "at last"
    assert [(wait.seconds, wait.attempt, wait.of) for wait in waits] == [(2, 2, 6), (1, 2, 6)]
    assert "is busy (429)" in waits[0].reason


def test_the_wait_that_an_upstream_asks_for_counts_too(ask: Ask, service: FaultServer) -> None:
    header = {"llm_provider-retry-after": "1.4"}
    service.script("/chat/completions", refusal(429, None, "slow down", header))
    _, waits = ask()
    assert waits[0].seconds == 1


def test_a_connection_dropped_before_the_answer_is_tried_again(
    ask: Ask, service: FaultServer
) -> None:
    service.script("/chat/completions", DROP, chat_stream("again"))
    text, waits = ask()
    assert text == "again"
    assert len(waits) >= 1


def test_a_stream_that_ends_before_its_first_word_is_tried_again(
    ask: Ask, service: FaultServer
) -> None:
    nothing = chat_stream(finish=None, done=False)
    service.script("/chat/completions", nothing, chat_stream("again"))
    assert ask()[0] == "again"


def test_a_network_that_comes_back_is_noticed(ask: Ask, service: FaultServer) -> None:
    ask()
    service.stop()
    back = threading.Timer(1.5, service.start)
    back.start()
    try:
        text, waits = ask()
    finally:
        back.join()
    assert text == "ok"
    assert "cannot reach" in waits[0].reason
    assert waits[0].of is None


def test_a_host_that_never_answered_is_given_up_soon() -> None:
    environ = {"CBORG_API_KEY": KEY, "CBORG_BASE_URL": nobody()}
    session = Session(Settings.read(environ))
    events: list[Any] = []
    with pytest.raises(errors.Unreachable, match="cannot reach"):
        session.chat("hi", on_event=events.append)
    assert {event.attempt for event in events if isinstance(event, Waiting)} == {2, 3}
