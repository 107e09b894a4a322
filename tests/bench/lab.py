"""What does a person in JupyterLab feel while a long answer comes? A real one, in Chromium.

The same report, at the same speed, is shown by `%%chat` and by a plain loop that redraws all that
has come, twenty times a second. Each run is in a notebook and a kernel of its own. How long the
page stood still while nothing happened is measured too: so much is the machine's own noise.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.bench import report, server
from tests.bench.stream import RATE, chat
from tests.bench.table import Figure
from tests.front_ends.lab import JupyterLab, notebook
from tests.services.processes import scratch

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

ORDER = ("ours", "naive", "ours", "naive", "ours")
PATIENCE = 240.0  # seconds for one answer: the naive way may need a minute after its end
IDLE = 5000  # ms
MOST_LATE = 0.2  # seconds
MOST_GAP = 100.0  # ms

NAIVE = """
import time
import openai
from IPython.display import Markdown, display
client = openai.OpenAI(base_url={url!r} + "/v1", api_key="sk-bench")
def ask(question):
    text, shown, handle = "", 0.0, display(Markdown(""), display_id=True)
    for chunk in client.chat.completions.create(
        model="test-model",
        messages=[{{"role": "user", "content": question}}],
        stream=True,
        stream_options={{"include_usage": True}},
    ):
        for choice in chunk.choices:
            text += choice.delta.content or ""
        if time.monotonic() - shown >= 0.05:
            handle.update(Markdown(text))
            shown = time.monotonic()
    handle.update(Markdown(text))
"""
WARM = "fast 20"
CELLS = {
    "ours": ("%load_ext cborg_magics", chat(WARM), chat(f"report {RATE}")),
    "naive": (NAIVE, f"ask({WARM!r})", f"ask('report {RATE}')"),
}

# The last formula of the report is completed by its last token, and drawn by MathJax.
RECORD = """([end, cell]) => {
    const place = document.querySelectorAll('.jp-Notebook .jp-Cell')[cell];
    const zero = {gap: 0, at: 0, frames: 0, long: 0, badges: 0, still: 0, shown: 0};
    const record = window.record = zero;
    const isShown = () => {
        const drawn = [...place.querySelectorAll('.jp-RenderedMarkdown')].at(-1);
        const last = drawn?.lastElementChild;
        return !!last?.textContent.includes(end) && !!last.querySelector('mjx-container');
    };
    new PerformanceObserver(list => {
        for (const task of list.getEntries()) record.long += task.duration;
    }).observe({type: 'longtask'});
    const began = performance.now();
    let last = began, words = '', changed = last, found = false;
    const frame = () => {
        const now = performance.now();
        record.frames += 1;
        if (now - last > record.gap) [record.gap, record.at] = [now - last, (last - began) / 1000];
        last = now;
        const badge = place.querySelector('.widget-html-content')?.textContent ?? '';
        if (badge && badge !== words) {
            if (words) record.still = Math.max(record.still, now - changed);
            [words, changed] = [badge, now];
            record.badges += 1;
        }
        if (found) record.shown = Date.now() / 1000;  // the frame with it was drawn
        if (found || record.stop) return;
        found = isShown();
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


@dataclass(frozen=True)
class Shown:
    """One answer on screen. `still`: how long the live badge stood still, in ms."""

    late: float  # seconds, from the last token sent to the end on screen
    gap: float  # ms, the longest between two frames
    at: float  # seconds after the beginning, that gap
    long: float  # ms, in tasks of more than 50 ms
    cpu: float  # seconds of the page's main thread
    frames: int
    badges: int
    still: float
    outputs: int


def measure() -> list[Figure]:
    """Show the report in both ways, in turn."""
    shown: dict[str, list[Shown]] = {"ours": [], "naive": []}
    idle: list[float] = []
    with server.model() as url, scratch() as folder:
        environment = {
            "LITELLM_BASE_URL": url,
            "LITELLM_API_KEY": "sk-bench",
            "CBORG_MODEL": "test-model",
            "CBORG_HOME": str(folder / "cborg"),
        }
        with JupyterLab(folder, _chromium(), env=environment) as lab:
            for number, way in enumerate(ORDER):
                cells = [cell.format(url=url) if cell is NAIVE else cell for cell in CELLS[way]]
                notebook(folder / f"{number}.ipynb", cells)
                idle.append(_open(lab, f"{number}.ipynb"))
                shown[way].append(_show(lab, url))
                lab.close()
    return _figures(shown["ours"], shown["naive"], idle)


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or str(Path("/usr/bin/chromium"))


def _open(lab: JupyterLab, name: str) -> float:
    """Open a notebook, run all but its last cell; the longest gap between frames after that."""
    lab.open(name)
    lab.run_cell(0)
    lab.run_cell(1)
    lab.page.evaluate(RECORD, [report.END, 2])
    lab.page.wait_for_timeout(IDLE)
    gap: float = lab.page.evaluate("() => { window.record.stop = true; return window.record.gap; }")
    return gap


def _show(lab: JupyterLab, url: str) -> Shown:
    """Run the last cell and watch it."""
    developer = lab.page.context.new_cdp_session(lab.page)
    developer.send("Performance.enable")
    words, _, _ = report.END.partition("$")
    lab.page.evaluate(RECORD, [words, 2])
    before = _main_thread(developer)
    lab.run_cell(2, wait=False)
    lab.page.wait_for_function("() => window.record.shown", polling=100, timeout=PATIENCE * 1000)
    cpu = _main_thread(developer) - before
    record: dict[str, Any] = lab.page.evaluate(
        "() => { window.record.stop = true; return window.record; }"
    )
    lab.wait(PATIENCE)
    outputs, late = len(lab.outputs(2)), record["shown"] - server.last_sent(url)
    names = ("gap", "at", "long", "frames", "badges", "still")
    return Shown(late=late, cpu=cpu, outputs=outputs, **{name: record[name] for name in names})


def _main_thread(developer: CDPSession) -> float:
    """Seconds of tasks of the page's main thread since it began."""
    metrics = developer.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def _figures(ours: list[Shown], naive: list[Shown], idle: list[float]) -> list[Figure]:
    """Ours beside its target, the naive way in the note.

    Of the longest gaps the least counts: another program on the machine can only lengthen them.
    """
    last, began = ours[-1], [each.at for each in ours]
    return [
        _figure("from the last token to the screen", "s", "late", ours, naive, MOST_LATE),
        _figure("longest time without a frame", "ms", "gap", ours, naive, MOST_GAP, min),
        Figure("it came after", median(began), "s", note=f"of {_all(began)}"),
        Figure("the same in an idle page", median(idle), "ms", note=_all(idle)),
        _figure("main thread in long tasks", "ms", "long", ours, naive),
        _figure("main thread in all", "s", "cpu", ours, naive),
        Figure("live badge: new words", last.badges, "times", note="while the answer came"),
        Figure("live badge: longest stand", median(each.still for each in ours), "ms"),
        Figure("outputs of the cell", last.outputs, note="frozen blocks, tail and badge"),
    ]


def _figure(
    what: str,
    unit: str,
    name: str,
    ours: list[Shown],
    naive: list[Shown],
    target: float | None = None,
    of: Callable[[list[float]], float] = median,
) -> Figure:
    mine, other = ([getattr(each, name) for each in runs] for runs in (ours, naive))
    ratio = of(mine) / of(other) if of(other) else 1.0
    note = f"of {_all(mine)}; naive {_all(other)}; ratio {ratio:.2g}"
    return Figure(what, of(mine), unit, target, note)


def _all(values: list[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
