"""What does a person see in a terminal: IPython itself, and `jupyter console` before a kernel?

Each runs in tmux, which draws the screen as a terminal does.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.front_ends import everywhere
from tests.front_ends.everywhere import CHAT, SENTENCES, Service
from tests.front_ends.kernel import clean_environment, kernel
from tests.front_ends.lab import REPOSITORY
from tests.front_ends.terminal import Terminal
from tests.services.answers import chat_stream

COMMANDS = {
    "ipython": ("IPython", "--no-banner", "--ext", "cborg_magics"),
    "jupyter console": ("jupyter_console", "--kernel=python3"),
}
TABS = {
    "%chat --mo": "%chat --model",
    "%chat -m lbl/cb": "%chat -m lbl/cborg-chat",
    "%models --use lbl/n": "%models --use lbl/nomic-embed-text",
    "%embed -m ": "%embed -m lbl/nomic-embed-text",
    "%chat -t ": "%chat -t main",
    "%chat -a figu": "%chat -a figures",
    "%chat --context fo": "%chat --context found",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="module", params=COMMANDS)
def terminal(
    request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """The front end, with the extension loaded and some texts embedded."""
    if not shutil.which("tmux"):
        pytest.skip("no terminal: apt-get install tmux")
    module, *options = COMMANDS[request.param]
    if find_spec(module) is None:
        pytest.skip(f"no {module}: pip install 'cborg_magics[test]'")
    home = tmp_path_factory.mktemp("terminal")
    environment = clean_environment(home, **service.variables)
    environment |= {"HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    with Terminal([sys.executable, "-m", module, *options], environment, home) as terminal:
        terminal.wait("In [1]:")
        if module == "jupyter_console":
            ask(terminal, "%load_ext cborg_magics")
        ask(terminal, f"%embed -o found {SENTENCES[:3]!r}")
        ask(terminal, "figures = 1")
        yield terminal


def ask(terminal: Terminal, line: str) -> str:
    """Type a line on an empty screen; what the screen shows when it is done."""
    terminal.wait(prompted)
    terminal.type("", "C-l")
    terminal.wait(lambda screen: screen.strip().count("\n") == 0)
    terminal.type(line)
    terminal.type("", "Enter")
    return terminal.wait(lambda screen: prompted(screen) and screen.count("In [") > 1)


def prompted(screen: str) -> bool:
    return re.search(r"In \[\d+\]:$", screen.strip()) is not None


def test_an_answer_streams_and_ends_with_its_cost(terminal: Terminal, service: Service) -> None:
    terminal.wait(prompted)
    terminal.type("", "C-l")
    service.script(CHAT, everywhere.streamed(0.04))
    terminal.type("%chat Tell me")
    terminal.type("", "Enter")
    seen = list(terminal.watch("turn 1 of main"))
    grown = {screen.count("\n") for screen in map(str.rstrip, seen)}
    assert len(grown) > 5, "line by line"
    half = next(screen for screen in seen if "2.5" in screen)
    assert "Done: 100 %" not in half
    whole = seen[-1]
    assert "It costs $5 to $10" in whole
    assert r"\int_0^\infty e^{-x^2}\,dx" in whole
    assert "Done: 100 % — naïve café, 日本語, 🙂." in whole
    assert "lbl/cborg-chat · 21 tokens in, 180 out · free · " in whole
    assert "so far" not in whole
    assert "<IPython" not in whole


def test_ctrl_c_keeps_what_had_come(terminal: Terminal, service: Service) -> None:
    terminal.wait(prompted)
    terminal.type("", "C-l")
    service.script(CHAT, chat_stream("half an answer", 60.0, model=everywhere.MODEL))
    terminal.type("%chat --once Tell me")
    terminal.type("", "Enter")
    terminal.wait("half an answer")
    terminal.type("", "C-c")
    screen = terminal.wait("Interrupted: the answer was stopped")
    assert "half an answer" in screen
    assert "interrupted, partial" in screen
    assert "Traceback" not in screen


def test_tables_are_aligned_text(terminal: Terminal) -> None:
    screen = ask(terminal, "%models")
    rows = [line for line in screen.splitlines() if "128k" in line]
    assert len(rows) == 5
    assert len({line.index("128k") for line in rows}) == 1
    assert "<table" not in screen
    screen = ask(terminal, "found.search('light', k=2)")
    assert re.search(r"^rank  score  label  text$", screen, re.MULTILINE)
    screen = ask(terminal, "%spend")
    assert "this month, by model" in screen
    assert "█" in screen
    assert "LiteLLM: the key's budget, $0.986 left of $2.00" in screen


def test_an_error_is_two_lines(terminal: Terminal) -> None:
    screen = ask(terminal, "%chat --modle x hi")
    assert "BadOption: %chat has no option --modle." in screen
    assert "Did you mean --model?" in screen
    assert "Traceback" not in screen


@pytest.mark.parametrize("typed", TABS)
def test_tab_completes(terminal: Terminal, typed: str) -> None:
    ask(terminal, "%chat --once hi")
    terminal.type(typed)
    terminal.type("", "Tab")
    terminal.wait(f"In [{number(terminal)}]: {TABS[typed]}", seconds=10)
    terminal.type("", "C-c")


def number(terminal: Terminal) -> str:
    return re.findall(r"In \[(\d+)\]:", terminal.screen())[-1]


@pytest.mark.parametrize("magic", ["%chat?", "%chat --help"])
def test_the_manual_is_read_in_the_pager(terminal: Terminal, magic: str) -> None:
    terminal.wait(prompted)
    terminal.type("", "C-l")
    terminal.type(magic)
    terminal.type("", "Enter")
    screen = terminal.wait("Ask a model. The text is sent as you typed it")
    assert "    %chat What is the capital of France?" in screen
    terminal.type("q")
    terminal.type("", "C-u")


def test_a_console_before_a_kernel_gets_text_and_nothing_to_replace(
    service: Service, tmp_path: Path
) -> None:
    lines = ("%chat --once hi", "%models", "%embed ['a text']", "%spend")
    with kernel(clean_environment(tmp_path, **service.variables)) as running:
        for line in lines:
            run = running.end(running.client.execute(line))
            kinds = {message["type"] for message in run.messages}
            assert "stream" in kinds, line
            assert not kinds & {"display_data", "update_display_data", "comm_open", "error"}, line
