"""A map promises: the principal axes, every point readable, and nothing that runs."""

from __future__ import annotations

import base64
import re
from html import unescape
from typing import Any

import numpy as np
import pytest

from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from cborg_magics.embeddings.scatter import COLOURS, HEIGHT, OTHER, WIDTH, Map, project

ORIGIN = Origin("cborg", "nomic-embed-text")


def some(count: int, size: int = 8) -> Embeddings:
    vectors = np.random.default_rng(count).standard_normal((count, size))
    return Embeddings([f"text {row}" for row in range(count)], vectors, ORIGIN)


def drawn(map_: Map) -> str:
    """The SVG inside the picture."""
    found = re.search(r"src='data:image/svg\+xml;base64,([^']*)'", map_._repr_html_())
    assert found
    return base64.b64decode(found.group(1)).decode()


def titles(map_: Map) -> list[str]:
    return [unescape(title) for title in re.findall(r"title='([^']*)'", map_._repr_html_())]


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (2, 30), (3, 1), (1, 5)])
def test_the_axes_are_the_two_of_the_largest_variance(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(2).standard_normal(shape)
    points, share = project(vectors)
    rows = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = np.zeros((len(rows), 2))
    expected[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    assert np.allclose(np.abs(points), np.abs(expected), atol=1e-7)
    if share is not None:
        assert share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum())
        assert (points[np.abs(points).argmax(axis=0), [0, 1]] >= 0).all()


def test_the_same_vectors_give_the_same_map() -> None:
    assert drawn(some(50).plot()) == drawn(some(50).plot())


def test_points_lie_inside_the_frame_and_both_axes_have_one_scale() -> None:
    points, (flat, _) = some(300).plot().points, project(some(300).vectors)
    assert (points.min(axis=0) >= 0).all()
    assert (points <= (WIDTH, HEIGHT)).all()
    ratios = np.ptp(points, axis=0) / np.ptp(flat, axis=0)
    assert ratios[0] == pytest.approx(ratios[1])
    assert points[:, 0].argmax() == flat[:, 0].argmax()
    assert points[:, 1].argmin() == flat[:, 1].argmax()  # up is up


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.zeros((5, 3)), np.ones((1, 3))])
def test_texts_that_are_all_alike_are_one_point(vectors: Any) -> None:
    map_ = Embeddings(["x"] * len(vectors), vectors, ORIGIN).plot()
    assert (map_.points == (WIDTH / 2, HEIGHT / 2)).all()
    assert "axes" not in repr(map_)


def test_two_thousand_of_twenty_thousand_are_drawn_evenly_and_said_so() -> None:
    map_ = some(20_000).plot()
    assert repr(map_).startswith("a map of 2,000 of 20,000 texts · the two axes hold ")
    assert titles(map_)[:3] == ["0: text 0", "10: text 10", "20: text 20"]
    assert titles(map_)[-1] == "19990: text 19990"
    assert drawn(map_).count("h0") == 2000
    assert len(titles(some(30).plot(most=7))) == 7
    with pytest.raises(ValueError, match="most must be a whole number above 0"):
        some(3).plot(most=0)


def test_the_output_stays_small() -> None:
    long = Embeddings(["A <long> sentence & more. " * 50] * 2000, some(2000).vectors, ORIGIN)
    assert len(long.plot()._repr_html_()) < 310_000


def test_the_share_of_the_spread_is_told() -> None:
    rows = np.zeros((100, 40))
    rows[:, 0] = np.linspace(-1, 1, 100)
    rows[:, 1] = 1
    rows += 0.01 * np.random.default_rng(0).standard_normal(rows.shape)
    assert "the two axes hold 99 % of the spread" in repr(
        Embeddings(["x"] * 100, rows, ORIGIN).plot()
    )


def test_categories_have_colours_and_a_legend_the_largest_first() -> None:
    kinds = np.random.default_rng(1).permutation(["a"] * 20 + ["<b>"] * 15 + ["$c$"] * 10)
    map_ = some(45).plot(by=kinds)
    assert [(group.name, group.texts, group.colour) for group in map_.groups] == [
        *(("a", 20, COLOURS[0]), ("<b>", 15, COLOURS[1]), ("$c$", 10, COLOURS[2])),
    ]
    paths = re.findall(r"<path d='([^']*)' stroke='([^']*)'", drawn(map_))
    assert {colour: path.count("h0") for path, colour in paths} == {
        group.colour: group.texts for group in map_.groups
    }
    html = map_._repr_html_()
    assert "&lt;b&gt; (15)" in html
    assert "<span>$</span>c<span>$</span> (10)" in html
    assert "background-color" not in some(3).plot()._repr_html_()


def test_beyond_eight_categories_the_rest_is_other() -> None:
    kinds = [f"kind {row % 10}" for row in range(98)]
    map_ = some(98).plot(by=lambda label: kinds[label])
    assert len(map_.groups) == 9
    assert (map_.groups[-1].name, map_.groups[-1].texts, map_.groups[-1].colour) == (
        *("other", 18, OTHER),
    )
    assert [map_.groups[n].name for n in map_.group_of[:10]] == kinds[:8] + ["other"] * 2
    order = re.findall(r"stroke='(#[^']*)'", drawn(map_))
    assert order == [OTHER, *COLOURS]  # small ones on top, others below


def test_a_dict_colours_by_label() -> None:
    map_ = some(3).plot(by={0: "x", 1: "x", 2: None})
    assert [group.name for group in map_.groups] == ["x", "None"]


@pytest.mark.parametrize("by", [["a"], "kind", []])
def test_categories_must_be_as_many_as_texts(by: Any) -> None:
    with pytest.raises(ValueError, match="3 categories, one for each text"):
        some(3).plot(by=by)


def contrast(colour: str, ground: float) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    low, high = sorted((light, ground))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS, OTHER])
def test_colours_read_on_white_and_on_black(colour: str) -> None:
    assert contrast(colour, 1.0) >= 3
    assert contrast(colour, 0.0056) >= 3  # #111, the dark theme


# -- in JupyterLab -------------------------------------------------------------------------
