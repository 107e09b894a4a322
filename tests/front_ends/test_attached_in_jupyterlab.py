"""What does a person see who attaches a figure in JupyterLab, and what does the model get?"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from PIL import Image, ImageChops

from tests.services.proxy import Proxy

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

PLOT = """import matplotlib.pyplot as plt
import numpy as np
x = np.linspace(0, 10, 300)
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(x, np.exp(-x / 4) * np.cos(2 * x))
ax.set_xlabel("time (s)")
fig.savefig("fig.png");"""
FRAME = """import pandas as pd
df = pd.DataFrame({"t": x[:5], "y": np.cos(x[:5])})"""
ASK = "%%chat -a {}\nWhat kind of motion is this?"
CELLS = [PLOT, ASK.format("fig"), ASK.format("cell:2"), ASK.format("last"), FRAME]
CELLS += ["%%chat -a df -a fig --longest-side 200\nDoes it fit?", "%chat --show"]


@pytest.fixture
def talk(lab: JupyterLab, proxy: Proxy, tmp_path: Path) -> Iterator[JupyterLab]:
    """A notebook of a plot and questions about it, asked of a real LiteLLM proxy."""
    from tests.front_ends.lab import notebook

    variables = {
        "LITELLM_API_KEY": proxy.master_key,
        "LITELLM_BASE_URL": proxy.url,
        "CBORG_MODEL": "lbl/cborg-chat",
        "CBORG_VISION_MODEL": "lbl/cborg-vision",
        "CBORG_HOME": str(tmp_path / "cborg"),
    }
    first = f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics"
    notebook(lab.root / "attach.ipynb", [first, *CELLS])
    lab.open("attach.ipynb")
    yield lab
    lab.close()


def received(proxy: Proxy) -> list[Image.Image]:
    """The pictures of the last question, as the model behind the proxy got them."""
    content = proxy.seen()[-1]["body"]["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def same(one: Image.Image, other: Image.Image) -> bool:
    """Are all pixels alike?"""
    difference = ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))
    return one.size == other.size and difference.getbbox(alpha_only=False) is None


def thumbnails(lab: JupyterLab, cell: int) -> list[Any]:
    """Width and height, as drawn, of the thumbnails of a cell."""
    return [
        (box["width"], box["height"])
        for each in lab.rendered(cell).locator("figure img").all()
        if (box := each.bounding_box())
    ]


def test_a_figure_is_attached_by_variable_by_cell_and_as_the_last(
    talk: JupyterLab, proxy: Proxy, pictures: Path
) -> None:
    for cell in (0, 1):
        talk.run_cell(cell)
    shown = next(o["data"]["image/png"] for o in talk.outputs(1) if "image/png" in o["data"])
    drawn = Image.open(io.BytesIO(base64.b64decode(shown)))
    whole = Image.open(talk.root / "fig.png")
    for cell, expected in ((2, whole), (3, drawn), (4, drawn)):
        talk.run_cell(cell)
        (seen,) = received(proxy)
        assert same(seen, expected), CELLS[cell - 1]
        assert proxy.seen()[-1]["body"]["model"] == "qwen-vl", "the model that can see"
        width, height = thumbnails(talk, cell)[0]
        assert 20 < height <= 98
        assert "{:,} × {:,} px".format(*expected.size) in talk.text(cell)
        assert "turn " in talk.text(cell)
        assert width > height
    talk.cell(2).scroll_into_view_if_needed()
    talk.screenshot(pictures / "attached.png")

    for cell in (5, 6, 7):
        talk.run_cell(cell)
    (small,) = received(proxy)
    assert max(small.size) == 200
    assert "fig · 200 × 120 px" in talk.text(6)
    assert "5 rows" in talk.text(6)
    texts = [p["text"] for p in proxy.seen()[-1]["body"]["messages"][-1]["content"] if "text" in p]
    assert texts[0].startswith("df (")
    assert texts[-1] == "Does it fit?"
    assert len(thumbnails(talk, 7)) == 4, "--show draws them all again"
    talk.cell(7).scroll_into_view_if_needed()
    talk.screenshot(pictures / "attached-and-shown-again.png")


def test_a_saved_notebook_shows_what_was_attached(talk: JupyterLab, pictures: Path) -> None:
    for cell in (0, 1, 2):
        talk.run_cell(cell)
    talk.save()
    saved = nbformat.read(talk.root / "attach.ipynb", as_version=4)
    saved.cells[0].source = "# changed, so that JupyterLab does not trust the file"
    nbformat.write(saved, talk.root / "attach-again.ipynb")
    talk.close()
    talk.open("attach-again.ipynb")
    talk.settle()
    assert len(thumbnails(talk, 2)) == 1
    talk.cell(2).scroll_into_view_if_needed()
    talk.screenshot(pictures / "attached-opened-again.png")


def test_run_again_in_jupyterlab_replaces_the_turn(talk: JupyterLab, proxy: Proxy) -> None:
    for cell in (0, 1, 2, 3, 4, 2):
        talk.run_cell(cell)
    assert "turn 1 of main again, 2 later turns dropped (%chat --undo)" in talk.text(2)
    assert len(proxy.seen()[-1]["body"]["messages"]) == 1
