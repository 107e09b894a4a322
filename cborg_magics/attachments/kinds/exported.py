"""How are plotly and altair figures sent? As pictures, made by their own exporters."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from typing import Any

from cborg_magics.attachments import raster
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    libraries = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    draw: Callable[[Any], bytes]
    if "plotly" in libraries and hasattr(value, "to_image"):
        exporter, package, draw = "kaleido", "kaleido", _plotly
    elif "altair" in libraries and hasattr(value, "save") and hasattr(value, "to_dict"):
        exporter, package, draw = "vl_convert", "vl-convert-python", _altair
    else:
        return None
    if importlib.util.find_spec(exporter) is None:
        raise BadAttachment(
            f"{name} is a chart that {package} makes a picture of.", f"Run: pip install {package}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = draw(value)
    except Exception as error:  # noqa: BLE001 - exporters raise whatever they like
        raise _failed(name, error) from None
    return [raster.from_file(data, name, place.longest_side)]


def _plotly(figure: Any) -> bytes:
    return bytes(figure.to_image(format="png"))


def _altair(chart: Any) -> bytes:
    buffer = io.BytesIO()
    chart.save(buffer, format="png")
    return buffer.getvalue()


def _failed(name: str, error: Exception) -> BadAttachment:
    if type(error).__name__ == "ChromeNotFoundError" or "requires Google Chrome" in str(error):
        return BadAttachment(
            f"{name} is a plotly chart, which needs Chrome or Chromium to become a picture.",
            "Run in a terminal: plotly_get_chrome",
        )
    said = str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__
    return BadAttachment(f"{name} cannot be drawn: {said}.")
