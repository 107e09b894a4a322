"""What does a person see in JupyterLab, while an answer comes, afterwards, and another day?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.conftest import KEY
from tests.services.answers import Thought, chat_stream, refusal, usage
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

PATIENCE = 60.0  # seconds
LIVE = r"^lbl/cborg-chat · [\d.]+ s so far · about \d+ tokens a second$"

# How well can our small print be read? As the WCAG count it: 1 is not at all, 4.5 is enough.
CONTRAST = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = element => {
        const colour = numbers(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 ? behind(element.parentElement) : colour;
    };
    const over = ([red, green, blue, opacity = 1], below) => [red, green, blue].map(
        (part, index) => part * opacity + below[index] * (1 - opacity));
    const light = colour => colour
        .map(part => part / 255)
        .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const ours = '.jp-OutputArea-output[data-mime-type="text/html"] > *';
    return [...document.querySelectorAll(ours)].map(element => {
        const below = behind(element).slice(0, 3);
        const above = over(numbers(getComputedStyle(element).color), below);
        const both = [light(below), light(above)];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    });
}"""


@pytest.fixture
def ask(lab: JupyterLab, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Opens a notebook: cell 0 sets the environment, then come the cells of the test."""
    from tests.front_ends.lab import notebook

    def run(*cells: str, **variables: str) -> None:
        variables["CBORG_HOME"] = str(tmp_path / "cborg")
        first = f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics"
        notebook(lab.root / "seen.ipynb", [first, *cells])
        lab.open("seen.ipynb")
        lab.run_cell(0)

    yield run
    lab.close()


def of(proxy: Proxy) -> dict[str, str]:
    return {
        "LITELLM_API_KEY": proxy.master_key,
        "LITELLM_BASE_URL": proxy.url,
        "CBORG_MODEL": "lbl/cborg-chat",
    }


def watch(lab: JupyterLab, cell: int, until: Callable[[list[str]], Any]) -> list[str]:
    """What the outputs of a cell say, as often as that changes, until it is enough."""
    seen = [lab.text(cell)]
    deadline = time.monotonic() + PATIENCE
    while not until(seen):
        assert time.monotonic() < deadline, seen[-1]
        lab.page.wait_for_timeout(30)
        if (text := lab.text(cell)) != seen[-1]:
            seen.append(text)
    return seen


def file(lab: JupyterLab) -> Any:
    """The notebook as it is saved."""
    lab.save()
    return nbformat.read(lab.root / "seen.ipynb", as_version=4)


def contrasts(lab: JupyterLab, picture: Path) -> list[float]:
    """Of three badges and a folded reasoning, in the light and in the dark theme."""
    found = lab.page.evaluate(CONTRAST)
    lab.dark()
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    lab.screenshot(picture)
    found += lab.page.evaluate(CONTRAST)
    lab.dark(False)
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    print(f"\ncontrasts: {[round(each, 1) for each in found]}")
    assert len(found) == 8
    return [float(each) for each in found]


def test_an_answer_grows_and_its_badge_lives(
    lab: JupyterLab, ask: Callable[..., None], proxy: Proxy, pictures: Path
) -> None:
    ask("%%chat\n!markdown 0.05", **of(proxy))
    lab.run_cell(1, wait=False)
    seen = watch(lab, 1, lambda seen: re.search(LIVE, seen[-1], re.MULTILINE))
    lab.screenshot(pictures / "streaming.png")
    seen += watch(lab, 1, lambda more: len({len(text) for text in more}) > 3)
    lab.wait()
    assert any(text.startswith("asking lbl/cborg-chat · ") for text in seen)
    assert len({text.partition("lbl/cborg-chat · ")[0] for text in seen}) > 5, "it grows"

    last = lab.text(1)
    assert "Done: 100 % — naïve café, 日本語, 🙂." in last
    assert "It costs $5 to $10, or $7.50 a day." in last
    assert re.search(r"^lbl/cborg-chat \(openai/gpt-oss-120b\) · .* · free · .*$", last, re.M)
    drawn = lab.rendered(1)
    assert drawn.locator("h1").all_inner_texts()[0].startswith("Detector report")
    assert drawn.locator("table tbody tr").count() == 2
    assert drawn.locator("mjx-container").count() == 2
    assert "'''Not a formula: $x$.'''" in drawn.locator("pre").first.inner_text()
    assert lab.rendered(1).locator("[role=note]").count() == 1
    lab.screenshot(pictures / "done.png")


def test_a_saved_answer_reads_the_same_when_it_is_opened_again(
    lab: JupyterLab, ask: Callable[..., None], proxy: Proxy, pictures: Path
) -> None:
    ask(
        "%%chat\n!markdown",
        "%chat --once -m lbl/cborg-deepthought !reason 5 5",
        "%chat -m lbl/cborg-caht hello",
        **of(proxy),
    )
    for cell in (1, 2, 3):
        lab.run_cell(cell)
    lab.screenshot(pictures / "error.png")
    error = lab.text(3)
    assert "Did you mean lbl/cborg-chat?" in error
    assert "Traceback" not in error
    assert "lbl/cborg-caht · no answer · nothing charged" in error
    assert min(contrasts(lab, pictures / "dark.png")) >= 4.5
    before = [lab.text(cell) for cell in (1, 2, 3)]
    saved = file(lab)
    assert "widget" not in nbformat.writes(saved)
    saved.cells[0].source = "# changed, so that JupyterLab does not trust the file"
    nbformat.write(saved, lab.root / "again.ipynb")
    lab.close()
    lab.open("again.ipynb")
    lab.settle()
    lab.screenshot(pictures / "opened-again.png")
    assert [lab.text(cell) for cell in (1, 2, 3)] == before
    assert min(contrasts(lab, pictures / "dark-opened-again.png")) >= 4.5


def test_the_embedded_model_answers_without_any_setting(
    lab: JupyterLab, ask: Callable[..., None], pictures: Path
) -> None:
    ask("%chat What is the capital of France?", "%chat Write a long story about a cat.")
    lab.run_cell(1)
    assert "No key is set" in lab.text(1)
    assert "The capital of France is Paris." in lab.text(1)
    lab.run_cell(2, wait=False)
    watch(lab, 2, lambda seen: "smollm2-135m · " in seen[-1])
    lab.wait()
    lab.screenshot(pictures / "embedded.png")
    assert re.search(r"free · .* · on this machine · turn 2 of main$", lab.text(2))
    assert "widget" not in nbformat.writes(file(lab))


def test_a_wait_counts_down_in_the_cell_and_the_stop_button_ends_it(
    lab: JupyterLab, ask: Callable[..., None], faults: FaultServer, pictures: Path
) -> None:
    host = faults.url.removeprefix("http://")
    faults.script(
        "/chat/completions",
        refusal(429, "throttling_error", "slow", {"retry-after": "3000"}),
        chat_stream(Thought("Let me see. "), 3.0, "Four.", usage=usage(5, 9, 0, 3)),
    )
    settings = {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": faults.url, "CBORG_MODEL": "test-model"}
    ask("%chat Two and two?", "%chat Two and two?", **settings)
    lab.run_cell(1, wait=False)
    counting = f"{host} is busy (429); trying again in "
    seen = watch(lab, 1, lambda seen: len([text for text in seen if counting in text]) >= 2)
    assert int(seen[-1].partition(counting)[2].split()[0]) < 3000
    lab.screenshot(pictures / "waiting.png")
    lab.interrupt()
    lab.wait()
    assert "test-model · interrupted, no text came · nothing charged" in lab.text(1)
    assert "Interrupted" in lab.text(1)
    assert len(lab.text(1).splitlines()) <= 4
    lab.run_cell(2, wait=False)
    watch(lab, 2, lambda seen: "Let me see." in seen[-1])
    lab.screenshot(pictures / "reasoning.png")
    lab.wait()
    assert "Let me see." not in lab.text(2), "folded"
    assert "Four." in lab.text(2)
    lab.rendered(2).locator("summary").click()
    assert "Let me see." in lab.text(2)
    assert [line for line in lab.errors if "widget" in line.lower()] == []


def test_two_figures_of_money_in_one_line_are_no_formula(
    lab: JupyterLab, ask: Callable[..., None], proxy: Proxy, pictures: Path
) -> None:
    ask("%chat -m anthropic/claude-sonnet --dry-run It costs $5 to $10.", **of(proxy))
    lab.run_cell(1)
    lab.screenshot(pictures / "dry-run.png")
    assert re.search(r"Cost: \$[\d.]+ to \$[\d.]+, estimated\.", lab.text(1))
    assert lab.rendered(1).locator("mjx-container").count() == 0
