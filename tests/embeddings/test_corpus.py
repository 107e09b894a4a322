"""Whatever holds texts in a notebook can be embedded; what cannot is named, row by row."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cborg_magics.embeddings.corpus import Corpus, read
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import BadTexts

TWO = ("Neutrinos oscillate.", "Bread rises.")
INSTALLED = [each for each in ("polars", "pyarrow", "xarray") if importlib.util.find_spec(each)]
IMAGE = Image.new("RGB", (9, 9))


def refused(value: object, name: str = "texts", *, skip_empty: bool = False) -> str:
    with pytest.raises(BadTexts) as caught:
        read(value, name, skip_empty=skip_empty)
    return str(caught.value)


def figure() -> Any:
    mpl.use("Agg")
    return importlib.import_module("matplotlib.figure").Figure((1, 1))


# -- what can be embedded ------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        list(TWO),
        TWO,
        dict.fromkeys(TWO).keys(),
        (text for text in TWO),
        iter(TWO),
        map(str, TWO),
        np.array(TWO),
        np.array(TWO, dtype=object),
        np.array(TWO)[None][0],
        pd.Series(TWO),
        pd.Series(TWO, dtype=object),
        pd.Series(TWO, dtype="category"),
        pd.Index(TWO),
        pd.Series(TWO).array,
        pd.DataFrame({"text": TWO}),
        io.StringIO("\n".join(TWO)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts_come_in_their_order_and_are_numbered(value: object) -> None:
    assert read(value, "texts") == Corpus(TWO)


def test_columns_of_other_libraries_are_read_as_well() -> None:
    makers: dict[str, list[Callable[[Any], object]]] = {
        "polars": [lambda p: p.Series(TWO), lambda p: p.DataFrame({"t": TWO})],
        "pyarrow": [
            lambda p: p.array(TWO),
            lambda p: p.chunked_array([TWO[:1], TWO[1:]]),
            lambda p: p.table({"t": TWO}),
        ],
        "xarray": [lambda p: p.DataArray(np.array(TWO))],
    }
    for name in INSTALLED:
        for make in makers[name]:
            assert read(make(importlib.import_module(name)), "texts") == Corpus(TWO)


def test_one_string_is_one_text() -> None:
    assert read("Neutrinos oscillate.\n\nTwice.", "text").texts == (
        "Neutrinos oscillate.\n\nTwice.",
    )
    assert read(np.array("one"), "text").texts == ("one",)
    assert read(np.str_("one"), "text").texts == ("one",)


def test_what_is_read_is_plain_strings() -> None:
    class Word(str):
        def __str__(self) -> str:
            return "something else"

    corpus = read([np.str_("a"), Word("b")], "texts")
    assert corpus.texts == ("a", "b")
    assert {type(text) for text in corpus.texts} == {str}


def test_a_set_comes_in_one_order() -> None:
    words = [f"word {n:02}" for n in range(40)]
    assert read(set(words), "texts").texts == tuple(words)


def test_the_keys_of_a_dict_are_the_labels() -> None:
    assert read({"k": "a", 7: "b"}, "texts") == Corpus(("a", "b"), ("k", 7))
    assert read(OrderedDict(k="a"), "texts").labels == ("k",)


def test_a_series_keeps_its_index_and_the_indexs_name() -> None:
    index = pd.Index(["gen", "exo"], name="book")
    assert read(pd.Series(TWO, index=index), "texts") == Corpus(TWO, ("gen", "exo"), "book")
    assert read(pd.DataFrame({"text": TWO}, index=index), "texts").labels == ("gen", "exo")
    dates = pd.date_range("2026-01-01", periods=2)
    assert read(pd.Series(TWO, index=dates), "texts").labels == tuple(dates)
    pairs = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    assert read(pd.Series(TWO, index=pairs), "texts").labels == (("a", 1), ("b", 2))


def test_a_part_of_a_series_keeps_the_rows_it_was_taken_from() -> None:
    part = pd.Series(["a", "b", "c"])[1:]
    assert read(part, "texts") == Corpus(("b", "c"), (1, 2))
    assert read(part.reset_index(drop=True), "texts") == Corpus(("b", "c"))


def test_a_million_texts_are_read_in_less_than_a_second() -> None:
    texts = [f"text number {n} of a million" for n in range(1_000_000)]
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        read(texts, "texts")
        best = min(best, time.perf_counter() - started)
    assert best < 1


# -- files ---------------------------------------------------------------------------------


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "old").mkdir(parents=True)
    (folder / "b.txt").write_text("Bread rises.")
    (folder / "a.md").write_text("# Neutrinos")
    (folder / "old" / "c.py").write_text("c = 299_792_458")
    (folder / "no-suffix").write_text("Grüße")
    return folder


FOUR = ("a.md", "b.txt", "no-suffix", "old/c.py")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_its_text_files_sorted_and_called_by_their_paths(
    papers: Path, kind: Callable[[Path], object]
) -> None:
    corpus = read(kind(papers), "papers")
    assert corpus.labels == FOUR
    assert corpus.label_name == "file"
    assert corpus.texts == ("# Neutrinos", "Bread rises.", "Grüße", "c = 299_792_458")
    assert corpus.notes == (f"4 files of {papers}",)


def test_what_is_no_text_or_not_meant_is_left_out_and_counted(papers: Path) -> None:
    outside = papers.parent / "diary.txt"
    outside.write_text("dear diary")
    (papers / "diary.txt").symlink_to(outside)
    (papers / "all").symlink_to(papers.parent)
    (papers / ".env").write_text("A=1")
    (papers / ".git").mkdir()
    (papers / ".git" / "config").write_text("x")
    (papers / "data.bin").write_bytes(b"\0\1\2")
    (papers / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    IMAGE.save(papers / "p.png")
    (papers / "my.txt").write_text("key: sk-0123456789abcdef")
    (papers / "credentials").write_text("user, word")
    os.mkfifo(papers / "pipe")
    corpus = read(papers, "papers")
    assert corpus.labels == FOUR
    (note,) = corpus.notes
    assert "4 files" in note
    for words in (
        *("2 hidden", "3 not text", "2 with keys", "1 linked folders"),
        *("1 linked from elsewhere", "1 no files"),
    ):
        assert words in note
    assert "dear" not in str(corpus)
    assert "sk-01" not in str(corpus)


def test_a_link_within_the_folder_is_followed(papers: Path) -> None:
    (papers / "z.txt").symlink_to(papers / "b.txt")
    assert read(papers, "papers").texts[-1] == "Bread rises."


def test_a_long_file_is_read_to_its_end(papers: Path) -> None:
    long = "word " * 50_000 + "end"
    (papers / "b.txt").write_text(long)
    assert read(papers, "papers").texts[1] == long
    assert read(papers / "b.txt", "file").texts == (long,)


def test_an_empty_file_is_named(papers: Path) -> None:
    (papers / "old" / "c.py").write_text(" \n")
    assert "row 3 ('old/c.py') is empty" in refused(papers, "papers").replace("blank", "empty")
    corpus = read(papers, "papers", skip_empty=True)
    assert corpus.labels == FOUR[:3]
    assert "1 empty row was left out" in corpus.notes


def test_a_folder_without_text_says_how_its_pictures_are_given(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "p.png")
    error = refused(tmp_path, "folder")
    assert "no text files (1 not text)" in error
    assert "glob('*.png')" in error


def test_a_path_is_the_file_and_a_string_is_the_text(
    papers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(papers)
    assert read(Path("b.txt"), "file") == Corpus(("Bread rises.",), ("b.txt",))
    corpus = read("b.txt", "text")
    assert corpus.texts == ("b.txt",)
    assert "Path('b.txt')" in corpus.notes[0]
    assert read("no such file", "text").notes == ()
    assert read([Path("b.txt"), Path("a.md")], "two").labels == ("b.txt", "a.md")
    assert read({"bread": Path("b.txt")}, "one") == Corpus(("Bread rises.",), ("bread",))


def test_a_file_that_cannot_be_read_is_an_error(papers: Path) -> None:
    (papers / "my.txt").write_text("sk-0123456789abcdef")
    (papers / "data.bin").write_bytes(b"\0\1\2")
    assert "holds a key" in refused(papers / "my.txt")
    assert "data.bin" in refused(papers / "data.bin")
    assert "there is no file" in refused(papers / "missing.txt")


# -- pictures ------------------------------------------------------------------------------


def test_a_picture_goes_by_its_name() -> None:
    corpus = read(IMAGE, "logo")
    assert corpus.texts == ("logo",)
    assert corpus.pictures[0].type == "image/png"
    assert corpus.pictures[0].size == (9, 9)
    assert read(figure(), "fig").texts == ("fig",)
    assert len(read(np.zeros((20, 20, 3), "uint8"), "pixels").pictures) == 1


def test_pictures_of_a_list_and_of_a_dict_are_told_apart(tmp_path: Path) -> None:
    corpus = read([IMAGE, figure()], "both")
    assert corpus.texts == ("both[0]", "both[1]")
    assert len(corpus.pictures) == 2
    assert read({"one": figure(), "two": IMAGE}, "figs").labels == ("one", "two")
    IMAGE.save(tmp_path / "p.png")
    corpus = read([tmp_path / "p.png"], "files")
    assert corpus.texts == (str(tmp_path / "p.png"),)
    assert len(corpus.pictures) == 1


def test_a_large_picture_is_made_smaller_as_for_chat() -> None:
    picture = read(Image.new("L", (4096, 64)), "wide").pictures[0]
    assert picture.size == (2048, 32)


@pytest.mark.parametrize("values", [["text", IMAGE], [IMAGE, "text"]])
def test_pictures_and_texts_do_not_mix(values: list[object]) -> None:
    assert refused(values, "both") == "both mixes pictures and texts.\nEmbed each by itself."


# -- what cannot ---------------------------------------------------------------------------

MISSING = ["a", None, float("nan"), pd.NA, pd.NaT, "", " \n", "b"]


def test_rows_without_text_are_named_in_one_error() -> None:
    error = refused(MISSING)
    words = ("row 1 is None", "row 2 is NaN", "row 3 is NA", "row 4 is NaT", "row 5 is empty")
    assert error.startswith(f"texts cannot be embedded: {', '.join(words)}, and 1 more.\n")
    assert "--skip-empty" in error
    assert len(error.splitlines()) == 2


def test_a_row_that_has_a_label_is_named_by_it_too() -> None:
    series = pd.Series(["a", None], index=["gen", "exo"])
    assert "row 1 ('exo') is" in refused(series)
    assert "row 1 ('k') is blank" in refused({"j": "a", "k": " "})


def test_rows_without_text_can_be_left_out() -> None:
    corpus = read(MISSING, "texts", skip_empty=True)
    assert corpus == Corpus(("a", "b"), (0, 7), notes=("6 empty rows were left out",))
    series = pd.Series(["a", None, "b"], index=["gen", "exo", "lev"])
    assert read(series, "texts", skip_empty=True).labels == ("gen", "lev")
    assert read(["a", "b", None], "texts", skip_empty=True).labels is None
    assert read(TWO, "texts", skip_empty=True) == Corpus(TWO)


@pytest.mark.parametrize("skip_empty", [True, False])
def test_a_number_is_an_error_also_where_empty_rows_are_left_out(skip_empty: bool) -> None:
    error = refused(["a", "b", None, "c", 4], skip_empty=skip_empty)
    assert "row 4 is an int" in error
    assert "Make it text with str()." in error
    error = refused(pd.Series(["a", 4], dtype=object), skip_empty=skip_empty)
    assert error.endswith("row 1 is an int.\nMake it text with .astype(str).")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([["a"]], "row 0 is a list"),
        ([b"a"], "row 0 is bytes.\nMake bytes text with .decode()."),
        (np.array([b"a"]), "row 0 is bytes"),
        ([1.5, "a"], "row 0 is a float"),
        ([object()], "row 0 is an object"),
        (np.arange(3), "row 2 is an int"),
        (["ok", "a\ud800b"], "row 1 holds half a character"),
        (range(3), "row 0 is an int"),
    ],
)
def test_what_is_no_text_is_said(value: object, words: str) -> None:
    assert words in refused(value)


def test_half_a_character_is_found_among_good_ones() -> None:
    # Two halves in neighbouring rows make no whole.
    assert "row 0 holds half" in refused(["a\ud83d", "\ude00b"])
    assert "row 1 holds half" in refused(["", "\ud83d"], skip_empty=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "texts is an int, not text."),
        (True, "texts is a bool, not text."),
        (None, "texts is None, not text."),
        (b"text", "texts is bytes, not text.\nMake it text with .decode()."),
        (len, "not text"),
        (object(), "texts is an object, not text."),
        (
            Embeddings(["a"], [[1.0, 0.0]], Origin("here", "m")),
            "texts is an Embeddings, not text.\nIt has its vectors already",
        ),
        (
            pd.DataFrame({"a": ["x"], "b": ["y"]}),
            "2 columns: a, b.\nTake one of them, as texts['a']",
        ),
        (pd.DataFrame(), "texts has 0 columns."),
        (np.array([["a", "b"]]), "an array of 1 × 2; texts stand in one row."),
        (np.eye(2), "an array of 2 × 2"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_texts_is_refused_in_a_line_and_what_to_do(
    value: object, words: str
) -> None:
    error = refused(value)
    assert words in error
    assert len(error.splitlines()) <= 2


@pytest.mark.parametrize(
    "value", [[], (), {}, set(), iter(()), np.array([]), pd.Series([], dtype=str)]
)
def test_nothing_at_all_is_an_error(value: Any) -> None:
    assert "texts is empty." in refused(value)


@pytest.mark.parametrize("value", ["", " \n "])
def test_a_text_of_blanks_is_an_error(value: str) -> None:
    assert "is empty" in refused(value).replace("blank", "empty")


def test_if_every_row_is_empty_nothing_is_left() -> None:
    assert refused(["", None], skip_empty=True) == "texts has no row with text."


def test_a_used_up_generator_says_so() -> None:
    texts = (text for text in TWO)
    read(texts, "texts")
    assert "used up by its first reading" in refused(texts)


def test_a_generator_that_fails_is_an_error_of_one_line() -> None:
    def failing() -> Iterator[str]:
        yield "a"
        raise RuntimeError("the disk\nis gone")

    expected = "texts cannot be read to its end: RuntimeError: the disk is gone"
    assert refused(failing()) == expected


def test_what_is_computed_later_must_be_fetched_first() -> None:
    Bag = type("Bag", (), {"__module__": "dask.bag.core"})  # noqa: N806
    assert "fetch it with texts.compute()" in refused(Bag())
