"""What the administrator of a hub says, holds in every kernel; a mistake of theirs breaks none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.hub.machine import Machine
from tests.hub.test_for_everybody import LAUNCH, Place, place, spec
from tests.services.answers import chat_stream, usage
from tests.services.faults import FaultServer

if TYPE_CHECKING:
    from tests.hub.hub import Person

__all__ = ["place"]
CHAT = "/chat/completions"
POLICY = "/etc/cborg_magics/policy.env"
LOCKED = "{} is locked by an administrator; the change is ignored."


@pytest.fixture
def elsewhere() -> Iterator[FaultServer]:
    """A service of somebody else's."""
    with FaultServer() as server:
        yield server


def test_a_cell_does_not_change_what_is_locked(alice: Person, asked: FaultServer) -> None:
    wishes = {
        "CBORG_BUDGET_DAY": "1000",  # locked in the environment
        "CBORG_BUDGET": "1000",  # in the file
        "CBORG_HOME": "/tmp/an-empty-ledger",  # with the caps
        "CBORG_ALLOWED_MODELS": "*",
    }
    before = len(asked.requests_to(CHAT))
    with alice.kernel() as kernel:
        kernel.run(f"import os; os.environ.update({wishes!r})")
        run = kernel.run("%chat --once -m openai/gpt-5 Good morning")
    assert run.error_lines[0].endswith(
        "openai/gpt-5 is not among the models allowed here (CBORG_ALLOWED_MODELS)."
    )
    for name in wishes:
        assert LOCKED.format(name) in run.all_text
    assert len(asked.requests_to(CHAT)) == before, "nothing was sent"


def test_a_cap_follows_the_group(alice: Person, bob: Person) -> None:
    for person, cap in ((alice, "$2.00"), (bob, "$10.00")):
        with person.kernel() as kernel:
            assert cap in kernel.run("%spend").all_text


def test_yes_does_not_pass_a_locked_cap(bob: Person, asked: FaultServer) -> None:
    # Of the dollar that a kernel may spend, $0.999.
    asked.script(CHAT, chat_stream("Much.", usage=usage(333_000, 0)))
    with bob.kernel() as kernel:
        assert kernel.run("%chat --once Good morning").status == "ok"
        before = len(asked.requests_to(CHAT))
        run = kernel.run("%chat --once --yes Good morning")
    assert "CapReached" in run.error_lines[0]
    assert "CBORG_BUDGET" in run.error_lines[0]
    assert len(asked.requests_to(CHAT)) == before


def test_a_kernelspec_of_a_users_own_does_not_pass_the_file(
    alice: Person, asked: FaultServer, place: Place, elsewhere: FaultServer
) -> None:
    own = spec(
        place,
        *LAUNCH,
        CBORG_ALLOWED_MODELS="*",
        CBORG_BASE_URL=elsewhere.url,
        CBORG_LOCKED="",
        CBORG_PROVIDER="litellm",
        LITELLM_BASE_URL=elsewhere.url,
    )
    before = len(asked.requests_to(CHAT))
    with alice.kernel(own) as kernel:
        assert "NotAllowed" in kernel.run("%chat --once -m openai/gpt-5 hi").error_lines[0]
        assert kernel.run("%chat --once hi").status == "ok"
    assert len(asked.requests_to(CHAT)) == before + 1
    assert elsewhere.requests == [], "no key went there"


@pytest.mark.parametrize("mistake", ["CBORG_BUGDET=1.00", "CBORG_BUDGET=one dollar"])
def test_a_mistake_in_the_rules_breaks_no_kernel(
    mistake: str, alice: Person, machine: Machine, asked: FaultServer
) -> None:
    good, before = machine.run(["cat", POLICY]), len(asked.requests)
    machine.write(POLICY, f"{good}{mistake}\n")
    try:
        with alice.kernel() as kernel:
            assert kernel.value("6 * 7") == "42"
            run = kernel.run("%chat --once Good morning")
    finally:
        machine.write(POLICY, good)
    assert "BadSetting" in run.error_lines[0]
    assert "Your administrator can mend it" in run.error_lines[1]
    assert len(asked.requests) == before, "nothing was sent"


def test_rules_that_a_user_could_have_written_are_ignored_with_a_line(
    alice: Person, machine: Machine
) -> None:
    machine.run(["chmod", "666", POLICY])
    try:
        with alice.kernel() as kernel:
            run = kernel.run("import os\nos.environ['CBORG_BASE_URL'] = ''\n%chat --dry-run hi")
    finally:
        machine.run(["chmod", "644", POLICY])
    assert f"{POLICY} is ignored: others than root can write {POLICY}." in run.all_text
