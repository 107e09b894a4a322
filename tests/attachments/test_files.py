"""A file is sent by what is in it: a picture, pages, a drawing, text, a notebook's cells."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cborg_magics.attachments import contents, pdf
from cborg_magics.attachments.attach import load, of
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment, Document, Picture

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="40" height="30" fill="red"/></svg>'
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def attached(name: str, place: Place | None = None) -> list[Attachment]:
    return list(load(name, place or Place()))


def picture(name: str, place: Place | None = None) -> Picture:
    (made,) = attached(name, place)
    assert isinstance(made, Picture)
    return made


def document(name: str) -> Document:
    (made,) = attached(name)
    assert isinstance(made, Document)
    return made


def pixel(made: Picture, at: tuple[int, int]) -> object:
    return Image.open(io.BytesIO(made.data)).convert("RGB").getpixel(at)


# -- pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp", "tiff", "ppm"])
def test_a_picture_file_is_a_picture(kind: str) -> None:
    Image.new("RGB", (40, 30), "red").save(f"a.{kind}")
    made = picture(f"a.{kind}")
    assert (made.name, made.size) == (f"a.{kind}", (40, 30))
    red, green, blue = pixel(made, (5, 5))  # type: ignore[misc]
    assert red > 250
    assert max(green, blue) < 5


def test_the_contents_count_not_the_suffix() -> None:
    Image.new("RGB", (40, 30)).save("a.txt", "PNG")
    assert picture("a.txt").type == "image/png"


def test_a_path_may_be_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my plots").mkdir()
    Image.new("L", (3, 2)).save("my plots/a b.png")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    for name in ("my plots/a b.png", str(folder / "my plots" / "a b.png"), "~/my plots/a b.png"):
        assert picture(name).size == (3, 2)


def test_a_variable_may_hold_a_path_or_a_name() -> None:
    Image.new("L", (3, 2)).save("a.png")
    place = Place({"path": Path("a.png"), "name": "a.png"})
    assert picture("path", place).name == "path"
    assert picture("name", place).size == (3, 2)


# -- drawings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ('width="40" height="30"', (40, 30)),
        ('width="40px" height="30px"', (40, 30)),
        ('width="1in" height="72pt"', (96, 96)),
        ('width="25.4mm" height="2.54cm"', (96, 96)),
        ('viewBox="0 0 80 60"', (80, 60)),
        ('width="160" viewBox="0 0 80 60"', (160, 120)),
        ('height="60" viewBox="0,0,80,60"', (80, 60)),
        ('width="100%" height="100%" viewBox="0 0 80 60"', (80, 60)),
        ('width="4096" height="1024"', (2048, 512)),
        ('width="1000000" height="1000000"', (2048, 2048)),
        ("", (1024, 768)),
    ],
)
def test_a_drawing_is_drawn_in_its_own_size(size: str, pixels: tuple[int, int]) -> None:
    Path("a.svg").write_text(SVG.format(size=size))
    made = picture("a.svg")
    assert made.size == pixels
    assert ("scaled from" in made.note) == (pixels[0] == 2048)


def test_a_drawing_is_on_white() -> None:
    Path("a.svg").write_text(SVG.format(size='width="80" height="60"'))
    made = picture("a.svg")
    assert pixel(made, (5, 5)) == (255, 0, 0)
    assert pixel(made, (70, 50)) == (255, 255, 255)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_drawing_may_be_in_any_encoding(encoding: str) -> None:
    told = "utf-8" if "utf-8" in encoding else encoding
    head = f'<?xml version="1.0" encoding="{told}"?>\n<!-- é -->\n'
    text = head + SVG.format(size='width="40" height="30"')
    Path("a.svg").write_bytes(text.encode(encoding))
    assert picture("a.svg").size == (40, 30)


def test_what_matplotlib_writes_is_drawn() -> None:
    from matplotlib.figure import Figure

    Figure(figsize=(4, 3)).savefig("a.svg")
    assert picture("a.svg").size == (384, 288)


def test_the_notebooks_folder_is_not_imported_from(folder: Path) -> None:
    (folder / "random.py").write_text("raise SystemExit(1)")
    (folder / "resvg_py.py").write_text("raise SystemExit(1)")
    Path("a.svg").write_text(SVG.format(size='width="40" height="30"'))
    assert picture("a.svg").size == (40, 30)


# -- pages -----------------------------------------------------------------------------------


def paper(name: str, pages: int, size: tuple[int, int] = (60, 40)) -> None:
    """Each page has a grey of its own."""
    made = [Image.new("RGB", size, (10 * number,) * 3) for number in range(1, pages + 1)]
    made[0].save(name, save_all=True, append_images=made[1:], resolution=72)


def test_the_pages_of_a_pdf_are_pictures() -> None:
    paper("paper.pdf", 3)
    made = attached("paper.pdf")
    assert [each.name for each in made] == [f"paper.pdf page {n}" for n in (1, 2, 3)]
    for number, each in enumerate(made, 1):
        assert isinstance(each, Picture)
        assert (each.size, each.note) == ((120, 80), "")
        grey = pixel(each, (50, 50))
        assert np.abs(np.array(grey) - 10 * number).max() <= 2


@pytest.mark.parametrize(("asked", "pages"), [("#3", [3]), ("#2-4", [2, 3, 4]), ("#1-1", [1])])
def test_pages_can_be_picked(asked: str, pages: list[int]) -> None:
    paper("paper.pdf", 5)
    made = attached(f"paper.pdf{asked}")
    assert [each.name for each in made] == [f"paper.pdf page {n}" for n in pages]


def test_a_name_with_a_number_sign_is_a_file_first() -> None:
    Image.new("L", (3, 2)).save("a.pdf#3", "PNG")
    assert picture("a.pdf#3").size == (3, 2)


def test_at_most_twenty_pages_are_sent_and_it_says_so() -> None:
    paper("paper.pdf", 23)
    made = attached("paper.pdf")
    assert len(made) == pdf.MOST_PAGES == 20
    assert {each.note for each in made} == {"pages 1 to 20 of 23 are sent"}


def test_a_large_page_is_as_large_as_it_may_be() -> None:
    paper("poster.pdf", 1, (3000, 2000))
    assert picture("poster.pdf").size == (2048, 1365)


def test_a_pdf_may_be_in_memory() -> None:
    paper("paper.pdf", 2)
    made = of(Path("paper.pdf").read_bytes(), "x")
    assert [each.name for each in made] == ["x page 1", "x page 2"]


# -- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.py", "python"),
        ("A.PY", "python"),
        ("a.csv", "csv"),
        ("a.md", "markdown"),
        ("a.f90", "fortran"),
        ("a.jl", "julia"),
        ("a.yml", "yaml"),
        ("a.txt", "text"),
        ("Makefile", "text"),
        ("a.html", "html"),
    ],
)
def test_a_text_file_is_a_document(name: str, language: str) -> None:
    Path(name).write_text("naïve\n")
    made = document(name)
    assert (made.name, made.text, made.language, made.note) == (name, "naïve\n", language, "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_whatever_mark_it_begins_with(encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    Path("a.txt").write_bytes((mark + "naïve\r\ntext").encode(encoding))
    assert document("a.txt").text.lstrip("\ufeff") == "naïve\ntext"


def test_long_text_is_cut_and_says_so() -> None:
    Path("a.log").write_text("0123456789" * 20_000)
    made = document("a.log")
    assert made.note == "first 100,000 of 200,000 characters"
    assert made.text == "0123456789" * 10_000 + f"\n... cut here: {made.note}"


def test_a_notebook_is_its_cells_without_what_they_showed() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {
            "cell_type": "code",
            "execution_count": 3,
            "source": "plot()",
            "outputs": [{"data": {"text/plain": "SHOWN"}}],
        },
        {"cell_type": "code", "execution_count": None, "source": "'''```'''", "outputs": []},
    ]
    Path("a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}}))
    made = document("a.ipynb")
    assert made.language == "markdown"
    assert made.text == (
        "# Title\nwords\n\nIn[3]:\n```python\nplot()\n```\n\nIn[ ]:\n````python\n'''```'''\n````"
    )


# -- strings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["some words", "", "a.png or b.png", "x" * 600, "two\nlines", "nul\0", ".", "/"],
)
def test_a_string_that_names_nothing_is_text(words: str) -> None:
    if not words:
        with pytest.raises(BadAttachment, match="x is empty"):
            of(words, "x")
        return
    (made,) = of(words, "x")
    assert made == Document("x", words)


def test_a_long_string_is_cut_and_says_so() -> None:
    (made,) = of("word " * 30_000, "x")
    assert isinstance(made, Document)
    assert made.note == "first 100,000 of 150,000 characters"
    assert len(made.text) < contents.MOST_CHARACTERS + 100


def test_a_key_in_a_string_is_blacked_out() -> None:
    (made,) = of("my key is sk-abcdefgh1234", "x")
    assert made == Document("x", "my key is [key]")


def test_text_in_bytes_is_text() -> None:
    assert of(b"words", "x") == (Document("x", "words"),)
    assert of(io.StringIO("words"), "x") == (Document("x", "words"),)


# -- what is not there ---------------------------------------------------------------------------


def test_what_looks_like_no_file_is_left_to_others() -> None:
    with pytest.raises(BadAttachment, match="nothing here is called 'nothing'"):
        load("nothing", Place())


@pytest.mark.parametrize("name", ["a.svg", "paper.pdf"])
def test_without_the_extra_it_says_what_to_install(name: str, folder: Path) -> None:
    """In an interpreter that has neither of the two packages."""
    Path("a.svg").write_text(SVG.format(size=""))
    paper("paper.pdf", 1)
    program = (
        "import sys\n"
        "sys.modules['pypdfium2'] = None\n"  # Python's own mark for: not to be imported
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n: None if n == 'resvg_py' else found(n)\n"
        "from cborg_magics.attachments.attach import Place, load\n"
        "from cborg_magics.errors import BadAttachment\n"
        "try: load(sys.argv[1], Place())\n"
        "except BadAttachment as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name], capture_output=True, text=True, check=True
    )
    what, do = done.stdout.strip().splitlines()
    assert what.startswith(name)
    assert do == "Run: pip install 'cborg_magics[attach]'"
