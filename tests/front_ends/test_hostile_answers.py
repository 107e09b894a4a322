"""Does anything that a model or a service writes run, load or navigate in a real JupyterLab?"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cborg_magics.display import wording
from tests.conftest import KEY
from tests.services.answers import Answer, Thought, chat_stream, refusal, spaced
from tests.services.faults import FaultServer
from tests.services.server import Request

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

# JupyterLab draws fifty outputs of a cell; a call makes three at most.
A_CELL_FULL = 16
A_STREAM = 0.15  # seconds: long enough for three drawings

POKE = """() => {
    for (const element of document.querySelectorAll('.jp-OutputArea-output *')) {
        for (const event of ['mouseover', 'focus', 'toggle', 'click']) {
            if (event !== 'click' || !element.closest('a[href]')) {
                element.dispatchEvent(new Event(event));
            }
        }
    }
}"""
MARKS = "() => Object.keys(window).filter(name => name.startsWith('pwned_'))"

# As the browser itself reads an address, after entities, tabs and control characters.
# (In errors JupyterLab makes links of what looks like one, as of any program's errors.)
SCHEMES = """() => [...new Set(
    [...document.querySelectorAll('.jp-OutputArea-output :is(a, area, math *)')]
        .filter(link => !link.closest('[data-mime-type="application/vnd.jupyter.stderr"]'))
        .filter(link => link.hasAttribute('href') || link.hasAttribute('xlink:href'))
        .map(link => link.protocol ?? 'not a link'))]"""
# The outermost <details> of an output is the one in which we fold the reasoning.
FORBIDDEN = """() => [...document.querySelectorAll('.jp-OutputArea-output *')]
    .filter(element => element.matches(
        'script, style, link, meta, base, iframe, frame, object, embed, applet, img, picture,' +
        'video, audio, source, svg, form, button, textarea, select, template, dialog,' +
        'details:not(.jp-RenderedHTML > details),' +
        'input:not([type=checkbox][disabled]), [href^="javascript:" i], [srcdoc], [formaction]')
        || [...element.attributes].some(
            ({name, value}) => name.startsWith('on') || name === 'style' && value.includes('url')))
    .map(element => element.outerHTML)"""

ASK = """\
for number in {numbers!r}:
    try:
        get_ipython().run_line_magic("chat", f"--once {{number}} {way}")
    except Exception:
        get_ipython().showtraceback()
"""
RAW = "from cborg_magics.display import notebook\nnotebook.harmless = notebook.escape = str"


class Canary:
    """An HTTP server on this machine that notes who asks for something."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Listener(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def canary() -> Iterator[Canary]:
    listening = Canary()
    thread = threading.Thread(target=listening.server.serve_forever)
    thread.start()
    yield listening
    listening.server.shutdown()
    thread.join()
    listening.server.server_close()


# A hostile text may come as any of these; with each, the outputs that a call leaves.
WAYS: dict[str, tuple[int, Callable[[str], Answer]]] = {
    "whole": (2, chat_stream),
    "in-pieces": (2, lambda text: chat_stream(*in_pieces(text))),
    "reasoning": (3, lambda text: chat_stream(Thought(text), "done")),
    "model": (2, lambda text: chat_stream("done", model=text)),
    "error": (2, lambda text: refusal(400, "invalid_request_error", text)),
}

RICH = ("whole", "in-pieces", "reasoning", "model")  # shown as Markdown or HTML


def in_pieces(text: str) -> list[Any]:
    pieces = re.findall(r"(?s).{1,3}", text)
    return spaced(pieces, A_STREAM / len(pieces))


class HostileServer(FaultServer):
    """Asked "17 whole", it answers with the hostile text 17, whole."""

    def __init__(self, canary: str) -> None:
        super().__init__()
        self._canary = canary

    def answer(self, request: Request) -> Answer:
        from tests.front_ends.hostile import payload

        if "messages" not in (request.body or {}):
            return super().answer(request)
        number, way = request.body["messages"][-1]["content"].split()
        return WAYS[way][1](payload(int(number), self._canary))


Outputs = list[dict[str, Any]]
Show = Callable[..., dict[str, Outputs]]


@pytest.fixture
def show(lab: JupyterLab, canary: Canary, tmp_path: Path) -> Iterator[Show]:
    """Asks %chat for hostile texts in a notebook, way by way; gives the outputs of each way."""
    from tests.front_ends.lab import notebook

    def run(wanted: dict[str, Sequence[int]], first: str = "") -> dict[str, Outputs]:
        parts = [
            (way, numbers[i : i + A_CELL_FULL])
            for way, numbers in wanted.items()
            for i in range(0, len(numbers), A_CELL_FULL)
        ]
        settings = {
            "LITELLM_API_KEY": KEY,
            "LITELLM_BASE_URL": server.url,
            "CBORG_MODEL": "test-model",
            "CBORG_HOME": str(tmp_path / "cborg"),
        }
        begin = f"import os\nos.environ |= {settings!r}\n%load_ext cborg_magics\n{first}"
        cells = [ASK.format(numbers=list(part), way=way) for way, part in parts]
        notebook(lab.root / "hostile.ipynb", [begin, *cells])
        lab.open("hostile.ipynb")
        lab.run_all(timeout=120)
        shown: dict[str, Outputs] = {way: [] for way in wanted}
        for cell, (way, part) in enumerate(parts, 1):
            outputs = lab.outputs(cell)
            assert len(outputs) == WAYS[way][0] * len(part), lab.text(cell)
            assert lab.rendered(cell).count() == len(outputs)
            shown[way] += outputs
        lab.page.evaluate(POKE)
        lab.settle()
        return shown

    with HostileServer(canary.url) as server:
        yield run
    lab.close()


def test_a_raw_answer_does_harm_so_these_tests_can_fail(
    lab: JupyterLab, canary: Canary, show: Show
) -> None:
    from tests.front_ends.hostile import HOSTILE, IMAGE_ERROR

    script, loads, links, *images = (
        HOSTILE.index(text)
        for text in (
            "<script>RUN</script>",
            "![a](URL)",
            "[a](javascript:RUN)",
            IMAGE_ERROR,
            "<video src='x:' onerror=RUN></video>",
            "<math><mtext><img src='x:' onerror=RUN></mtext></math>",
        )
    )
    one_each = {way: [image] for way, image in zip(RICH[1:], images, strict=True)}
    show({"whole": [script, loads, links], **one_each}, RAW)
    ran = [f"pwned_{number}" for number in (script, *images)]
    assert sorted(lab.page.evaluate(MARKS)) == sorted(ran)
    assert f"/{loads}" in canary.asked
    assert lab.page.evaluate(FORBIDDEN)
    assert "javascript:" in lab.page.evaluate(SCHEMES)


def test_a_harmless_answer_does_none(lab: JupyterLab, canary: Canary, show: Show) -> None:
    from tests.front_ends.hostile import HOSTILE, payload

    assert len(HOSTILE) >= 60
    before = len(lab.requests)
    shown = show(dict.fromkeys(WAYS, range(len(HOSTILE))))
    assert lab.page.evaluate(MARKS) == []
    assert canary.asked == []
    assert [request.url for request in lab.requests[before:] if request.blocked] == []
    assert lab.page.evaluate(FORBIDDEN) == []
    assert set(lab.page.evaluate(SCHEMES)) <= {"http:", "https:", "mailto:"}

    texts = [payload(number, canary.url) for number in range(len(HOSTILE))]
    plain = {way: [output["data"]["text/plain"] for output in shown[way]] for way in RICH}
    assert plain["whole"][::2] == plain["in-pieces"][::2] == texts
    assert plain["reasoning"][::3] == [f"Reasoning: {text}" for text in texts]
    badges = plain["model"][1::2]
    assert [badge.partition(" · ")[0] for badge in badges] == [
        wording.model("test-model", text) for text in texts
    ]
    assert {output["output_type"] for output in shown["error"][1::2]} == {"error"}


def test_a_harmless_answer_does_none_when_the_notebook_is_opened_again(
    lab: JupyterLab, canary: Canary, show: Show
) -> None:
    show({"whole": range(2 * A_CELL_FULL), "reasoning": range(A_CELL_FULL)})
    lab.save()
    lab.reload()
    lab.page.evaluate(POKE)
    assert [lab.rendered(cell).count() for cell in (1, 2, 3)] == [32, 32, 48]
    assert lab.page.evaluate(MARKS) == []
    assert canary.asked == []
    assert lab.page.evaluate(FORBIDDEN) == []
