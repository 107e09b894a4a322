"""How is a numpy array sent? As a picture, in grey or in colours; a few numbers stay numbers."""

from __future__ import annotations

import sys
from typing import Any

from cborg_magics.attachments import raster
from cborg_magics.attachments.greys import Levels, levels
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_FEWEST = 8  # numbers on a side; a smaller matrix is read better than seen
_DARK = 26  # of 255; labels and masks look like this
_AT_ONCE = 1 << 22  # numbers; a large array is not copied whole


def make(value: object, name: str, place: Place) -> list[Attachment] | None:
    numpy = sys.modules.get("numpy")
    array = _array(value, numpy, name) if numpy else None
    if array is None:
        return None
    if not array.size and array.dtype.kind in "buifcO":
        raise BadAttachment(f"{name} is an array without a single number.")
    if array.ndim < 2 or array.dtype.kind not in "buifcO":
        return None
    pixels, notes = _pixels(array, name)
    if pixels.ndim == 2 and min(pixels.shape) < _FEWEST and not _is_bytes(pixels):
        return None
    sent, words = _shades(pixels, numpy, name)
    mode = _MODES[1 if sent.ndim == 2 else sent.shape[2]]
    size = (sent.shape[1], sent.shape[0])
    note = ", ".join(filter(None, [*notes, words]))
    return [raster.from_pixels(mode, size, sent.data, name, place.longest_side, note)]


def _array(value: Any, numpy: Any, name: str) -> Any:
    """`value` as numpy's array, if it is one or gives one as a tensor does; no table."""
    if isinstance(value, numpy.ndarray):
        return value
    kind = type(value)
    is_table = hasattr(kind, "columns") or hasattr(kind, "to_frame")
    if not hasattr(kind, "__array__") or not hasattr(kind, "shape") or is_table:
        return None
    try:
        return numpy.asarray(value)
    except Exception as error:  # noqa: BLE001 - a tensor on another device says what to do
        said = str(error).partition("\n")[0]
        raise BadAttachment(f"{name} cannot be read as an array: {said}") from None


def _pixels(array: Any, name: str) -> tuple[Any, list[str]]:
    """The array by height and width, and colours if it has any; and what was assumed."""
    if array.dtype.kind == "O":
        raise BadAttachment(f"{name} is an array of objects, which is no picture.")
    if array.dtype.kind == "c":
        raise BadAttachment(
            f"{name} has complex numbers, which have no shade.",
            f"Attach their size or a part, as abs({name}) in a variable.",
        )
    notes = []
    if array.ndim == 3 and array.shape[0] in _MODES and array.shape[2] not in _MODES:
        array = array.transpose(1, 2, 0)
        notes = ["taken as channels × height × width"]
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _MODES):
        return array, notes
    shape = " × ".join(map(str, array.shape))
    raise BadAttachment(
        f"{name} is an array of {shape}; a picture is height × width, with or without 3 or 4"
        " colours.",
        f"Attach a part of it, as {name}[0].",
    )


def _is_bytes(array: Any) -> bool:
    return str(array.dtype) in ("bool", "uint8")


def _shades(array: Any, numpy: Any, name: str) -> tuple[Any, str]:
    """The array as bytes, in rows; and which numbers are black and white."""
    masked = sys.modules.get("numpy.ma")
    if masked and isinstance(array, masked.MaskedArray):
        array = array.astype("float64").filled(numpy.nan)
    if array.dtype.kind == "b":
        return numpy.ascontiguousarray(array).view("uint8") * numpy.uint8(255), ""
    if _is_bytes(array):
        most = int(array.max())
        faint = f"values up to {most} of 255, which is nearly black" * (most < _DARK)
        return numpy.ascontiguousarray(array), faint
    colours = array[:, :, :3] if array.ndim == 3 else array
    level, lost = _levels(colours, numpy, name)
    sent = numpy.empty(array.shape, "uint8")
    # Opaque is a number of its own, whatever the colours are.
    opaque = 1.0 if array.dtype.kind == "f" and array[..., -1].max() <= 1 else 255.0
    rows = max(1, _AT_ONCE // (array.size // array.shape[0]))
    for top in range(0, len(array), rows):
        part = array[top : top + rows]
        sent[top : top + rows] = _scaled(part, level.black, level.white, numpy)
        if array.ndim == 3 and array.shape[2] == 4:
            sent[top : top + rows, :, 3] = _scaled(part[:, :, 3], 0.0, opaque, numpy)
    missing = f"{lost:,} of {colours.size:,} values are NaN or infinite, shown black"
    return sent, ", ".join(filter(None, [level.note, missing * bool(lost)]))


def _levels(array: Any, numpy: Any, name: str) -> tuple[Levels, int]:
    """Which numbers are black and white, and how many are no numbers."""
    if array.dtype.kind != "f":
        return levels(float(array.min()), float(array.max()), whole=True), 0
    finite = numpy.isfinite(array)
    count = int(numpy.count_nonzero(finite))
    if not count:
        raise BadAttachment(f"{name} has no number that is finite.")
    numbers = array if count == array.size else array[finite]
    low, high = float(numbers.min()), float(numbers.max())
    # Pictures are kept as floats 0 to 255 too: whole numbers then.
    whole = high > 1 and low >= 0 and high <= 255 and bool((numbers == numpy.rint(numbers)).all())
    return levels(low, high, whole=whole), array.size - count


def _scaled(array: Any, black: float, white: float, numpy: Any) -> Any:
    """Numbers as bytes, black as 0 and white as 255."""
    with numpy.errstate(all="ignore"):
        shades = (array.astype("float64") - black) * (255 / (white - black))
        shades = numpy.clip(numpy.where(numpy.isfinite(array), shades, 0), 0, 255)
        return numpy.rint(shades).astype("uint8")
