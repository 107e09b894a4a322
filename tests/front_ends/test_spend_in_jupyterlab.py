"""What does %spend look like in JupyterLab: light and dark, narrow, and in a file not trusted?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from cborg_magics.exchange import Source
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.front_ends.test_jupyterlab import CONTRAST
from tests.services.answers import json_answer
from tests.services.faults import FaultServer
from tests.test_ledger import reply

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

MODELS = (
    ("anthropic/claude-sonnet", "0.0312", Source.BILLED),
    ("openai/gpt-5", "0.0127", Source.BILLED),
    ("google/gemini-pro", "0.0064", Source.ESTIMATED),
    ("lbl/cborg-chat", "0", Source.FREE),
    ("lbl/cborg-vision", "0", Source.FREE),
    ("test/unpriced", None, Source.UNKNOWN),
)
DRAWN = """() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(image => ({
    alt: image.alt, loaded: image.complete && image.naturalWidth > 0,
    wide: image.getBoundingClientRect().width, high: image.getBoundingClientRect().height,
}))"""


@pytest.fixture
def spent(tmp_path: Path, service: FaultServer) -> Callable[[str], dict[str, str]]:
    """A ledger with a month's calls, and a service whose key has a budget."""
    now = datetime.now(timezone.utc)
    begin = max(now.replace(day=1, hour=8), now - timedelta(days=20))
    key = {"spend": 1.0143, "max_budget": 2.0, "budget_reset_at": "2031-01-01T00:00:00Z"}
    service.always("/key/info", json_answer({"key": "hash", "info": key}))
    user = {"user_info": {"spend": 3.2, "max_budget": 50.0}}
    service.always("/user/info", json_answer(user))

    def made(host: str) -> dict[str, str]:
        ledger, log = Ledger(tmp_path / "cborg"), []
        for number in range(60):
            model, dollars, source = MODELS[number % len(MODELS)]
            at = begin + (now - begin) * (number / 60) ** 1.5
            share = Decimal(1 + number % 5) / 3
            figure = None if dollars is None else str(Decimal(dollars) * share)
            call = replace(
                reply(figure, source), started=at, model=model, host=host, call_id=f"call-{number}"
            )
            if number != 40:
                ledger.record(call, "another" if number < 45 else "k", "main")
            if number != 41:
                log.append(logged(call, 1.2 if source is Source.ESTIMATED else 1.0))
        service.always("/spend/logs", json_answer(log))
        return {
            "LITELLM_API_KEY": KEY,
            "LITELLM_BASE_URL": service.url,
            "CBORG_HOME": str(tmp_path / "cborg"),
            "CBORG_BUDGET": "2.50",
        }

    return made


def logged(call: Any, factor: float) -> dict[str, Any]:
    return {
        "request_id": f"chatcmpl-{call.call_id}",
        "litellm_call_id": call.call_id,
        "spend": float(call.cost.dollars or 0) * factor,
        "startTime": call.started.isoformat(),
        "model_group": call.model,
        "status": "success",
        "api_key": "hash",
    }


@pytest.fixture
def ask(
    lab: JupyterLab, spent: Callable[[str], dict[str, str]], service: FaultServer
) -> Iterator[Callable[..., None]]:
    """Opens a notebook with these cells, and runs them."""
    from tests.front_ends.lab import notebook

    def run(*cells: str) -> None:
        variables = spent(service.url.removeprefix("http://"))
        first = f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics"
        notebook(lab.root / "spent.ipynb", [first, *cells])
        lab.open("spent.ipynb")
        lab.run_all()

    yield run
    lab.close()


def looks(lab: JupyterLab) -> list[dict[str, Any]]:
    """The pictures in the outputs."""
    lab.page.wait_for_timeout(300)
    return list(lab.page.evaluate(DRAWN))


def test_it_reads_well_in_light_and_dark_and_in_a_narrow_window(
    lab: JupyterLab, ask: Callable[..., None], pictures: Path
) -> None:
    ask("%spend", "%spend --by day", "%spend --reconcile")
    earlier = len(lab.errors)  # of other tests in the same browser
    text = lab.text(1)
    for words in ("from the ledger", "this month, by model", "LiteLLM: the key's budget"):
        assert words in text
    assert "The cap of $2.50 for this kernel (CBORG_BUDGET) leaves $2.50." in text
    assert "of the ledger is not in LiteLLM's log" in lab.text(3)
    assert "1 call of this key is in LiteLLM's log only" in lab.text(3)
    lab.screenshot(pictures / "spend-light.png")
    lab.screenshot(pictures / "spend-reconcile-light.png", 3)
    found = looks(lab)
    assert all(image["loaded"] for image in found)
    plot = next(image for image in found if image["alt"].startswith("Spending"))
    assert "budget left" in plot["alt"]
    assert 500 < plot["wide"] < 540
    bars = [image for image in found if image["alt"].endswith("%")]
    assert {round(bar["high"]) for bar in bars} == {7}
    assert max(bar["wide"] for bar in bars) == 72
    contrasts = lab.page.evaluate(CONTRAST)
    lab.dark()
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    lab.screenshot(pictures / "spend-dark.png")
    lab.screenshot(pictures / "spend-reconcile-dark.png", 3)
    contrasts += lab.page.evaluate(CONTRAST)
    assert min(contrasts) > 4.5
    lab.resize(560, 1400)
    lab.settle()
    lab.screenshot(pictures / "spend-narrow.png", 1)
    narrow = next(image for image in looks(lab) if image["alt"].startswith("Spending"))
    assert narrow["wide"] < 480
    assert abs(narrow["wide"] / narrow["high"] - 520 / 120) < 0.1
    lab.resize(1280, 1400)
    lab.dark(False)
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    assert lab.errors[earlier:] == []


def test_tables_and_drawing_are_there_in_a_file_that_is_not_trusted(
    lab: JupyterLab, ask: Callable[..., None], pictures: Path
) -> None:
    ask("%spend")
    text = lab.text(1)
    trusted = looks(lab)
    lab.save()
    path = lab.root / "spent.ipynb"
    saved = nbformat.read(path, as_version=4)
    saved.cells[0].source = "# changed, so that JupyterLab does not trust the file"
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
    lab.close()
    nbformat.write(saved, path)
    lab.open("spent.ipynb")
    lab.settle()
    assert lab.text(1) == text
    assert looks(lab) == trusted
    lab.screenshot(pictures / "spend-untrusted.png")
