"""A saved folder promises: the same again, read as it is needed, replaced whole or not at all."""

from __future__ import annotations

import json
import pickle
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cborg_magics.embeddings import folder
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from cborg_magics.exchange import Cost, Source
from cborg_magics.pricing import UNKNOWN

ORIGIN = Origin("cborg", "nomic-embed-text")
TEXTS = ["plain", "two\nlines\r\n\u2028 and more", "Ünïcode 中文 😀", "half \ud83d of one", '"\\"']


def some(count: int = 5, **more: Any) -> Embeddings:
    vectors = np.random.default_rng(1).standard_normal((count, 6)).astype("f4")
    texts = [TEXTS[number % len(TEXTS)] for number in range(count)]
    return Embeddings(texts, vectors, ORIGIN, **more)


def change(path: Path, **values: Any) -> None:
    """Write other values into a meta.json."""
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | values))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    cost = Cost(Decimal("0.00000012"), Source.ESTIMATED)
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    before = some(labels=list("abcde"), label_name="key", cost=cost, made=made)
    before.save(tmp_path / "kept")
    after = Embeddings.load(str(tmp_path / "kept"))
    assert list(after.texts) == TEXTS
    assert list(after.labels) == list("abcde")
    assert after.vectors.tobytes() == before.vectors.tobytes()
    assert (after.origin, after.cost, after.made) == (ORIGIN, cost, made)
    assert after.label_name == "key"
    assert after.similar("b", 2)[0] == before.similar("b", 2)[0]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize("cost", [UNKNOWN, Cost(Decimal(0), Source.FREE)])
def test_how_the_cost_is_known_comes_back(tmp_path: Path, cost: Cost) -> None:
    some(cost=cost).save(tmp_path / "kept")
    assert Embeddings.load(tmp_path / "kept").cost == cost


def test_the_files_are_what_other_programs_expect(tmp_path: Path) -> None:
    before = some()
    before.save(tmp_path / "kept")
    lines = (tmp_path / "kept" / "texts.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["text"] for line in lines] == TEXTS
    assert "中文" in lines[2].decode()
    assert (np.load(tmp_path / "kept" / "vectors.npy") == before.vectors).all()
    meta = json.loads((tmp_path / "kept" / "meta.json").read_text())
    assert (meta["model"], meta["service"]) == ("nomic-embed-text", "cborg")
    assert (meta["count"], meta["size"], meta["format"]) == (5, 6, 1)


def test_labels_that_json_has_are_exact_and_others_become_their_text(tmp_path: Path) -> None:
    labels = [7, 2.5, "x", True, None, np.int64(3), np.float32(0.5), np.str_("y")]
    others = [date(2026, 1, 2), ("a", 1), np.datetime64("2026-01-02T03:04:05.000000000")]
    some(11, labels=labels + others).save(tmp_path / "kept")
    after = list(Embeddings.load(tmp_path / "kept").labels)
    assert after[:8] == labels
    kinds = [int, float, str, bool, type(None), int, float, str]
    assert [type(label) for label in after[:8]] == kinds
    assert after[8:] == ["2026-01-02", "('a', 1)", "2026-01-02T03:04:05.000000000"]


def test_row_numbers_stay_row_numbers(tmp_path: Path) -> None:
    some().save(tmp_path / "kept")
    assert Embeddings.load(tmp_path / "kept").labels == range(5)


def test_nothing_is_read_before_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(20_000, labels=[f"n{row}" for row in range(20_000)]).save(tmp_path / "kept")
    parsed: list[Any] = []
    parse = json.loads
    monkeypatch.setattr(folder.json, "loads", lambda text: parsed.append(text) or parse(text))
    after = Embeddings.load(tmp_path / "kept")
    part = after[100:200]
    assert after.vectors.base is not None
    assert not after.vectors.flags.owndata
    assert len(parsed) == 1  # meta.json
    assert part.texts[-1] == TEXTS[4]
    assert len(after.search(np.ones(6), k=3)) == 3
    repr(after)
    assert len(parsed) < 30


def test_an_empty_one_comes_back(tmp_path: Path) -> None:
    some()[:0].save(tmp_path / "kept")
    after = Embeddings.load(tmp_path / "kept")
    assert (len(after), after.vectors.shape, list(after.texts)) == (0, (0, 6), [])
    assert len(after.search(np.ones(6))) == 0


def test_a_saved_one_is_replaced_also_while_it_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    some().save(path)
    mapped = Embeddings.load(path)
    (mapped + mapped[:2]).save(path)
    again = Embeddings.load(path)
    again[1:].save(path)
    assert len(Embeddings.load(path)) == 6
    assert (len(mapped), mapped.texts[2], again.texts[6]) == (5, TEXTS[2], TEXTS[1])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"]


def test_nothing_of_others_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    some().save(tmp_path / "kept")
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    (tmp_path / "array").mkdir()
    np.save(tmp_path / "array" / "vectors.npy", np.ones(3))
    for name in ("file", "folder", "kept", "array"):
        with pytest.raises(FileExistsError, match=f"{name} is not a folder of embeddings"):
            some().save(tmp_path / name)
    assert (tmp_path / "kept" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    some().save(tmp_path / "empty")
    assert len(Embeddings.load(tmp_path / "empty")) == 5
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to save x in"):
        some().save(tmp_path / "nowhere" / "x")


class Breaks(str):
    """A text that cannot be written."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    some().save(tmp_path / "kept")
    broken = Embeddings([*TEXTS[:4], Breaks("x")], np.ones((5, 6)), ORIGIN)
    with pytest.raises(KeyboardInterrupt):
        broken.save(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        broken.save(tmp_path / "new")
    assert list(Embeddings.load(tmp_path / "kept").texts) == TEXTS
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"]


def test_what_does_not_agree_is_one_plain_line(tmp_path: Path) -> None:
    def broken(words: str, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=words) as caught:
            Embeddings.load(path)
        assert "\n" not in str(caught.value)
        some().save(tmp_path / "whole")
        for name in folder.FILES:
            (path / name).write_bytes((tmp_path / "whole" / name).read_bytes())

    path = tmp_path / "kept"
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Embeddings.load(path)
    some().save(path)
    (path / "offsets.npy").unlink()
    broken("has no offsets.npy", FileNotFoundError)
    change(path, format=2, version="9.1")
    broken(r"written by a newer cborg_magics \(9.1\)")
    change(path, count=4)
    broken("vectors.npy holds 5 × 6 float32, not 4 × 6 float32")
    change(path, cost={"dollars": "much", "source": "billed"})
    broken("meta.json cannot be read")
    (path / "meta.json").write_text("[1]")
    broken("meta.json cannot be read")
    np.save(path / "vectors.npy", np.zeros((5, 6)))
    broken("vectors.npy holds 5 × 6 float64")
    (path / "vectors.npy").write_bytes(b"")
    broken("vectors.npy cannot be read")
    (path / "vectors.npy").write_bytes((path / "vectors.npy").read_bytes()[:-10])
    broken("vectors.npy cannot be read")
    with (path / "texts.jsonl").open("a") as file:
        file.write("{}\n")
    broken("texts.jsonl and offsets.npy do not agree")
    np.save(
        path / "offsets.npy", np.array([0, 60, 40, 90, 99, (path / "texts.jsonl").stat().st_size])
    )
    broken("texts.jsonl and offsets.npy do not agree")
    assert len(Embeddings.load(path)) == 5


def test_a_mapped_one_can_be_pickled(tmp_path: Path) -> None:
    some(labels=list("abcde")).save(tmp_path / "kept")
    after = pickle.loads(pickle.dumps(Embeddings.load(tmp_path / "kept")))
    assert (after.texts, after.labels) == (tuple(TEXTS), tuple("abcde"))
