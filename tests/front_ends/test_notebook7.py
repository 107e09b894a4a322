"""What does a person see in Notebook 7: while it runs, and when the file is opened elsewhere?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from tests.front_ends import everywhere
from tests.front_ends.everywhere import (
    ANSWER,
    CARD,
    CITED,
    EMBEDDED,
    HITS,
    LIST,
    MAP,
    PRICED,
    SPENT,
    WRONG,
    Ran,
)

if TYPE_CHECKING:
    from tests.front_ends.notebook7 import Notebook7

READY = "() => !!window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady"
WITHOUT = "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
NO_KERNEL = "() => !window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel"
TRUSTED = """() => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    return [...Array(cells.length).keys()].every(number => cells.get(number).trusted);
}"""


def test_the_answer_grows_while_a_line_counts(ran: Ran) -> None:
    assert any(re.search(r"asking lbl/cborg-chat · [\d.]+ s so far", text) for text in ran.seen)
    assert any("tokens a second" in text for text in ran.seen)
    assert len({text.partition("lbl/cborg-chat · ")[0] for text in ran.seen}) > 5, "it grows"
    last = ran.texts[ANSWER]
    assert "so far" not in last
    assert "It costs $5 to $10, or $7.50 a day." in last
    badge = r"^lbl/cborg-chat · 21 tokens in, 180 out · free · .* · turn 1 of main$"
    assert re.search(badge, last, re.MULTILINE)


def test_every_magic_shows_what_it_has_to_say(ran: Ran) -> None:
    assert "5 models of LiteLLM" in ran.texts[LIST]
    assert "--use NAME makes it the kernel's default" in ran.texts[LIST], "the controls are gone"
    assert "128,000 tokens at most" in ran.texts[CARD]
    assert "6 texts · 37 tokens in · " in ran.texts[EMBEDDED]
    assert "nearest to “Which detector sees light?”, 3 of 6 texts" in ran.texts[HITS]
    assert "6 texts · the two axes hold" in ran.texts[MAP]
    assert "2 passages from found" in ran.texts[CITED]
    assert "$0.0105 estimated" in ran.texts[PRICED]
    assert "LiteLLM: the key's budget, $0.986 left of $2.00" in ran.texts[SPENT]
    assert ran.texts[WRONG].startswith("BadOption: %chat has no option --modle.")
    assert "Traceback" not in ran.texts[WRONG]


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_it_reads_the_same_without_a_kernel(
    ran: Ran, seven: Notebook7, pictures: Path, trusted: bool
) -> None:
    name = "trusted.ipynb" if trusted else "untrusted.ipynb"
    made = ran.copy()
    made.cells[0].source = f"# {name}, which nobody has run"
    if trusted:
        notary = NotebookNotary(data_dir=str(seven.home / "data"))
        notary.sign(made)
        notary.store.close()
    nbformat.write(made, seven.root / name)
    page = seven.page
    page.goto(f"{seven.url}/notebooks/{name}?token={seven._token}")
    page.wait_for_function(READY)
    page.evaluate(WITHOUT)
    page.wait_for_function(NO_KERNEL)
    assert page.evaluate(TRUSTED) is trusted
    page.wait_for_function("document.querySelectorAll('mjx-container').length === 2")
    for cell in range(1, len(everywhere.CELLS) + 2):
        assert seven.text(cell) == ran.texts[cell], cell
    assert page.locator(".jp-OutputArea-output img").count() > 2
    loaded = "() => [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.evaluate(loaded)
    assert "Error displaying widget" not in page.locator("body").inner_text()
    seven.screenshot(pictures / f"notebook7-{name.removesuffix('.ipynb')}.png")
