"""What do a thousand calls cost the kernel? Nothing that grows.

With `pytest -s` the measured figures are printed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cborg_magics.exchange import Outcome
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.front_ends.kernel import Kernel, clean_environment, kernel
from tests.services.answers import Thought, chat_stream, usage
from tests.services.faults import FaultServer

WIDGET = "application/vnd.jupyter.widget-view+json"
CALLS, A_CELL = 1000, 25

ASK = f"""\
for _ in range({A_CELL}):
    get_ipython().run_line_magic("chat", "--once hi")
"""
# The size of the process in bytes, its Python objects, its threads, its comms. For each thread
# that wrote to the screen, ipykernel keeps a socket until it looks after them: every ten seconds.
MEASURE = """\
import gc, threading, time, psutil
sockets = getattr(get_ipython().kernel.iopub_thread, "_event_pipes", {})
deadline = time.monotonic() + 30
while len(sockets) > 10 and time.monotonic() < deadline:
    time.sleep(0.1)
gc.collect()
print(
    psutil.Process().memory_info().rss,
    len(gc.get_objects()),
    threading.active_count(),
    len(get_ipython().kernel.comm_manager.comms),
)
"""


def measured(running: Kernel) -> list[int]:
    (printed,) = running.run(MEASURE).outputs
    return [int(figure) for figure in printed["text"].split()]


def test_a_thousand_calls_leave_a_thousand_badges_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("psutil")  # ipykernel brings it
    with FaultServer() as server:
        answer = chat_stream(Thought("Hm. "), "It is ", "**42**.", usage=usage(9, 3))
        server.always("/chat/completions", answer)
        environment = clean_environment(
            tmp_path,
            LITELLM_API_KEY=KEY,
            LITELLM_BASE_URL=server.url,
            CBORG_MODEL="test-model",
        )
        with kernel(environment) as running:
            seen = [running.run(ASK) for _ in range(CALLS // A_CELL // 4)]
            early = measured(running)
            seen += [running.run(ASK) for _ in range(CALLS // A_CELL * 3 // 4)]
            last = measured(running)

    outputs = [output for run in seen for output in run.outputs]
    assert {run.status for run in seen} == {"ok"}
    assert len(outputs) == 3 * CALLS, "reasoning, answer, badge"
    assert WIDGET not in json.dumps(outputs)
    badges = [output["data"]["text/plain"] for output in outputs[2::3]]
    assert all(badge.startswith("test-model · 9 tokens in, 3 out · ") for badge in badges)

    rows = Ledger(tmp_path / "cborg").rows()
    assert len(rows) == len(server.requests_to("/chat/completions")) == CALLS
    assert {(row.outcome, row.usage and row.usage.prompt) for row in rows} == {
        (Outcome.COMPLETED, 9)
    }

    calls = CALLS * 3 // 4
    print(
        f"\n{calls} calls after a quarter: {(last[0] - early[0]) / 1e6:+.1f} MB"
        f" (from {early[0] / 1e6:.0f} MB), {last[1] - early[1]:+d} objects,"
        f" {last[2]} threads, {last[3]} comms"
    )
    assert last[3] == 0, "no widget"
    assert last[2] <= early[2], "no thread is left"
    assert last[1] - early[1] < calls, "not an object for each call"
    assert last[0] - early[0] < 20e6
