"""What does the hour cost a student? Every notebook, solved, run and read from the ledger.

    python -m tests.workshop.cost            on the embedded model
    python -m tests.workshop.cost --proxy    on the real LiteLLM proxy before the embedded model

Measured: calls and tokens, and on the proxy the dollars that it bills. The price of the same tokens
elsewhere is arithmetic, and so is a longer answer. The proxy needs `tests.services.build`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from cborg_magics.exchange import Source
from cborg_magics.ledger import Ledger, Row
from tests import examples
from tests.workshop import lessons, toy

# US dollars per million tokens, in and out.
PRICES = {
    "gpt-oss-120b, LLMBase's list": ("0.09", "0.36"),
    "gpt-4.1, LiteLLM 1.106's list": ("2.00", "8.00"),
    "claude-sonnet, the list of the tests' proxy": ("3.00", "15.00"),
}
LONGER = 10  # a larger model's answers, in lengths of the toy's
MILLION = Decimal(1_000_000)


def measure(home: Path) -> dict[str, list[Row]]:
    """The calls of each notebook, as the ledger has them."""
    calls: dict[str, list[Row]] = {}
    for path in lessons.LESSONS:
        before = len(Ledger(home).rows())
        examples.run(path, lessons.solved(path))
        calls[path.stem] = Ledger(home).rows()[before:]
    return calls


def tokens(rows: Sequence[Row]) -> tuple[int, int]:
    """How many went in, and how many came out."""
    used = [row.usage for row in rows if row.usage]
    return sum(each.prompt for each in used), sum(each.completion for each in used)


def report(calls: dict[str, list[Row]]) -> str:
    """The table of the hour."""
    lines = [f"{'notebook':24} {'calls':>6} {'in':>7} {'out':>7}"]
    every = [row for rows in calls.values() for row in rows]
    for name, rows in [*calls.items(), ("the hour", every)]:
        prompt, completion = tokens(rows)
        lines.append(f"{name:24} {len(rows):6} {prompt:7,} {completion:7,}")
    for source in Source:
        found = [row.cost.dollars or Decimal(0) for row in every if row.cost.source is source]
        if found:
            lines.append(f"{source.value}: {len(found)} calls, ${sum(found):.6f}")
    prompt, completion = tokens(every)
    for name, (dear_in, dear_out) in PRICES.items():
        once, more = (
            (prompt * Decimal(dear_in) + times * completion * Decimal(dear_out)) / MILLION
            for times in (1, LONGER)
        )
        lines.append(
            f"{name}: ${once:.4f}; with answers {LONGER} times as long ${more:.4f} (arithmetic)"
        )
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.environ["CBORG_HOME"] = folder
        if "--proxy" in words:
            os.environ.update(toy.environment(stack.enter_context(toy.ToyProxy())))
        print(report(measure(Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
