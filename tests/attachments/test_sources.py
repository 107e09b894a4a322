"""A name is found where the person means it, and where it is not, the error says what to do."""

from __future__ import annotations

import base64
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cborg_magics.attachments import notebook
from cborg_magics.attachments.last_error import LastError
from cborg_magics.attachments.notebook import Notebook
from cborg_magics.attachments.place import Place
from cborg_magics.attachments.shown import Shown
from cborg_magics.attachments.sources import cell, error, saved, variable
from cborg_magics.errors import BadAttachment, BadOption
from cborg_magics.exchange import Document

PNG = b"\x89PNG one"
OTHER = b"\x89PNG two"


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Broken:
    @property
    def figure(self) -> None:
        raise RuntimeError("no data yet.\nsecond line")

    @property
    def hidden(self) -> None:
        raise AttributeError("inner")


NAMESPACE: dict[str, object] = {
    "fig": 1,
    "run": SimpleNamespace(figure=2, parts=[3, 4]),
    "data": {"a": 5, ("x", 1): 6, "alpha": 7},
    "broken": Broken(),
    "_private": 8,
    "In": [],
    "_": 9,
    "_i3": "typed()",
    "exit": exit,
}


# -- variables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fig", 1),
        (" fig ", 1),
        ("run.figure", 2),
        ("run.parts[0]", 3),
        ("run.parts[-1]", 4),
        ('data["a"]', 5),
        ('data["x", 1]', 6),
        ("_private", 8),
    ],
)
def test_a_variable_is_found(name: str, value: int) -> None:
    found = variable.find(name, Place(NAMESPACE))
    assert found
    assert [(each.name, each.value) for each in found] == [(name.strip(), value)]


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "nope.png",
        "plots/fig.png",
        "https://example.org/fig.png",
        "my file.txt",
        "fig-1.png",
        "",
        "fig()",
        "data[fig]",
        "data[open('x')]",
        "In",
        "In[3]",
        "_",
        "_i3",
        "exit",
        "run.png",  # a file's name, as far as anyone can tell
        "(" * 300,
        "a\0b",
    ],
)
def test_what_is_no_variable_is_left_to_others(name: str) -> None:
    assert variable.find(name, Place(NAMESPACE)) is None


def test_a_file_named_like_an_attribute_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.dat2").touch()
    assert variable.find("run.dat2", Place(NAMESPACE)) is None


@pytest.mark.parametrize(
    ("name", "what", "do"),
    [
        ("run.figur", "run (SimpleNamespace) has no figur.", "Did you mean run.figure?"),
        ("fig.nope", "fig (int) has no nope.", ""),
        ("broken.figure", "broken.figure cannot be read: RuntimeError: no data yet.", ""),
        ("broken.hidden", "broken.hidden cannot be read: AttributeError: inner.", ""),
        ("run.parts[9]", "run.parts (list) has no item 9.", "It has 2, counted from 0."),
        ("data['alpa']", "data (dict) has no item 'alpa'.", "Did you mean 'alpha'?"),
        ("fig[0]", "fig[0] cannot be read: TypeError: 'int' object is not subscriptable.", ""),
    ],
)
def test_what_a_variable_has_not_is_said(name: str, what: str, do: str) -> None:
    with pytest.raises(BadAttachment) as caught:
        variable.find(name, Place(NAMESPACE))
    assert (caught.value.what, caught.value.do) == (what, do)


def test_looking_changes_nothing() -> None:
    counts = defaultdict(int, a=1)
    with pytest.raises(BadAttachment, match="has no item 'b'"):
        variable.find("counts['b']", Place({"counts": counts}))
    assert counts == {"a": 1}


@pytest.mark.parametrize(
    ("name", "near"),
    [("figg", "fig"), ("figg.axes", "fig"), ("FIG", "fig"), ("zzz", None), ("exi", None)],
)
def test_the_nearest_variable_is_known(name: str, near: str | None) -> None:
    assert variable.nearest(name, Place(NAMESPACE)) == near


# -- cells -----------------------------------------------------------------------------------

CELLS = {
    "_ih": ["", "transformed()", "a = 1", "'three'"],
    "_oh": {3: SimpleNamespace(figure="f")},
    "_i1": "%typed",
}
SHOWN = (
    Shown(1, "image/png", in_base64(PNG)),
    Shown(2, "image/svg+xml", "<svg>é</svg>"),
    Shown(2, "image/png", in_base64(OTHER)),
)


def values(name: str, place: Place) -> list[tuple[str, object]]:
    return [(each.name, each.value) for each in cell.find(name, place) or ()]


def test_all_pictures_of_a_cell_are_found_in_order() -> None:
    assert values("cell:2", Place(CELLS, SHOWN)) == [
        ("cell 2 picture 1", "<svg>é</svg>".encode()),
        ("cell 2 picture 2", OTHER),
    ]


def test_last_is_the_newest_picture() -> None:
    assert values("last", Place(CELLS, SHOWN)) == [("cell 2 picture 2", OTHER)]


def test_a_cell_that_showed_nothing_gives_its_result() -> None:
    assert values("cell:3", Place(CELLS, SHOWN)) == [("Out[3]", CELLS["_oh"][3])]  # type: ignore[index]


def test_results_are_found_by_number() -> None:
    assert values("Out[3]", Place(CELLS)) == [("Out[3]", CELLS["_oh"][3])]  # type: ignore[index]
    assert values("Out[3].figure", Place(CELLS)) == [("Out[3].figure", "f")]


def test_a_cells_text_is_found_as_typed_and_without_keys() -> None:
    place = Place(CELLS | {"_i2": "key = 'sk-abcdefgh1234'"})
    assert values("In[1]", place) == [("In[1]", Document("In[1]", "%typed", "python"))]
    assert values("In[2]", place) == [("In[2]", Document("In[2]", "key = '[key]'", "python"))]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Out[2]",
            "cell 2 gave no value, so there is no Out[2].\n"
            "What it displayed is attached by cell:2.",
        ),
        ("Out[9]", "cell 9 has not run in this kernel, so there is no Out[9]."),
        ("In[9]", "cell 9 has not run in this kernel, so there is no In[9]."),
        ("Out[3].nope", "Out[3] (SimpleNamespace) has no nope."),
    ],
)
def test_what_a_cell_has_not_is_said(name: str, words: str) -> None:
    with pytest.raises(BadAttachment) as caught:
        cell.find(name, Place(CELLS))
    assert str(caught.value) == words


@pytest.mark.parametrize("name", ["cell:9", "cell:x", "last", "In[1].x", "In", "Out[x]", "fig"])
def test_what_is_not_known_here_is_left_to_others(name: str) -> None:
    assert cell.find(name, Place(CELLS)) is None


def test_a_picture_that_cannot_be_read_is_said() -> None:
    with pytest.raises(BadAttachment, match="cell 1 picture 1 cannot be read"):
        cell.find("cell:1", Place(CELLS, [Shown(1, "image/png", "x")]))


# -- the last error --------------------------------------------------------------------------


@pytest.fixture
def errors(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> Iterator[LastError]:
    monkeypatch.delattr(sys, "last_value", raising=False)
    errors = LastError(shell)
    errors.install()
    yield errors
    errors.remove()


def test_no_error_yet_is_said() -> None:
    with pytest.raises(BadAttachment, match="no cell has ended with an error yet"):
        error.find("error", Place())
    assert error.find("errors", Place()) is None


def test_the_last_error_is_the_notebooks_not_ours(
    errors: LastError, shell: InteractiveShell
) -> None:
    shell.run_cell("1 / 0")
    shell.run_cell("%chat --no-such-option")
    shell.run_cell("1 + 1")
    assert isinstance(errors.value, ZeroDivisionError)
    shell.run_cell("def")
    assert isinstance(errors.value, SyntaxError)
    shell.run_cell("%%time\n{}['key']")
    assert isinstance(errors.value, KeyError)


def test_an_error_from_before_is_known(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, known in ((KeyError("x"), True), (BadOption("ours"), False)):
        monkeypatch.setattr(sys, "last_value", value, raising=False)
        errors = LastError(shell)
        errors.install()
        assert (errors.value is value) is known
        errors.remove()


# -- the notebook's file ---------------------------------------------------------------------


def a_notebook(folder: Path, *cells: dict[str, Any]) -> Path:
    path = folder / "work.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    return path


def pasted(name: str, data: bytes) -> dict[str, Any]:
    return {
        "cell_type": "markdown",
        "source": f"![{name}](attachment:{name})",
        "attachments": {name: {"image/png": in_base64(data)}},
    }


def ran(number: int, source: str, *pictures: bytes) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = [{"output_type": "stream", "text": ["no", "picture"]}]
    for data in pictures:
        bundle = {"image/png": [in_base64(data), "\n"], "text/plain": "<Figure>"}
        outputs.append({"output_type": "display_data", "data": bundle})
    return {
        "cell_type": "code",
        "execution_count": number,
        "source": [source],
        "outputs": outputs,
    }


def saved_values(name: str, place: Place) -> list[tuple[str, object]] | None:
    found = saved.find(name, place)
    return None if found is None else [(each.name, each.value) for each in found]


@pytest.mark.parametrize("name", ["attachment:image.png", "image.png"])
def test_a_pasted_picture_is_found(tmp_path: Path, name: str) -> None:
    path = a_notebook(tmp_path, pasted("image.png", PNG), ran(1, "x"))
    assert saved_values(name, Place(notebook=path)) == [("image.png", PNG)]


def test_different_pictures_of_one_name_are_all_found_once(tmp_path: Path) -> None:
    path = a_notebook(tmp_path, *(pasted("image.png", data) for data in (PNG, OTHER, PNG)))
    assert saved_values("image.png", Place(notebook=path)) == [
        ("image.png", PNG),
        ("image.png (2)", OTHER),
    ]


def test_a_saved_output_is_found_by_its_cells_number(tmp_path: Path) -> None:
    path = a_notebook(tmp_path, ran(5, "draw()", PNG, OTHER), ran(4, "old()", PNG))
    assert saved_values("cell:5", Place(notebook=path)) == [
        ("cell 5 picture 1 (as saved)", PNG),
        ("cell 5 picture 2 (as saved)", OTHER),
    ]
    assert saved_values("last", Place(notebook=path)) == [("cell 5 picture 2 (as saved)", OTHER)]


def test_a_saved_output_of_another_cell_with_that_number_is_not_taken(tmp_path: Path) -> None:
    path = a_notebook(tmp_path, ran(5, "draw()\n", PNG))
    assert saved.find("cell:5", Place({"_i5": "draw()"}, notebook=path))
    with pytest.raises(BadAttachment, match="cell 5 showed no picture"):
        saved.find("cell:5", Place({"_i5": "something_else()"}, notebook=path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cell:99", "cell 99 showed no picture since the extension was loaded."),
        ("last", "no picture was shown since the extension was loaded."),
        ("attachment:image.png", "Save the notebook"),
        ("cell:99", "notebook's file is not known here"),
        ("last", "notebook's file is not known here"),
        ("attachment:image.png", "notebook's file is not known here"),
    ],
)
def test_without_a_file_it_says_so(name: str, words: str) -> None:
    with pytest.raises(BadAttachment) as caught:
        saved.find(name, Place())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cell:99", "cell 99 showed no picture since the extension was loaded, and the notebook's"),
        ("last", "no picture was shown since the extension was loaded, and the notebook's file"),
        ("attachment:imag.png", "It has 'image.png'."),
    ],
)
def test_what_the_file_has_not_is_said(tmp_path: Path, name: str, words: str) -> None:
    path = a_notebook(tmp_path, pasted("image.png", PNG), ran(1, "x"))
    with pytest.raises(BadAttachment) as caught:
        saved.find(name, Place(notebook=path))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": 3}', '{"cells": ["x"]}', "[" * 99999]
)
def test_a_file_that_is_no_notebook_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "work.ipynb"
    path.write_text(text)
    for name in ("cell:5", "last", "attachment:a.png"):
        with pytest.raises(BadAttachment, match=r"work\.ipynb is not a notebook"):
            saved.find(name, Place(notebook=path))
    assert saved.find("a.png", Place(notebook=path)) is None


def test_a_huge_notebook_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "work.ipynb"
    with path.open("wb") as file:
        file.truncate(saved.MOST_BYTES + 1)
    with pytest.raises(BadAttachment, match=r"work\.ipynb has 104 MB; up to 100 MB is read"):
        saved.find("last", Place(notebook=path))


@pytest.mark.parametrize("name", ["fig", "figure.pdf", "https://x.org/a.png", "a/b.png", "c.png"])
def test_other_names_are_left_to_others(tmp_path: Path, name: str) -> None:
    path = a_notebook(tmp_path, pasted("image.png", PNG))
    assert saved.find(name, Place(notebook=path)) is None


# -- the notebook's path ---------------------------------------------------------------------


def test_the_path_is_what_vs_code_or_jupyter_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_notebook(tmp_path)
    monkeypatch.chdir(tmp_path)
    told = {"JPY_SESSION_NAME": str(path)}
    assert notebook.path({"__vsc_ipynb_file__": str(path)}, {}) == path
    assert notebook.path({}, told) == path
    assert notebook.path({}, {"JPY_SESSION_NAME": "folder/work.ipynb"}) == path
    path.rename(tmp_path / "renamed.ipynb")
    assert notebook.path({}, told) is None
    assert notebook.path({}, {"JPY_SESSION_NAME": "console-1-abc"}) is None
    assert notebook.path({"__vsc_ipynb_file__": 3}, {}) is None


def test_a_value_is_drawn_without_being_displayed(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    class Drawn:
        def _ipython_display_(self) -> None:
            print("displayed")

        def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
            return {"image/svg+xml": "<svg/>"}

        def _repr_png_(self) -> bytes:
            return PNG

    bundle = Notebook(shell).place().bundle(Drawn())
    assert bundle == {"image/svg+xml": "<svg/>", "image/png": PNG}
    assert capsys.readouterr().out == ""


def test_what_can_be_attached_is_offered_by_name(shell: InteractiveShell) -> None:
    known = Notebook(shell)
    known.install()
    shell.run_cell("import json\nfig = 1\n_private = 2\nIn\n", store_history=True)
    shell.run_cell(
        "class D:\n    def _repr_png_(self):\n        return b''\nD()", store_history=True
    )
    shell.run_cell("1 / 0", store_history=True)
    assert known.names() == ["D", "fig", "last", "error", "cell:2", "Out[1]", "Out[2]"]
    known.remove()
