"""What does a run without anybody leave? papermill with parameters, and nbclient by its command."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.front_ends import everywhere
from tests.front_ends.everywhere import CHAT, MODEL, Service
from tests.front_ends.kernel import clean_environment
from tests.front_ends.lab import REPOSITORY
from tests.services.answers import chat_stream, usage

QUESTION = "%%chat --fill --once\nWhat is {{subject}}?"


@dataclass(frozen=True)
class Done:
    """How a run ended, what was printed on the way, the notebook, and what the model was asked."""

    code: int
    printed: str
    notebook: Any
    asked: list[str]

    def text(self, cell: int) -> str:
        return "\n".join(
            output.data["text/plain"]
            for output in self.notebook.cells[cell].outputs
            if "data" in output
        )


def papermill(path: Path) -> tuple[Path, list[str]]:
    out = path.with_name("out.ipynb")
    words = ["papermill", str(path), str(out), "-p", "subject", "a lepton", "--log-output"]
    return out, [sys.executable, "-m", *words]


def nbclient(path: Path) -> tuple[Path, list[str]]:
    return path, [sys.executable, "-m", "jupyter", "execute", "--inplace", str(path)]


@pytest.fixture(scope="module", params=[papermill, nbclient], ids=lambda run: run.__name__)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The notebook with all magics and a parameter, run by a command."""
    if find_spec(request.param.__name__) is None:
        pytest.skip("no papermill: pip install 'cborg_magics[test]'")
    home = tmp_path_factory.mktemp("headless")
    with Service() as service:
        setup, *rest = everywhere.cells(service, home / "cborg")
        error = rest.pop()
        cells = ["subject = 'a quark'", setup, QUESTION, *rest]
        cells += [] if request.param is nbclient else [error]
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
        made.cells[0].metadata["tags"] = ["parameters"]
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        made.metadata["language_info"] = {"name": "python"}
        path = home / "in.ipynb"
        nbformat.write(made, path)
        service.script(CHAT, chat_stream("A particle.", usage=usage(5, 3), model=MODEL))
        everywhere.script(service, delay=0.02)
        out, command = request.param(path)
        environment = clean_environment(home) | {"PYTHONPATH": str(REPOSITORY)}
        ended = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=120
        )
        asked = [each.body["messages"][-1]["content"] for each in service.requests_to(CHAT)]
    notebook = nbformat.read(out, as_version=4)
    return Done(ended.returncode, ended.stdout + ended.stderr, notebook, asked)


def number(done: Done, source: str) -> int:
    """Which cell begins like this?"""
    sources = [cell.source for cell in done.notebook.cells]
    return next(n for n, each in enumerate(sources) if each.startswith(source))


def test_every_magic_leaves_what_it_found(done: Done) -> None:
    wanted = {
        "%%chat --fill": r"A particle\.[\s\S]*lbl/cborg-chat · 5 tokens in, 3 out · free",
        "%%chat\n": r"# Detector report[\s\S]*turn 1 of main",
        "%models": "5 models of LiteLLM",
        "%embed": "6 texts · 37 tokens in",
        "found.search": "nearest to “Which detector sees light",
        "found.plot": "a map of 6 texts",
        "%chat --once --context": "2 passages from found",
        "%spend": r"LiteLLM: the key's budget, \$0.986 left of \$2.00",
    }
    for source, pattern in wanted.items():
        assert re.search(pattern, done.text(number(done, source))), source


def test_nothing_live_is_left_or_logged(done: Done) -> None:
    text = nbformat.writes(done.notebook) + done.printed
    assert "s so far" not in text
    assert "asking " not in text
    assert "progressbar" not in text
    assert "widget" not in nbformat.writes(done.notebook)


def test_a_parameter_reaches_the_question(done: Done) -> None:
    by_papermill = "papermill" in done.notebook.metadata
    assert done.asked[0] == f"What is {'a lepton' if by_papermill else 'a quark'}?"


def test_an_error_ends_the_run_in_plain_words(done: Done) -> None:
    if "papermill" not in done.notebook.metadata:
        assert done.code == 0, done.printed
        return
    assert done.code != 0
    error = next(o for o in done.notebook.cells[-1].outputs if o.output_type == "error")
    assert error.ename == "BadOption"
    assert error.traceback[-1].startswith("Did you mean --model?")
    assert len(error.traceback) == 2
