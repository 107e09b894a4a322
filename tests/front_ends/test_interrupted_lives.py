"""What is left of an answer when its page, its kernel or its line goes away in the middle?

JupyterLab throws away what a kernel sends to a page that is gone. So what is on screen then
stays as it was; what the call cost is in the ledger, and its whole text in the conversation.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from cborg_magics.exchange import Outcome, Source
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.services.answers import Answer, Wire, chat_stream, json_answer, usage
from tests.services.faults import FaultServer

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

CHAT = "/chat/completions"
WIDGET = "application/vnd.jupyter.widget-view+json"
PRICES = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
PATIENCE = 60.0  # seconds
NAME = "life.ipynb"
BEGUN, WHOLE = "It **begins**, ", "It **begins**, and ends."
SEEN = "It begins,"

KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
CONNECTED = f"() => {KERNEL}?.connectionStatus === 'connected'"
IDLE = f"() => {KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'"
RESTART = f"() => {KERNEL}.restart()"
DROP_THE_LINE = f"() => {KERNEL}._ws.close()"  # as a network does; Lab has no command for it


@dataclass
class Life:
    """A notebook: cell 0 sets the environment, 1 asks for an answer that waits, 2 asks again."""

    lab: JupyterLab
    server: FaultServer
    ledger: Ledger
    process: int = 0
    end: threading.Event = field(default_factory=threading.Event)  # the answer may go on

    def begin(self, *, save: bool = True) -> None:
        """Ask, and wait until the answer has begun on screen, and in the file if saved."""
        self.server.script(CHAT, held(self.end))
        self.lab.run_cell(1, wait=False)
        self.until(lambda: SEEN in self.lab.text(1) and "test-model · " in self.lab.text(1))
        if save:
            self.lab.save()

    def until(self, done: Callable[[], object]) -> None:
        """Wait with an eye on the page."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, self.lab.text(1)
            self.lab.page.wait_for_timeout(50)

    def let_it_end(self) -> None:
        """The service sends the rest, and the kernel books it."""
        self.end.set()
        self.until(self.ledger.rows)

    def wait_for_kernel(self, state: str = IDLE) -> None:
        from tests.front_ends.lab import WATCH_CHANGES

        self.lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE * 1000)
        self.lab.page.wait_for_function(state, polling=50, timeout=PATIENCE * 1000)
        self.lab.page.evaluate(WATCH_CHANGES)
        self.lab.settle()

    # -- what happens in a life ----------------------------------------------------------------

    def reload(self) -> None:
        """The page is loaded again while the answer comes."""
        self.lab.page.reload()
        self.wait_for_kernel(CONNECTED)
        self.let_it_end()
        self.wait_for_kernel()

    def go_away(self) -> None:
        """The browser is closed; it is opened again when the answer has ended."""
        self.lab.page.goto("about:blank")
        self.let_it_end()
        self.lab.open(NAME)

    def restart(self) -> None:
        """The kernel is restarted from the menu."""
        self.lab.page.evaluate(RESTART)
        self.wait_for_kernel()
        self.lab.run_cell(0)

    def kill(self) -> None:
        """The kernel's process is killed, as when memory runs out; the server starts another."""
        os.kill(self.process, signal.SIGKILL)
        self.lab.page.locator(".jp-Dialog .jp-mod-accept").click(timeout=PATIENCE * 1000)
        self.wait_for_kernel()
        self.lab.run_cell(0)

    # -- what is left --------------------------------------------------------------------------

    def saved(self) -> Any:
        """The notebook as it is saved."""
        self.lab.save()
        return nbformat.read(self.lab.root / NAME, as_version=4)

    def ask_again(self) -> list[dict[str, Any]]:
        """The next cell answers as ever; what it sent to the service."""
        before = len(self.ledger.rows())
        self.lab.run_cell(2)
        assert self.lab.text(2).startswith("ok\ntest-model · 1 token in, 1 out · ")
        assert len(self.ledger.rows()) == before + 1
        return list(self.server.requests_to(CHAT)[-1].body["messages"])


def held(end: threading.Event) -> Answer:
    """An answer that begins, and goes on when the test says so."""
    begun = chat_stream(BEGUN, finish=None, done=False)
    rest = chat_stream(WHOLE.removeprefix(BEGUN), usage=usage(9, 3))
    assert begun.stream
    assert rest.stream

    def pieces() -> Iterator[Wire]:
        yield from begun.stream or ()
        while not end.is_set():
            yield 0.02
        yield from rest.stream or ()

    return replace(begun, stream=pieces())


@pytest.fixture
def life(lab: JupyterLab, faults: FaultServer, tmp_path: Path) -> Iterator[Life]:
    from tests.front_ends.lab import notebook

    row = {"model_name": "test-model", "model_info": PRICES}
    faults.always("/model/info", json_answer({"data": [row]}))
    settings = {
        "LITELLM_API_KEY": KEY,
        "LITELLM_BASE_URL": faults.url,
        "CBORG_MODEL": "test-model",
        "CBORG_HOME": str(tmp_path / "cborg"),
    }
    first = f"import os\nos.environ |= {settings!r}\n%load_ext cborg_magics\nos.getpid()"
    notebook(lab.root / NAME, [first, "%chat Tell me.", "%chat And then?"])
    lab.open(NAME)
    lab.run_cell(0)
    lived = Life(lab, faults, Ledger(tmp_path / "cborg"), int(lab.text(0)))
    try:
        yield lived
    finally:
        lived.end.set()
        lab.close()


LIVES = [Life.reload, Life.go_away, Life.restart, Life.kill]
each_life = pytest.mark.parametrize("happens", LIVES, ids=[each.__name__ for each in LIVES])


@each_life
def test_what_came_stays_the_charge_is_booked_and_the_next_cell_works(
    life: Life, happens: Callable[[Life], None]
) -> None:
    life.begin()
    happens(life)
    assert life.lab.text(1).startswith(SEEN)
    booked = [(row.outcome, row.cost.source, row.error) for row in life.ledger.rows()]
    (asked,) = life.server.requests_to(CHAT)
    sent = [message["content"] for message in life.ask_again()]
    if happens in (Life.reload, Life.go_away):
        assert booked == [(Outcome.COMPLETED, Source.ESTIMATED, None)]
        assert life.ledger.rows()[0].cost.dollars == Decimal("0.000015")
        assert sent == ["Tell me.", WHOLE, "And then?"], "what the page lost can be asked for"
    else:
        if happens is Life.restart:
            assert booked == [(Outcome.INTERRUPTED, Source.ESTIMATED, "Interrupted")]
        else:
            assert booked == [], "a process that is killed can book nothing"
        assert asked.closed.wait(PATIENCE), "the model writes on"
        assert sent == ["And then?"]
    saved = life.saved()
    nbformat.validate(saved)
    assert saved.cells[1].outputs[0].data["text/markdown"] == BEGUN
    assert [*saved.cells[2].outputs[1].data] == ["text/html", "text/plain"]


def test_a_line_that_drops_for_a_moment_loses_nothing(life: Life) -> None:
    life.begin()
    life.lab.page.evaluate(DROP_THE_LINE)
    life.let_it_end()
    life.until(lambda: "9 tokens in, 3 out" in life.lab.text(1))
    life.wait_for_kernel()
    assert life.lab.text(1).startswith("It begins, and ends.\ntest-model · 9 tokens in, 3 out · ")
    assert WIDGET not in nbformat.writes(life.saved())


def test_an_answer_that_was_never_saved_is_gone_from_the_page_only(life: Life) -> None:
    life.begin(save=False)
    life.reload()
    assert life.lab.text(1) == ""
    assert [row.outcome for row in life.ledger.rows()] == [Outcome.COMPLETED]
    assert life.ask_again()[1]["content"] == WHOLE


@each_life
def test_no_dead_widget_is_left_in_the_file(life: Life, happens: Callable[[Life], None]) -> None:
    life.begin()
    happens(life)
    saved = life.saved()
    assert WIDGET not in nbformat.writes(saved)
    life.lab.close()
    life.lab.open(NAME)
    life.lab.settle()
    assert life.lab.text(1).startswith(f"{SEEN}\ntest-model · ")


def test_a_badge_that_lost_its_call_does_not_tell_of_the_next_one(life: Life) -> None:
    life.begin()
    life.reload()
    before = life.lab.text(1)
    life.ask_again()
    assert life.lab.text(1) == before
