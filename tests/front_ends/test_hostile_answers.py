"""Does anything that a model writes run, load or navigate in a real JupyterLab?"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# JupyterLab draws fifty outputs of a cell; each answer makes two.
A_CELL_FULL = 24
STEPS = 6

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
SCHEMES = """() => [...new Set(
    [...document.querySelectorAll('.jp-OutputArea-output :is(a, area, math *)')]
        .filter(link => link.hasAttribute('href') || link.hasAttribute('xlink:href'))
        .map(link => link.protocol ?? 'not a link'))]"""
FORBIDDEN = """() => [...document.querySelectorAll('.jp-OutputArea-output *')]
    .filter(element => element.matches(
        'script, style, link, meta, base, iframe, frame, object, embed, applet, img, picture,' +
        'video, audio, source, svg, form, button, textarea, select, template, dialog, details,' +
        'input:not([type=checkbox][disabled]), [href^="javascript:" i], [srcdoc], [formaction]')
        || [...element.attributes].some(
            ({name, value}) => name.startsWith('on') || name === 'style' && value.includes('url')))
    .map(element => element.outerHTML)"""


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


def cell(numbers: Sequence[int], canary: Canary, cleaned: str) -> str:
    return (
        "from cborg_magics.display.harmless import harmless\n"
        "from tests.front_ends.hostile import publish\n"
        f"publish({numbers!r}, {canary.url!r}, {cleaned}, {STEPS})"
    )


@pytest.fixture
def show(lab, canary):
    """Publishes the hostile answers in a notebook, through a function named in the notebook."""
    from tests.front_ends.hostile import HOSTILE
    from tests.front_ends.lab import notebook

    def run(numbers: Sequence[int], cleaned: str) -> None:
        parts = [numbers[i : i + A_CELL_FULL] for i in range(0, len(numbers), A_CELL_FULL)]
        notebook(lab.root / "hostile.ipynb", [cell(part, canary, cleaned) for part in parts])
        lab.open("hostile.ipynb")
        lab.run_all()
        for index, part in enumerate(parts):
            assert lab.rendered(index).count() == 2 * len(part), lab.text(index)
        lab.page.evaluate(POKE)
        lab.settle()

    assert len(HOSTILE) >= 60
    yield run
    lab.close()


def test_a_raw_answer_does_harm_so_these_tests_can_fail(lab, canary, show):
    from tests.front_ends.hostile import HOSTILE

    runs = [
        HOSTILE.index(text) for text in HOSTILE if text.startswith(("<script>", "<img", "```py"))
    ]
    loads = HOSTILE.index("![a](URL)")
    links = HOSTILE.index("[a](javascript:RUN)")
    show([*runs[:3], loads, links], "str")
    assert {f"pwned_{number}" for number in runs[:2]} <= set(lab.page.evaluate(MARKS))
    assert f"/{loads}" in canary.asked
    assert lab.page.evaluate(FORBIDDEN)
    assert "javascript:" in lab.page.evaluate(SCHEMES)


def test_a_harmless_answer_does_none(lab, canary, show):
    from tests.front_ends.hostile import HOSTILE

    before = len(lab.requests)
    show(range(len(HOSTILE)), "harmless")
    assert lab.page.evaluate(MARKS) == []
    assert canary.asked == []
    assert [request.url for request in lab.requests[before:] if request.blocked] == []
    assert lab.page.evaluate(FORBIDDEN) == []
    assert set(lab.page.evaluate(SCHEMES)) <= {"http:", "https:", "mailto:"}


def test_a_harmless_answer_does_none_when_the_notebook_is_opened_again(lab, canary, show):
    show(range(A_CELL_FULL), "harmless")
    lab.save()
    lab.reload()
    lab.page.evaluate(POKE)
    assert lab.rendered(0).count() == 2 * A_CELL_FULL
    assert lab.page.evaluate(MARKS) == []
    assert canary.asked == []
    assert lab.page.evaluate(FORBIDDEN) == []
