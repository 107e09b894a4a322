"""%embed in JupyterLab: a line that grows, tables, a map whose points tell what they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from cborg_magics.embeddings.scatter import WIDTH
from tests.conftest import KEY
from tests.front_ends.test_jupyterlab import CONTRAST
from tests.services.encoder import Encoder

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

TEXTS = "texts = [f'the {n}th measurement of channel {n % 7}' for n in range(2400)]"
DRAW = """
import numpy as np
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
texts = [f"{row}' <img src=x onerror=window.hacked=1> $x$" for row in range(60)]
made = Embeddings(texts, np.random.default_rng(1).standard_normal((60, 5)),
                  Origin("cborg", "nomic-embed-text"))
made.plot(by=lambda row: row % 3)
"""
TITLE_AT = "([x, y]) => document.elementFromPoint(x, y).title"


@pytest.fixture
def ask(lab: JupyterLab, encoder: Encoder) -> Iterator[Callable[..., None]]:
    """Opens a notebook with these cells."""
    from tests.front_ends.lab import notebook

    def open_(*cells: str) -> None:
        variables = {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": encoder.url}
        variables["CBORG_HOME"] = os.environ["CBORG_HOME"]
        first = f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics\n{TEXTS}"
        notebook(lab.root / "embedded.ipynb", [first, *cells])
        lab.open("embedded.ipynb")

    yield open_
    lab.close()


def test_progress_table_hits_and_map_in_light_and_dark(
    lab: JupyterLab, encoder: Encoder, ask: Callable[..., None], pictures: Path
) -> None:
    encoder.latency = 0.6
    ask("%embed -o found texts", "found", "found.search('channel 3', k=3)", "found.plot()")
    earlier = len(lab.errors)
    lab.run_all(wait=False)
    lab.cell(1).get_by_text("s left").wait_for(timeout=30_000)
    lab.screenshot(pictures / "embed-progress.png", 1)
    lab.wait()
    lab.settle()
    assert "2,400 texts" in lab.text(1)
    assert "left" not in lab.text(1), "the line has given its place to the badge"
    assert "2,400 texts × 8 numbers" in lab.text(2)
    assert "nearest to “channel 3”, 3 of 2,400 texts" in lab.text(3)
    assert "2,000 of 2,400 texts" in lab.text(4)
    lab.screenshot(pictures / "embed-light.png")
    contrasts = lab.page.evaluate(CONTRAST)
    lab.dark()
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    lab.screenshot(pictures / "embed-dark.png")
    contrasts += lab.page.evaluate(CONTRAST)
    lab.dark(False)
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    assert min(contrasts) > 4.5
    assert lab.errors[earlier:] == []


def pointed_at(page: JupyterLab, number: int) -> str:
    """What is shown on hover in the middle of a point."""
    box = page.cell(0).locator("b[title]").nth(number).bounding_box()
    assert box
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    return str(page.page.evaluate(TITLE_AT, middle))


def test_texts_show_on_hover_in_a_notebook_that_is_not_trusted_too(
    lab: JupyterLab, pictures: Path
) -> None:
    from tests.front_ends.lab import notebook

    notebook(lab.root / "map.ipynb", [DRAW, "made"])
    lab.open("map.ipynb")
    lab.run_all()
    lab.screenshot(pictures / "map.png", 0)
    last = "59: 59' <img src=x onerror=window.hacked=1> $x$"
    assert pointed_at(lab, 59) == last
    lab.save()
    file = nbformat.read(lab.root / "map.ipynb", as_version=4)
    file.cells[0].source = "# changed, so that JupyterLab does not trust the file"
    nbformat.write(file, lab.root / "untrusted.ipynb")
    lab.close()
    lab.open("untrusted.ipynb")
    lab.settle()
    trusted = "() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted"
    assert lab.page.evaluate(trusted) is False
    assert pointed_at(lab, 59) == last
    caption = lab.cell(1).locator("caption").bounding_box()
    assert caption
    assert caption["height"] < 60, "its words stand side by side"
    image = lab.cell(0).locator(".jp-OutputArea-output img")
    assert image.evaluate("image => image.naturalWidth") == WIDTH
    assert image.get_attribute("alt").startswith("A scatter plot: 60 texts")
    assert lab.page.evaluate("window.hacked") is None
    assert lab.page.locator("mjx-container").count() == 0
    lab.close()
