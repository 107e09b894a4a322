"""How long does `%models` take for 300 models, once they are fetched? In a real kernel.

The table is what a person waits for; the controls below it come after. The first call imports
what it needs, ipywidgets among it.
"""

from __future__ import annotations

from statistics import median

from tests.bench.table import Figure
from tests.conftest import KEY
from tests.front_ends.kernel import Kernel, Run, clean_environment, kernel
from tests.services import catalogue_300
from tests.services.answers import json_answer
from tests.services.faults import FaultServer
from tests.services.processes import scratch

ROUNDS = 20
MOST = 200.0  # ms


def measure() -> list[Figure]:
    """List 300 models again and again, with and without somebody to click."""
    with scratch() as folder, FaultServer() as server:
        server.always("/model/info", json_answer(catalogue_300.answer()))
        service = {"CBORG_API_KEY": KEY, "CBORG_BASE_URL": server.url}
        with kernel(clean_environment(folder, **service)) as running:
            running.run("%models --refresh", person=False)
            first = running.run("%models")
            tables = [_until_table(running) for _ in range(ROUNDS)]
            whole = [1000 * running.run("%models").seconds for _ in range(ROUNDS)]
            bare = [1000 * running.run("%models", person=False).seconds for _ in range(ROUNDS)]
    note = f"{min(tables):.0f} to {max(tables):.0f}"
    return [
        Figure("until the table is shown", median(tables), "ms", MOST, note),
        Figure("cell done, with controls", median(whole), "ms", MOST),
        Figure("cell done, nobody there", median(bare), "ms", MOST),
        Figure("the first one, with imports", 1000 * first.seconds, "ms"),
        Figure("of the table", len(_html(first)) / 1000, "kB"),
    ]


def _until_table(running: Kernel) -> float:
    """Milliseconds from the cell's start to the table."""
    run = running.run("%models")
    began = next(each["at"] for each in run.messages if each["type"] == "execute_input")
    shown = next(each["at"] for each in run.messages if each["type"] == "display_data")
    return float(1000 * (shown - began))


def _html(run: Run) -> str:
    return str(run.outputs[0]["data"]["text/html"])
