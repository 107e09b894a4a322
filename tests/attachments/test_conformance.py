"""Everything that can be attached, by the name that is typed: one row for each way."""

from __future__ import annotations

import base64
import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import matplotlib as mpl
import pytest
from IPython.core.interactiveshell import InteractiveShell

import cborg_magics
from cborg_magics.attachments.attach import load
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Document, Picture

TINY = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><path d="M0 0h9"/></svg>'


@dataclass(frozen=True)
class Row:
    """`name` is typed after the cells of `setup` have run. What must come of it: pictures of
    these `sizes` (pixels; None: any), or documents with these `words`, or this `error`."""

    name: str
    setup: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int] | None, ...] = ()
    words: tuple[str, ...] = ()
    language: str = ""
    error: str = ""
    called: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "; ".join(self.setup).splitlines()
        return f"{self.name[:40]} where {what[-1][:40]}" if what else self.name[:40]


FIGURE = (
    "from matplotlib.figure import Figure\nfig = Figure(figsize=(4, 3), dpi=100)\n"
    "ax = fig.add_subplot()"
)
PIL = "from PIL import Image\nimage = Image.new('RGB', (40, 30))"
NUMPY = "import numpy as np"
PANDAS = "import pandas as pd\ndf = pd.DataFrame({'a': range(1000)})"
DISPLAYED = (
    "from IPython.display import display, Image\nimport base64\ntiny = base64.b64decode(TINY)"
)
ANY = None

ROWS = (
    # -- where a name is looked for
    Row("image", (PIL,), ((40, 30),)),
    Row("run.image", (PIL, "class run: image = image"), ((40, 30),)),
    Row("images[0]", (PIL, "images = [image]"), ((40, 30),), called=("images[0]",)),
    Row('by_name["a"]', (PIL, "by_name = {'a': image}"), ((40, 30),)),
    Row("last", (PIL, "last = image"), ((40, 30),), called=("last",)),
    Row("error", ("error = 'mine'",), words=("mine",)),
    Row("run.imag", (PIL, "class run: image = image"), error="run (type) has no imag."),
    Row("nothing", (), error="nothing here is called 'nothing'."),
    Row("Out[2]", (PIL, "image"), ((40, 30),)),
    Row("Out[1]", ("x = 1",), error="cell 1 gave no value, so there is no Out[1]."),
    Row("In[1]", ("%time x = 1",), words=("%time x = 1",), language="python"),
    Row("cell:2", (PIL, "image"), ((40, 30),), called=("cell 2 picture 1",)),
    Row("cell:99", (), error="cell 99 showed no picture since the extension was loaded."),
    Row("last", (PIL, "image", "1 + 1"), ((40, 30),), called=("cell 2 picture 1",)),
    Row("last", (), error="no picture was shown since the extension was loaded."),
    Row("error", ("1 / 0", "2 + 2"), words=("ZeroDivisionError: division by zero",)),
    Row("error", ("1 / 0", "%chat --no-such-option"), words=("In[1], line 1",)),
    Row("pasted.png", (), ((1, 1),), called=("pasted.png",)),
    Row("attachment:pasted.png", (), ((1, 1),)),
    Row("cell:7", (), ((1, 1),), called=("cell 7 picture 1 (as saved)",)),
    Row("photo.png", (), ((1, 1),)),
    Row("no-such-file.png", (), error="no-such-file.png"),
    Row(f"data:image/png;base64,{TINY}", (), ((1, 1),)),
    Row("{address}/photo.png", (), (ANY,)),
    # -- what a value is sent as: pictures
    Row("fig", (FIGURE,), ((400, 300),)),
    Row("ax", (FIGURE,), (ANY,)),
    Row("figs", (FIGURE, "figs = [fig, fig]"), (ANY, ANY), called=("figs[0]", "figs[1]")),
    Row("image", (PIL, "image = image.convert('CMYK')"), ((40, 30),)),
    Row("shown", (DISPLAYED, "shown = Image(tiny)"), ((1, 1),)),
    Row("tiny", (DISPLAYED,), ((1, 1),)),
    Row("drawing", (f"from IPython.display import SVG\ndrawing = SVG({SVG!r})",), (ANY,)),
    Row("a", (NUMPY, "a = np.zeros((20, 30, 3), dtype='uint8')"), ((30, 20),)),
    Row("a", (NUMPY, "a = np.zeros((20, 30))"), ((30, 20),)),
    Row("chart", ("import plotly.graph_objects as go\nchart = go.Figure()",), (ANY,)),
    Row(
        "chart",
        (
            "import altair as alt, pandas as pd",
            "chart = alt.Chart(pd.DataFrame({'x': [1]})).mark_point().encode(x='x:Q')",
        ),
        (ANY,),
    ),
    Row(
        "drawn",
        ("class D:\n  def _repr_png_(self): return tiny", DISPLAYED, "drawn = D()"),
        ((1, 1),),
    ),
    Row("path", ("from pathlib import Path\npath = Path('photo.png')",), ((1, 1),)),
    Row("drawing.svg", (), (ANY,)),
    Row("paper.pdf", (), (ANY,)),
    # -- what a value is sent as: text
    Row("df", (PANDAS,), words=("DataFrame, 1,000 rows × 1 column",), language="markdown"),
    Row("df.a", (PANDAS,), words=("Series, 1,000 rows",), language="markdown"),
    Row("caught", ("try: 1 / 0\nexcept Exception as e: caught = e",), words=("In[1], line 1",)),
    Row("f", ("def f():\n    return 41 + 1",), words=("return 41 + 1",), language="python"),
    Row("C", ("class C:\n    x = 41 + 1",), words=("x = 41 + 1",), language="python"),
    Row("json", ("import json",), words=("JavaScript Object Notation",), language="python"),
    Row("len", ("len = len",), error="len has no Python source"),
    Row("data", ("data = {'a': [1, None]}",), words=('"a": [1, null]',), language="json"),
    Row("n", ("n = 42",), words=("42",), language="json"),
    Row("words", ("words = 'some words of text'",), words=("some words of text",)),
    Row("table.csv", (), words=("a,b\n1,2",)),
    Row("x", ("x = object()",), error="x is of type object, which cannot be sent."),
    Row("keyed", ("keyed = {'key': 'sk-abcdefgh1234'}",), words=("[key]",), language="json"),
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A web server with one picture."""

    class Photo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(base64.b64decode(TINY))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Photo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a saved notebook and files of several kinds."""
    from PIL import Image

    output = {"output_type": "display_data", "data": {"image/png": TINY}}
    cells = [
        {"cell_type": "markdown", "attachments": {"pasted.png": {"image/png": TINY}}},
        {"cell_type": "code", "execution_count": 7, "source": "draw()", "outputs": [output]},
    ]
    (tmp_path / "work.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "photo.png").write_bytes(base64.b64decode(TINY))
    (tmp_path / "drawing.svg").write_text(SVG)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    Image.new("RGB", (50, 50)).save(tmp_path / "paper.pdf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def attach(
    shell: InteractiveShell,
    folder: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[Row], tuple[Picture | Document, ...]]]:
    """Run a row's cells in the shell, then attach its name."""
    notebook = cborg_magics._loaded[id(shell)].notebook

    def run(row: Row) -> tuple[Picture | Document, ...]:
        # Only where the file is asked for: a notebook that was never saved has none.
        if "7" in row.name or "pasted" in row.name:
            monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "work.ipynb"))
        shell.user_ns["TINY"] = TINY
        for cell in row.setup:
            shell.run_cell(cell, store_history=True)
        return load(row.name.replace("{address}", address), notebook.place())

    with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
        yield run


@pytest.mark.parametrize("row", [row for row in ROWS if not row.error], ids=str)
def test_it_is_attached(row: Row, attach: Callable[[Row], tuple[Picture | Document, ...]]) -> None:
    made = attach(row)
    if row.called:
        assert tuple(each.name for each in made) == row.called
    pictures = [each for each in made if isinstance(each, Picture)]
    documents = [each for each in made if isinstance(each, Document)]
    assert len(pictures) == len(row.sizes)
    for picture, size in zip(pictures, row.sizes, strict=True):
        assert picture.data or picture.url
        assert size is None or picture.size == size
    assert len(documents) == len(row.words)
    for document, words in zip(documents, row.words, strict=True):
        assert words in document.text
        assert not row.language or document.language == row.language
        assert not re.search(r"sk-\w{6}", document.text)


@pytest.mark.parametrize("row", [row for row in ROWS if row.error], ids=str)
def test_it_is_refused_in_plain_words(
    row: Row, attach: Callable[[Row], tuple[Picture | Document, ...]]
) -> None:
    with pytest.raises(BadAttachment) as caught:
        attach(row)
    assert row.error in caught.value.what
    assert len(str(caught.value).splitlines()) <= 3
