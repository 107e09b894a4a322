"""What is left in the file? A notebook that anybody can read, without a kernel or a widget."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter, MarkdownExporter

from tests.conftest import KEY
from tests.front_ends.kernel import Run, clean_environment, kernel
from tests.services.answers import HANG, Thought, chat_stream, refusal, usage
from tests.services.faults import FaultServer
from tests.services.upstream import MARKDOWN

CHAT = "/chat/completions"
WIDGET = "application/vnd.jupyter.widget-view+json"
LOAD = "%load_ext cborg_magics"
FRANCE = "%chat --once What is the capital of France?"
BADGE = re.compile(r"smollm2-135m · \d+ tokens in.*, \d+ out · free · .* s · on this machine")


def notebook(*cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    return made


def headless(home: Path, *cells: str) -> nbformat.NotebookNode:
    """The cells with what they put out when nobody is there, on the embedded model."""
    done = notebook(*cells)
    client = NotebookClient(done, timeout=120, kernel_name="python3")
    client.execute(env=clean_environment(home), cwd=str(home))
    return done


def saved(cells: dict[str, Run]) -> nbformat.NotebookNode:
    """The notebook that a front end would save of these runs."""
    made = notebook(*cells)
    for cell, run in zip(made.cells, cells.values(), strict=True):
        for output in run.outputs:
            fields = {name: value for name, value in output.items() if name != "display_id"}
            cell.outputs.append(nbformat.v4.new_output(**fields))
    return made


def kinds(cell: nbformat.NotebookNode) -> list[list[str]]:
    return [sorted(output.get("data", {})) for output in cell.outputs]


def words(cell: nbformat.NotebookNode) -> list[str]:
    """The text/plain of each output."""
    return [output["data"]["text/plain"] for output in cell.outputs if "data" in output]


def assert_readable_anywhere(made: nbformat.NotebookNode, *texts: str) -> None:
    """A valid file without widgets, that shows `texts` as HTML and as Markdown."""
    nbformat.validate(made)
    assert nbformat.reads(nbformat.writes(made), as_version=4) == made
    assert "widgets" not in made.metadata
    assert WIDGET not in nbformat.writes(made)
    for exporter in (HTMLExporter(), MarkdownExporter()):
        page, _ = exporter.from_notebook_node(copy.deepcopy(made))
        assert "Error displaying widget" not in page
        assert "widget-view" not in page
        page = re.sub("</?span[^>]*>", "", page)  # they keep the parts of a line together
        for text in texts:
            assert text in page


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """A notebook that nbclient ran."""
    home = tmp_path_factory.mktemp("alone")
    return headless(home, LOAD, FRANCE, "%%chat\nSay hello.")


@pytest.fixture(scope="module")
def attended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same cells, run with a person before the screen."""
    with kernel(clean_environment(tmp_path_factory.mktemp("attended")), load=False) as running:
        return {cell: running.run(cell) for cell in (LOAD, FRANCE)}


def test_a_headless_run_leaves_what_a_person_would_have_seen(
    alone: nbformat.NotebookNode, attended: dict[str, Run]
) -> None:
    ran, seen = alone.cells[1], saved(attended).cells[1]
    assert kinds(ran) == kinds(seen)
    assert words(ran)[:-1] == words(seen)[:-1]
    for cell in (ran, seen):
        assert kinds(cell)[-2:] == [["text/markdown", "text/plain"], ["text/html", "text/plain"]]
        assert "Paris" in words(cell)[-2]
        assert BADGE.fullmatch(words(cell)[-1])


def test_a_headless_notebook_is_readable_anywhere(alone: nbformat.NotebookNode) -> None:
    for cell in alone.cells[1:]:
        assert_readable_anywhere(alone, words(cell)[-2], words(cell)[-1])


def test_nothing_live_is_shown_where_nobody_watches(tmp_path: Path) -> None:
    with kernel(clean_environment(tmp_path)) as running:
        run = running.run(FRANCE, person=False)
        assert run.status == "ok"
        assert " so far" not in run.all_text
        assert " so far" in running.run(FRANCE).all_text


def test_what_a_person_saves_is_readable_anywhere(attended: dict[str, Run]) -> None:
    made = saved(attended)
    assert_readable_anywhere(made, *words(made.cells[1]))


def test_long_reasoned_failed_and_interrupted_answers_are_readable_anywhere(
    tmp_path: Path,
) -> None:
    with FaultServer() as service:
        settings = {"LITELLM_API_KEY": KEY, "CBORG_MODEL": "test-model"}
        environment = clean_environment(tmp_path, **settings, LITELLM_BASE_URL=service.url)
        thoughts = [Thought("so <b>this</b> "), Thought("& that")]
        service.script(
            CHAT,
            chat_stream(*thoughts, MARKDOWN, MARKDOWN, MARKDOWN, usage=usage(5, 9, 0, 2)),
            refusal(400, "invalid_request_error", "no <such> thing"),
            chat_stream("half an answer", HANG),
        )
        with kernel(environment, load=False) as running:
            runs = {LOAD: running.run(LOAD), "%chat long": running.run("%chat long")}
            runs["%chat wrong"] = running.run("%chat wrong")
            runs["%chat stopped"] = running.run(
                "%chat stopped", interrupt_when=lambda run: "half an answer" in run.plain
            )
    made = saved(runs)
    _, long, wrong, stopped = made.cells
    assert kinds(long)[0] == ["text/html", "text/plain"]
    assert len(long.outputs) >= 4
    assert "".join(words(long)[1:-1]) == MARKDOWN * 3
    assert words(long)[0] == "Reasoning: so <b>this</b> & that"
    assert "half an answer" in words(stopped)
    assert_readable_anywhere(
        made,
        "Detector report",
        "so &lt;b&gt;this&lt;/b&gt; &amp; that",
        "5 tokens in, 9 out (2 reasoning)",
        "test-model · no answer · nothing charged",
        "half an answer",
        "test-model · interrupted, partial",
    )
    assert wrong.outputs[-1]["ename"] == "Refused"


def test_a_failing_cell_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match=r"BadOption: .*\nDid you mean --model\?") as told:
        headless(tmp_path, LOAD, "%chat --modle x hi", "open('reached', 'w')")
    assert "File" not in str(told.value), "a traceback"
    assert not (tmp_path / "reached").exists()


def test_a_failing_cell_that_may_fail_is_saved_with_its_error(tmp_path: Path) -> None:
    made: Any = notebook(LOAD, "%chat --modle x hi", FRANCE)
    made.cells[1].metadata["tags"] = ["raises-exception"]
    NotebookClient(made, timeout=120).execute(env=clean_environment(tmp_path), cwd=str(tmp_path))
    assert made.cells[1].outputs[0]["ename"] == "BadOption"
    assert_readable_anywhere(made, "Did you mean --model?", words(made.cells[2])[-1])
