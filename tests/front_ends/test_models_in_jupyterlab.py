"""What does a person see and click below %models in JupyterLab, and what is left in the file?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.conftest import KEY
from tests.front_ends.kernel import clean_environment, kernel
from tests.services import catalogue_300
from tests.services.answers import chat_json, json_answer, usage
from tests.services.faults import FaultServer

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

WIDGET = "application/vnd.jupyter.widget-view+json"
FORMULAS = r"$\href{javascript:window.hacked=1}{x}$ \(y\)"
HOSTILE = f"{FORMULAS} <img src=x onerror=window.hacked=1>"
DRAWN = ".jp-OutputArea-output table tbody tr"


@pytest.fixture
def service(faults: FaultServer) -> FaultServer:
    """CBorg, with 300 models and one whose name is an attack."""
    answer = catalogue_300.answer()
    answer["data"].append({"model_name": HOSTILE, "litellm_params": {}, "model_info": {}})
    faults.always("/model/info", json_answer(answer))
    return faults


def of(service: FaultServer) -> dict[str, str]:
    return {"CBORG_API_KEY": KEY, "CBORG_BASE_URL": service.url}


@pytest.fixture
def ask(lab: JupyterLab, tmp_path: Path, service: FaultServer) -> Iterator[Callable[..., None]]:
    """Opens a notebook: cell 0 sets the environment, then come the cells of the test."""
    from tests.front_ends.lab import notebook

    def run(*cells: str, **variables: str) -> None:
        variables |= {**of(service), "CBORG_HOME": str(tmp_path / "cborg")}
        first = f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics"
        notebook(lab.root / "models.ipynb", [first, *cells])
        lab.open("models.ipynb")
        lab.run_cell(0)

    yield run
    lab.close()


def saved(lab: JupyterLab) -> str:
    """The notebook's file."""
    lab.save()
    return (lab.root / "models.ipynb").read_text()


def until(lab: JupyterLab, cell: int, words: str) -> None:
    """Wait until the outputs of a cell say something."""
    lab.page.wait_for_function(
        "([cell, words]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[cell]"
        ".querySelector('.jp-OutputArea').innerText.includes(words)",
        arg=[cell, words],
        timeout=20_000,
    )


def photograph(lab: JupyterLab, name: str, pictures: Path) -> None:
    """In the light theme, and in the dark one."""
    lab.screenshot(pictures / f"models-{name}.png")
    lab.dark()
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    lab.screenshot(pictures / f"models-{name}-dark.png")
    lab.dark(False)
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")


def test_the_list_is_filtered_sorted_and_used_by_click_and_only_text_is_saved(
    lab: JupyterLab, ask: Callable[..., None], service: FaultServer, pictures: Path
) -> None:
    ask("%models", "%chat --once hello", "%models lbl/cborg-chat")
    lab.run_cell(1)
    cell = lab.cell(1)
    assert cell.locator(DRAWN).count() == 60
    assert "more models not shown" in lab.text(1)
    photograph(lab, "list", pictures)
    cell.locator("input[type=text]").scroll_into_view_if_needed()
    lab.screenshot(pictures / "models-controls.png")

    cell.locator("input[type=text]").press_sequentially("anthropic", delay=20)
    until(lab, 1, "1 of 298 models")
    assert cell.locator(DRAWN).count() == 1
    cell.locator("input[type=text]").fill("href")
    until(lab, 1, " · href · ")
    assert HOSTILE in lab.text(1)
    assert lab.page.evaluate("window.hacked") is None
    assert lab.page.locator("mjx-container").count() == 0
    cell.locator("input[type=text]").fill("lbl/")
    until(lab, 1, "of 298 models of CBorg")
    cell.get_by_role("button", name="on-premises").click()
    until(lab, 1, "3 of 298 models")
    cell.locator("select").first.select_option("by name")
    lab.settle()
    assert " · lbl/, on-premises, by name · " in lab.text(1)
    photograph(lab, "filtered", pictures)
    cell.locator("select").last.select_option("lbl/cborg-coder")
    cell.get_by_role("button", name="Use").click()
    until(lab, 1, "lbl/cborg-coder is asked from now on")
    assert "lbl/cborg-coder · default" in lab.text(1)
    assert "widget" not in saved(lab)

    lab.run_cell(2)
    assert service.requests_to("/chat/completions")[-1].body["model"] == "lbl/cborg-coder"
    lab.run_cell(3)
    photograph(lab, "used", pictures)
    before = [lab.text(number) for number in (1, 2, 3)]
    file = nbformat.reads(saved(lab), as_version=4)
    assert "widget" not in nbformat.writes(file)
    file.cells[0].source = "# changed, so that JupyterLab does not trust the file"
    nbformat.write(file, lab.root / "again.ipynb")
    lab.close()
    lab.open("again.ipynb")
    lab.settle()
    photograph(lab, "opened-again", pictures)
    assert [lab.text(number) for number in (1, 2, 3)] == before
    assert [line for line in lab.errors if "widget" in line.lower()] == []


def test_the_controls_go_when_another_cell_runs(lab: JupyterLab, ask: Callable[..., None]) -> None:
    ask("%models lbl", "1 + 1")
    lab.run_cell(1)
    assert WIDGET in saved(lab)
    lab.run_cell(2)
    assert "widget" not in saved(lab)
    assert "%models --use NAME makes it the kernel's default" in lab.text(1)


def test_the_controls_go_when_nobody_touches_them(
    lab: JupyterLab, ask: Callable[..., None]
) -> None:
    soon = "import cborg_magics.display.model_controls as c; c.IDLE_SECONDS = 2.0"
    ask(soon, "%models lbl")
    lab.run_cell(1)
    lab.run_cell(2)
    cell = lab.cell(2)
    for word in ("l", "b", "l"):
        cell.locator("input[type=text]").press_sequentially(word)
        lab.page.wait_for_timeout(1200)
    assert cell.locator("input[type=text]").count() == 1
    until(lab, 2, "makes it the kernel's default")
    assert "widget" not in saved(lab)


def test_a_narrow_window_reads_well(
    lab: JupyterLab, ask: Callable[..., None], pictures: Path
) -> None:
    ask("%models lbl", "%models --check lbl/cborg-chat lbl/nomic-embed-text lbl/cborg-coder")
    lab.run_cell(1)
    lab.resize(640, 900)
    lab.settle()
    lab.screenshot(pictures / "models-narrow.png")
    lab.resize(1280, 1400)
    lab.run_cell(2)
    assert "3 of 3 models answer" in lab.text(2)
    assert "a vector of 2 numbers" in lab.text(2)
    photograph(lab, "checked", pictures)


def run_models(tmp_path: Path, service: FaultServer, person: bool, *first: str) -> Any:
    with kernel(clean_environment(tmp_path, **of(service))) as running:
        for cell in first:
            running.run(cell)
        return running.run("%models lbl", person=person)


def test_nothing_is_live_where_nobody_watches(tmp_path: Path, service: FaultServer) -> None:
    run = run_models(tmp_path, service, False)
    assert len(run.outputs) == 1
    assert "widget" not in run.all_text
    assert "comm_open" not in {message["type"] for message in run.messages}


def test_without_ipywidgets_the_table_is_there(tmp_path: Path, service: FaultServer) -> None:
    hide = "import sys; sys.modules['ipywidgets'] = None"
    run = run_models(tmp_path, service, True, hide)
    assert run.error is None
    assert len(run.outputs) == 1
    assert re.match(r"\d of 298 models of CBorg", run.plain[0])


def test_one_row_of_controls_serves_the_whole_kernel(tmp_path: Path, service: FaultServer) -> None:
    with kernel(clean_environment(tmp_path, **of(service))) as running:
        first = running.run("%models lbl")
        again = [running.run("%models lbl") for _ in range(5)]
        opened = [
            sum(message["type"] == "comm_open" for message in run.messages)
            for run in (first, *again)
        ]
    assert opened[0] > 0
    assert opened[1:] == [0] * 5


def test_a_check_is_one_line_that_grows_and_then_one_table(
    tmp_path: Path, service: FaultServer
) -> None:
    service.always("/chat/completions", chat_json("yes", usage=usage(1, 1)).after(0.8))
    line = "%models --check lbl/cborg-chat lbl/cborg-coder lbl/nomic-embed-text"
    with kernel(clean_environment(tmp_path, **of(service))) as running:
        run = running.run(line)
        alone = running.run(line, person=False)
    assert len(run.outputs) == len(alone.outputs) == 1
    assert run.plain[0].startswith("3 of 3 models answer · ")
    kinds = [message["type"] for message in run.messages]
    assert kinds.count("update_display_data") >= 2
    assert "update_display_data" not in {message["type"] for message in alone.messages}
    assert "comm_open" not in kinds


def test_stop_ends_a_check_and_keeps_what_was_learnt(tmp_path: Path, service: FaultServer) -> None:
    service.script("/chat/completions", chat_json("yes", usage=usage(1, 1)))
    service.always("/chat/completions", chat_json("yes").after(5))
    with kernel(clean_environment(tmp_path, **of(service), CBORG_PARALLEL="1")) as running:
        run = running.run(
            "%models --check lbl/cborg-chat lbl/cborg-coder lbl/cborg-vision",
            interrupt_when=lambda run: run.plain and "1 of 1 model answer" in run.plain[0],
        )
    assert run.seconds < 2
    assert run.plain[0].startswith("1 of 1 model answer · 2 not asked yet")
    assert run.error is not None
    assert len(run.error_lines) == 1
