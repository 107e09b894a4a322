"""What can be done in JupyterLab without a mouse, and what does a screen reader say?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.front_ends import everywhere
from tests.front_ends.everywhere import CHAT, EMBEDDER, MODEL, SENTENCES, Service
from tests.services.answers import Thought, chat_stream, usage

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

FIRST_STEPS = f"""figures = 1
%embed -o found {SENTENCES!r}"""
SLOW = "%embed --no-cache -o more [f'text number {n}' for n in range(4000)]"
TABS = {
    "%chat --mo": "--model",
    "%chat -m lbl/cb": MODEL,
    "%models --use lbl/n": EMBEDDER,
    "%embed -m ": EMBEDDER,
    "%chat -t ": "main",
    "%chat -a figu": "figures",
    "%chat --context fo": "found",
}
QUESTION, CITED, MAP, LIST, SPENT, SLOWLY, STOPPED, EMPTY = range(2, 10)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def opened(
    lab: JupyterLab, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterLab]:
    """A notebook whose first cells have run."""
    from tests.front_ends.lab import notebook

    cells = [
        everywhere.setup(service, tmp_path_factory.mktemp("spent")),
        FIRST_STEPS,
        "%chat What glows?",
        "%chat --context found -k 2 Which detector sees light?",
        "found.plot()",
        "%models --free",
        "%spend",
        SLOW,
        "%chat --once Go on for ever",
        "",
    ]
    service.script(
        CHAT,
        chat_stream(Thought("Let me see. "), "Xenon.", usage=usage(9, 9, 0, 4), model=MODEL),
        chat_stream("A photomultiplier [1].", usage=usage(80, 9), model=MODEL),
    )
    notebook(lab.root / "hands.ipynb", cells)
    lab.open("hands.ipynb")
    for cell in range(SLOWLY):
        lab.run_cell(cell)
    yield lab
    lab.close()


def command_mode(lab: JupyterLab, cell: int) -> None:
    """The keys go to the notebook now, and this cell is the active one."""
    lab.page.evaluate(
        "cell => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = cell; }", cell
    )
    lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:enter-command-mode')")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.node.focus()")


def spoken(lab: JupyterLab, cell: int) -> str:
    """What a screen reader finds in the outputs of a cell."""
    return lab.cell(cell).locator(".jp-OutputArea").first.aria_snapshot()


# -- a screen reader -----------------------------------------------------------------------


def test_answers_are_text_and_badges_are_notes(opened: JupyterLab) -> None:
    said = spoken(opened, QUESTION)
    assert "group: Reasoning" in said
    assert re.search(r"paragraph: Xenon\.", said)
    assert re.search(r"note: lbl/cborg-chat · 9 tokens in, 9 out \(4 reasoning\) · free", said)


def test_tables_are_told_by_their_caption_and_headings(opened: JupyterLab) -> None:
    said = spoken(opened, LIST)
    assert re.search(r"table \"1 of 5 models of LiteLLM .*", said)
    for heading in ("model", "$/M in", "$/M out", "context", "can", "runs"):
        assert f'columnheader "{heading}"' in said
    assert 'cell "lbl/cborg-chat · default"' in said
    assert spoken(opened, SPENT).count("- table") == 2


def test_drawings_are_told_in_words(opened: JupyterLab) -> None:
    said = spoken(opened, MAP)
    assert 'img "A scatter plot: 6 texts · the two axes hold' in said
    assert re.search(r'cell "\d+%"|img "\d+%"|cell "unknown"|cell "\$0"', spoken(opened, SPENT))


def test_progress_is_told_with_its_value(
    opened: JupyterLab, service: Service, pictures: Path
) -> None:
    service.latency = 0.3
    opened.run_cell(SLOWLY, wait=False)
    bar = opened.cell(SLOWLY).get_by_role("progressbar", name="progress")
    bar.wait_for(timeout=20_000)
    opened.cell(SLOWLY).get_by_text("s left").wait_for(timeout=20_000)
    opened.screenshot(pictures / "progress.png", SLOWLY)
    found = {name: bar.get_attribute(f"aria-value{name}") for name in ("min", "now", "max")}
    service.latency = 0.0
    opened.wait()
    assert found["min"] == "0"
    assert found["max"] == "4000"
    assert 0 < int(found["now"] or 0) < 4000
    assert bar.count() == 0
    assert "4,000 texts" in spoken(opened, SLOWLY)


# -- the keyboard --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "words"), [(QUESTION, "Let me see."), (CITED, "passage")], ids=["thoughts", "passages"]
)
def test_what_is_folded_away_is_opened_with_the_keyboard(
    opened: JupyterLab, cell: int, words: str
) -> None:
    page, folded = opened.page, opened.cell(cell).locator("details")
    assert folded.get_attribute("open") is None
    command_mode(opened, cell)
    for _ in range(30):
        page.keyboard.press("Tab")
        if folded.locator("summary").evaluate("it => it === document.activeElement"):
            break
    else:
        pytest.fail("Tab does not come to it")
    page.keyboard.press("Enter")
    assert folded.get_attribute("open") is not None
    assert words in folded.inner_text()
    page.keyboard.press("Enter")
    assert folded.get_attribute("open") is None


def test_a_cell_is_run_and_stopped_with_the_keyboard(opened: JupyterLab, service: Service) -> None:
    service.script(CHAT, chat_stream("It begins", 60.0, model=MODEL))
    command_mode(opened, STOPPED)
    opened.page.keyboard.press("Control+Enter")
    opened.cell(STOPPED).get_by_text("It begins").wait_for(timeout=20_000)
    command_mode(opened, STOPPED)
    opened.page.keyboard.press("i")
    opened.page.keyboard.press("i")
    opened.cell(STOPPED).get_by_text("interrupted, partial").wait_for(timeout=20_000)
    assert "It begins" in opened.text(STOPPED)
    opened.settle()


@pytest.mark.parametrize("typed", TABS)
def test_tab_completes(opened: JupyterLab, typed: str) -> None:
    page = opened.page
    write(opened, typed)
    page.keyboard.press("Tab")
    offered = page.locator(".jp-Completer:visible .jp-Completer-match")
    offered.first.wait_for(timeout=15_000)
    # Below what the kernel offers, JupyterLab lists words of the cell where nothing is begun yet.
    assert offered.first.inner_text() == TABS[typed]
    page.keyboard.press("Enter")
    assert source(opened) == f"{typed.rpartition(' ')[0]} {TABS[typed]}"


def test_the_manual_opens_in_the_notebook(opened: JupyterLab, pictures: Path) -> None:
    write(opened, "%chat?")
    opened.run_cell(EMPTY)
    text = opened.text(EMPTY)
    assert "Ask a model. The text is sent as you typed it" in text
    assert "    %chat What is the capital of France?" in text
    assert "  -m, --model NAME          the model to ask" in text
    assert "::" not in text
    opened.screenshot(pictures / "manual.png", EMPTY)


def write(lab: JupyterLab, text: str) -> None:
    """Type into the last cell, which is empty then."""
    lab.page.evaluate(
        "cell => window.jupyterapp.shell.currentWidget.content.widgets[cell]"
        ".model.sharedModel.setSource('')",
        EMPTY,
    )
    lab.cell(EMPTY).locator(".cm-content").click()
    lab.page.keyboard.type(text)


def source(lab: JupyterLab) -> str:
    return str(
        lab.page.evaluate(
            "cell => window.jupyterapp.shell.currentWidget.content.widgets[cell]"
            ".model.sharedModel.source",
            EMPTY,
        )
    )
