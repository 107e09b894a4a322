"""In a real kernel, with inline figures: what is on the screen can be attached by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.front_ends.kernel import Kernel, clean_environment, kernel

LISTEN = """
import cborg_magics, json
from cborg_magics.attachments.attach import load
notebook = cborg_magics._loaded[id(get_ipython())].notebook
def attached(name):
    try:
        made = load(name, notebook.place())
    except BaseException as error:
        made, said = [], str(error)
    else:
        said = ""
    print(json.dumps({
        "names": [each.name for each in made],
        "sizes": [getattr(each, "size", None) for each in made],
        "texts": [getattr(each, "text", None) for each in made],
        "error": said,
    }))
"""
INLINE = "%matplotlib inline\nimport matplotlib.pyplot as plt"
PICTURES = """
from IPython.display import Image, display
from PIL import Image as Pil
import io
def png(width):
    file = io.BytesIO()
    Pil.new("RGB", (width, 5)).save(file, "PNG")
    return file.getvalue()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    home = tmp_path_factory.mktemp("home")
    with kernel(clean_environment(home, MPLBACKEND="agg"), load=False) as running:
        for cell in ("%load_ext cborg_magics", LISTEN, INLINE, PICTURES):
            assert running.run(cell).status == "ok"
        yield running


def attached(running: Kernel, name: str) -> Any:
    return json.loads(running.value(f"attached({name!r}) or ''").splitlines()[0])


def number(running: Kernel, code: str) -> int:
    """Run a cell, and its n of In[n]."""
    run = running.run(code)
    inputs = (m["content"] for m in run.messages if m["type"] == "execute_input")
    return int(next(inputs)["execution_count"])


def test_an_inline_figure_is_found_by_cell_and_as_last(running: Kernel) -> None:
    cell = number(running, "plt.plot([1, 2]);")
    for name in ("last", f"cell:{cell}"):
        sent = attached(running, name)
        assert sent["names"] == [f"cell {cell} picture 1"], sent
        assert sent["sizes"][0][0] > 100


def test_a_figure_is_found_by_its_variable(running: Kernel) -> None:
    running.run("fig, ax = plt.subplots(figsize=(4, 3)); ax.plot([1, 2]); plt.close()")
    sent = attached(running, "fig")
    assert sent["names"] == ["fig"], sent
    width, height = sent["sizes"][0]
    assert width / height == pytest.approx(4 / 3, abs=0.01)


def test_all_that_a_cell_showed_is_found_in_order(running: Kernel) -> None:
    cell = number(
        running,
        "plt.plot([1]); plt.show()\ndisplay(Image(png(11)))\nprint('words')\nImage(png(12))",
    )
    sent = attached(running, f"cell:{cell}")
    assert sent["names"] == [f"cell {cell} picture {n}" for n in (1, 2, 3)], sent
    assert sent["sizes"][1:] == [[11, 5], [12, 5]]
    assert attached(running, "last")["sizes"] == [[12, 5]]


def test_a_result_is_found_by_number(running: Kernel) -> None:
    cell = number(running, "Pil.new('RGB', (13, 5))")
    assert attached(running, f"Out[{cell}]")["sizes"] == [[13, 5]]
    assert attached(running, f"cell:{cell}")["names"] == [f"cell {cell} picture 1"]
    assert attached(running, "last")["sizes"] == [[13, 5]]


def test_an_updated_picture_is_the_one_that_is_seen(running: Kernel) -> None:
    cell = number(running, "handle = display(Image(png(14)), display_id=True)")
    running.run("handle.update(Image(png(15)))")
    sent = attached(running, f"cell:{cell}")
    assert sent["sizes"] == [[15, 5]], sent


def test_a_cleared_picture_is_not_there_any_more(running: Kernel) -> None:
    cell = number(
        running,
        "from IPython.display import clear_output\n"
        "for width in (21, 22, 23):\n    clear_output(wait=True)\n    display(Image(png(width)))",
    )
    assert attached(running, f"cell:{cell}")["sizes"] == [[23, 5]]


def test_html_is_no_picture(running: Kernel) -> None:
    running.run("display(Image(png(24)))")
    running.run("from IPython.display import HTML\nHTML('<img src=\"data:image/png;base64,AA\">')")
    assert attached(running, "last")["sizes"] == [[24, 5]]


@pytest.mark.parametrize(
    "chart",
    [
        "import altair as alt, pandas as pd\n"
        "alt.Chart(pd.DataFrame({'x': [1]})).mark_point().encode(x='x:Q')",
        "import plotly.graph_objects as go\ngo.Figure()",
        "import plotly.graph_objects as go\ngo.Figure().show()",
    ],
    ids=["altair", "plotly", "plotly shown"],
)
def test_a_chart_that_the_front_end_draws_is_last(running: Kernel, chart: str) -> None:
    running.run("display(Image(png(25)))")
    cell = number(running, chart)
    sent = attached(running, "last")
    assert sent["names"] == [f"cell {cell} picture 1"], sent
    assert sent["texts"] == [None]
    assert attached(running, f"cell:{cell}")["names"] == sent["names"]


def test_a_class_of_the_notebook_has_its_source(running: Kernel) -> None:
    running.run("class Model:\n    rate = 0.5  # per second\n")
    assert attached(running, "Model")["texts"] == ["class Model:\n    rate = 0.5  # per second"]


def test_the_error_is_the_notebooks_after_one_of_ours(running: Kernel) -> None:
    cell = number(running, "def half(n):\n    return n / 0\nhalf(1)")
    assert running.run("%chat --no-such-option").status == "error"
    [text] = attached(running, "error")["texts"]
    assert f"In[{cell}], line 2, in half\n    return n / 0" in text
    assert "ipykernel" not in text
    assert text.endswith("ZeroDivisionError: division by zero")


def test_a_cell_is_sent_as_typed(running: Kernel) -> None:
    cell = number(running, "%time 'as typed'")
    assert attached(running, f"In[{cell}]")["texts"] == ["%time 'as typed'"]


def test_a_cell_that_showed_nothing_says_so(running: Kernel) -> None:
    cell = number(running, "x = 1")
    assert attached(running, f"cell:{cell}")["error"].startswith(
        f"cell {cell} showed no picture since the extension was loaded."
    )


def test_a_picture_from_before_is_found_where_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "work.ipynb"
    environment = clean_environment(tmp_path, JPY_SESSION_NAME=str(path))
    with kernel(environment, load=False) as running:
        running.run(PICTURES)
        shown = running.run("display(Image(png(31)))")
        bundle = shown.outputs[0]["data"]
        cell = {
            "cell_type": "code",
            "execution_count": 2,
            "source": "display(Image(png(31)))",
            "outputs": [{"output_type": "display_data", "data": bundle}],
        }
        path.write_text(json.dumps({"cells": [cell]}))
        running.run("%load_ext cborg_magics")
        running.run(LISTEN)
        assert attached(running, "cell:2")["sizes"] == [[31, 5]]
        assert attached(running, "cell:2")["names"] == ["cell 2 picture 1 (as saved)"]
