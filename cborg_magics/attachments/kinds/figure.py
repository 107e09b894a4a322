"""How is a matplotlib figure sent? As it is drawn; of axes, the whole figure that they are in."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from cborg_magics.attachments import raster
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment

_INCH_BEYOND = 0.01  # what reaches further out of the figure would be cut off
_MOST_MEASURED = 50_000_000  # pixels
_MOST_BEYOND = 3  # times the figure; text lost far outside would make the rest tiny


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    matplotlib = sys.modules.get("matplotlib.figure")
    figure = _figure(value, matplotlib.Figure) if matplotlib else None
    if figure is None:
        return None
    try:
        # What matplotlib warns of has been seen where the figure was drawn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = _drawn(figure, place.longest_side)
    except Exception as error:  # noqa: BLE001 - any artist may fail
        said = str(error).strip().partition("\n")[0][:200].rstrip(".")
        raise BadAttachment(
            f"{name} cannot be drawn: {said or type(error).__name__}.", "Show it, to see the fault."
        ) from None
    is_part = value is not figure and len(figure.axes) > 1
    note = "the whole figure" if is_part else ""
    # On white, as on paper: black lines would stand on black where transparency is dropped.
    return [raster.from_file(data, name, place.longest_side, note, on_white=True)]


def _figure(value: Any, kind: type) -> Any:
    """The figure that `value` is, or belongs to; None if it is no part of one."""
    if isinstance(value, kind):
        return value
    artist = getattr(sys.modules.get("matplotlib.artist"), "Artist", ())
    if isinstance(value, artist):
        return _root(value, kind)
    owner = type(value).__module__.partition(".")[0]
    if owner == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") == "O":
        return _common(value.flat, artist, kind)
    if isinstance(value, dict | list | tuple):
        return _common(value.values() if isinstance(value, dict) else value, artist, kind)
    # A grid of seaborn's, a display of scikit-learn's.
    for attribute in ("figure", "figure_"):
        try:
            figure = getattr(value, attribute, None)
        except Exception:  # noqa: BLE001, S112 - a property may raise anything
            continue
        if isinstance(figure, kind):
            return figure
    return None


def _root(artist: Any, kind: type) -> Any:
    """The figure at the top; a subfigure is an artist in one."""
    figure = artist
    for _ in range(10):
        if isinstance(figure, kind):
            return figure
        figure = getattr(figure, "figure", None)
    return None


def _common(values: Iterable[Any], artist: Any, kind: type) -> Any:
    """The one figure of them all: what plt.subplots gives beside it, or a list of lines."""
    figures: dict[int, Any] = {}
    for each in values:
        # Of a list of figures, each is sent.
        if not isinstance(each, artist) or isinstance(each, kind):
            return None
        figure = _root(each, kind)
        figures[id(figure)] = figure
    return next(iter(figures.values())) if len(figures) == 1 else None


def _drawn(figure: Any, longest_side: int) -> bytes:
    width, height = figure.get_size_inches()
    dots = min(figure.dpi, longest_side / max(width, height))
    # To measure it, matplotlib takes the memory for all its pixels.
    is_huge = width * height * figure.dpi**2 > _MOST_MEASURED
    bounds = None if is_huge else _bounds(figure, width, height)
    options = {"bbox_inches": bounds} if bounds else {}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots, **options)
    return buffer.getvalue()


def _bounds(figure: Any, width: float, height: float) -> Any:
    """The figure with what stands beside it, such as a legend; None where nothing does."""
    from matplotlib.transforms import Bbox

    drawn = figure.get_tightbbox()
    beyond = max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)
    if not beyond > _INCH_BEYOND:
        return None
    bounds = Bbox.union([Bbox.from_bounds(0, 0, width, height), drawn])
    small = bounds.width < _MOST_BEYOND * width and bounds.height < _MOST_BEYOND * height
    return bounds if small else None
