"""Twenty real kernels of one person call at once, under one cap: do they pass it together?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from cborg_magics.exchange import Source
from cborg_magics.ledger import Ledger, total
from tests.front_ends.kernel import Kernel, Run, clean_environment
from tests.services.proxy import Proxy

KERNELS = 20
CAP = Decimal("0.05")
WORDS = 250  # of each answer: $0.00375; the worst case is about a tenth more
SLOW = 300.0  # seconds: a machine may be busy

AT_ONCE = """
import time
time.sleep(max(0, {when} - time.time()))
%chat --once -m anthropic/claude-sonnet --max-tokens {words} !tokens {words} 0.004
"""


@pytest.fixture
def kernels(proxy: Proxy, tmp_path: Path) -> Iterator[list[Kernel]]:
    """Twenty kernels with one home, which have all spoken to the proxy."""
    environ = clean_environment(
        tmp_path,
        LITELLM_API_KEY=proxy.master_key,
        LITELLM_BASE_URL=proxy.url,
        CBORG_BUDGET_DAY=str(CAP),
        CBORG_MAX_WAIT="60",
    )
    with ExitStack() as stack:
        made: list[Kernel] = []
        for _ in range(KERNELS):
            made.append(Kernel(environ))
            stack.callback(made[-1].close)
        for run in at_once(made, "%chat --once -m lbl/cborg-chat hi"):
            assert run.status == "ok", run.error_lines
        yield made


def at_once(kernels: list[Kernel], code: str) -> list[Run]:
    """The same cell in every kernel."""
    begun = [(kernel, kernel.begin(code)) for kernel in kernels]
    return [kernel.end(request, timeout=SLOW) for kernel, request in begun]


def test_twenty_kernels_never_pass_the_cap_together(kernels: list[Kernel], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "cborg")
    assert len(ledger.rows()) == KERNELS, "the free calls"
    answered = 0
    for _ in range(2):
        runs = at_once(kernels, AT_ONCE.format(when=time.time() + 3, words=WORDS))
        answered += len(done := [run for run in runs if run.status == "ok"])
        assert len(done) < len(runs), "the cap is not for all of them"
        for run in runs:
            if run.status != "ok":
                assert run.error_lines[0].startswith("CapReached: the cap of $0.05 a day"), run
                assert len(run.error_lines) == 2
        paid = [row for row in ledger.rows() if row.cost.source is not Source.FREE]
        assert len(paid) == answered
        assert {row.cost.source for row in paid} <= {Source.BILLED, Source.ESTIMATED}
        assert total(paid).dollars <= CAP
    assert total(paid).dollars > CAP * Decimal("0.8"), "and it can be used"
    assert ledger.spending("", paid[0].started).day.held == 0
