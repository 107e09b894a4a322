"""Which texts lie close together? A map in two dimensions, as a picture with texts on hover.

The picture is an <img>, which survives everywhere. What is shown on hover are titles of small
transparent boxes above it: JupyterLab takes the names off image maps that it does not trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cborg_magics.display.notebook import QUIET, literal, quiet
from cborg_magics.display.svg import picture
from cborg_magics.display.wording import DOT, count
from cborg_magics.embeddings.hits import beginning, named
from cborg_magics.errors import BadValue

if TYPE_CHECKING:
    from cborg_magics.embeddings.embeddings import Embeddings

WIDTH, HEIGHT, MARGIN = 720, 440, 12  # pixels
_EDGE = "outline:1px solid var(--jp-border-color2,#bbb);outline-offset:-1px;margin-bottom:4px"
TITLES = 80_000  # characters for the titles of all points
# Each has a contrast of 3 on white and on black, and they are told apart by all eyes: chosen for
# the greatest least difference, also with red or green missing.
COLOURS = (
    *("#1599fa", "#ff5c14", "#19a86b", "#6b2cfe", "#c51313", "#9a7ab3", "#1c6f56", "#335fb3"),
)
OTHER, ALL = "#8a8a8a", "#1599fa"

By = Sequence[Any] | Callable[[Any], Any] | Mapping[Any, Any]


@dataclass(frozen=True)
class Group:
    """The points of one colour: their `name`, and how many texts belong to it, drawn or not."""

    name: str
    colour: str
    texts: int


@dataclass(frozen=True, repr=False, eq=False)
class Map:
    """A map: `points` (m, 2) in pixels, a title and a group for each, and what they are of.

    `share` is what part of the variance the two axes hold, 0 to 1; None where there is none.
    """

    points: NDArray[np.float64]
    titles: tuple[str, ...]
    groups: tuple[Group, ...]
    group_of: tuple[int, ...]
    share: float | None
    of: int
    origin: str

    @property
    def caption(self) -> str:
        """How many are drawn, and how true the map is."""
        drawn = len(self.points)
        number = count(self.of, "text")
        shown = number if drawn == self.of else f"{drawn:,} of {number}"
        if self.share is None:
            return DOT.join([shown, self.origin])
        held = f"the two axes hold {100 * self.share:.0f} % of the spread"
        return DOT.join([shown, held, self.origin])

    def __repr__(self) -> str:
        return f"a map of {self.caption}"

    def _repr_html_(self) -> str:
        if not len(self.points):
            return quiet(f"nothing to draw: {self.caption}")
        frame = f"position:relative;width:{WIDTH}px;max-width:100%;{_EDGE}"
        alt = escape(f"A scatter plot: {self.caption}")
        image = (
            f"<img role='img' alt='{alt}' aria-label='{alt}' src='{picture(self._svg())}'"
            " style='display:block;width:100%;height:auto;margin:0'>"
        )
        legend = self._legend() if self.groups[0].name else ""
        caption = quiet(f"{self.caption}{DOT}point at one to read it")
        return f"<div style='{frame}'>{image}{self._boxes()}</div>{legend}{caption}"

    def _radius(self) -> float:
        return 5.0 if len(self.points) <= 200 else 4.0 if len(self.points) <= 700 else 2.5

    def _svg(self) -> str:
        """One path for each colour: a point is a line of no length with a round end."""
        paths = []
        # The small groups on top of the large ones; what is no group of its own lies below all.
        for number in sorted(range(len(self.groups)), key=lambda n: n < len(COLOURS) and n + 1):
            dots = "".join(
                f"M{x:.1f} {y:.1f}h0"
                for (x, y), group in zip(self.points, self.group_of, strict=True)
                if group == number
            )
            paths.append(f"<path d='{dots}' stroke='{self.groups[number].colour}'/>")
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'"
            f" width='{WIDTH}' height='{HEIGHT}' fill='none' stroke-linecap='round'"
            f" stroke-width='{2 * self._radius():g}'>{''.join(paths)}</svg>"
        )

    def _boxes(self) -> str:
        reach = self._radius() + 1
        corners = 100 * (self.points - reach) / (WIDTH, HEIGHT)
        return "".join(
            f"<b title='{escape(title)}' style='position:absolute;left:{left:.1f}%;top:{top:.1f}%;"
            f"padding:{reach:g}px'></b>"
            for (left, top), title in zip(corners, self.titles, strict=True)
        )

    def _legend(self) -> str:
        swatch = "display:inline-block;width:9px;height:9px;border-radius:5px;margin-right:5px"
        entries = "".join(
            f"<span style='display:inline-block;margin-right:16px'>"
            f"<span style='{swatch};background-color:{group.colour}'></span>"
            f"{literal(group.name)} ({group.texts:,})</span>"
            for group in self.groups
        )
        return f"<div style='{QUIET}'>{entries}</div>"


def draw(embeddings: Embeddings, by: By | None, most: int) -> Map:
    """The map of `embeddings`, with no more than `most` points."""
    rows = _evenly(len(embeddings), most)
    groups, group_of = _groups(embeddings, by)
    points, share = project(embeddings.vectors[rows])
    length = min(max(TITLES // max(len(rows), 1), 40), 200)
    titles = (_title(embeddings.labels[row], embeddings.texts[row], length) for row in rows)
    return Map(
        _fitted(points),
        tuple(titles),
        groups,
        tuple(group_of[row] for row in rows),
        share,
        len(embeddings),
        str(embeddings.origin),
    )


def project(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], float | None]:
    """The directions of the vectors (m, d) on their two principal axes, (m, 2), and the part of
    the variance that these hold. The larger end of each axis points right, or up."""
    rows = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(lengths, lengths, 1)[:, None]
    if len(rows):
        rows -= rows.mean(axis=0)
    spread = float(np.einsum("ij,ij->", rows, rows))
    points = np.zeros((len(rows), 2))
    if spread <= 1e-12 * len(rows):
        return points, None
    # The smaller of the two symmetric matrices has the same eigenvalues as the larger.
    wide = rows.shape[1] > len(rows)
    values, axes = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    values, axes = values[::-1][:2].clip(0), axes[:, ::-1][:, :2]
    found = axes * np.sqrt(values) if wide else rows @ axes
    for axis in range(found.shape[1]):
        column = found[:, axis]
        points[:, axis] = column * (np.sign(column[np.abs(column).argmax()]) or 1)
    return points, min(float(values.sum()) / spread, 1.0)


def _fitted(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """In pixels, filling the frame, both axes alike; y grows downwards."""
    if not len(points):
        return points
    least, most = points.min(axis=0), points.max(axis=0)
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    spans = np.where(most > least, most - least, 1e-12)
    scale = (room / spans).min()
    fitted = (points - (least + most) / 2) * (scale if scale < 1e12 else 0) * (1, -1)
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    placed: NDArray[np.float64] = fitted + middle
    return placed


def _evenly(number: int, most: int) -> list[int]:
    if number <= most:
        return list(range(number))
    return [index * number // most for index in range(most)]


def _title(label: object, text: str, most: int) -> str:
    name = named(label)
    return name if name == text else f"{name}: {beginning(text, max(most - len(name), 20))}"


def _groups(embeddings: Embeddings, by: By | None) -> tuple[tuple[Group, ...], Sequence[int]]:
    """The groups, the largest first, and the number of each text's group."""
    number = len(embeddings)
    if by is None:
        return (Group("", ALL, number),), [0] * number
    if isinstance(by, Mapping):
        by = by.get
    if callable(by):
        values = [by(label) for label in embeddings.labels]
    else:
        values = [] if isinstance(by, str) else list(by)
        if len(values) != number:
            raise BadValue(
                f"by must be a function of a label, or {number:,} categories, one for each text"
            )
    names = [beginning(str(value), 40) or "empty" for value in values]
    counts = Counter(names).most_common()
    kept = [Group(name, colour, n) for (name, n), colour in zip(counts, COLOURS, strict=False)]
    rest = sum(n for _, n in counts[len(COLOURS) :])
    if rest:
        kept.append(Group("other", OTHER, rest))
    order = {group.name: index for index, group in enumerate(kept[: len(COLOURS)])}
    return tuple(kept), [order.get(name, len(COLOURS)) for name in names]
