"""What can be attached? Two tables: where a name is looked for, and what a value is sent as.

A source is asked for a name and gives what it found, or None for "not mine". A
kind is asked for a value and gives what is sent, or None. Both are asked in
order. A new one is a new file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from cborg_magics.attachments.kinds import (
    array,
    code,
    data,
    exception,
    exported,
    figure,
    file,
    image,
    rich,
    table,
    text,
)
from cborg_magics.attachments.place import Found, Place
from cborg_magics.attachments.sources import (
    address,
    cell,
    error,
    path,
    saved,
    variable,
)
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment, Document, Picture

__all__ = ["KINDS", "SOURCES", "Found", "Place", "load", "of"]

Source = Callable[[str, Place], list[Found] | None]
Kind = Callable[[object, str, Place], list[Attachment] | None]

SOURCES: tuple[Source, ...] = (
    variable.find,  # fig, run.figure, figures[0]
    cell.find,  # Out[5], In[5], cell:5, last
    error.find,  # error
    saved.find,  # cell:5 of the file, a picture pasted into a Markdown cell
    address.find,  # https://..., data:image/...
    path.find,  # a file
)
KINDS: tuple[Kind, ...] = (
    figure.make,  # matplotlib
    image.make,  # PIL, IPython's Image and SVG, bytes
    array.make,  # numpy
    exported.make,  # plotly, altair
    file.make,  # pathlib
    table.make,  # pandas
    exception.make,
    code.make,  # functions, classes, modules
    text.make,  # str: an address, a file's name, or text
    rich.make,  # whatever draws itself as a picture
    data.make,  # what JSON can say
)


def load(name: str, place: Place) -> tuple[Attachment, ...]:
    """What `-a NAME` attaches: one attachment or several. Raises `BadAttachment`."""
    for source in SOURCES:
        found = source(name, place)
        if found is not None:
            return tuple(made for each in found for made in _made(each, place))
    near = variable.nearest(name, place)
    short = name if len(name) < 100 else f"{name[:97]}..."
    raise BadAttachment(
        f"nothing here is called {short!r}.",
        f"Did you mean {near}?"
        if near
        else "Give a variable, Out[5], cell:5, last, error, a file, or an https:// address.",
    )


def of(value: object, name: str, place: Place | None = None) -> tuple[Attachment, ...]:
    """What attaches `value`, called `name`. Raises `BadAttachment`."""
    return tuple(_made(Found(name, value), place or Place()))


def _made(found: Found, place: Place) -> list[Attachment]:
    if isinstance(found.value, Picture | Document):
        return [found.value]
    for kind in KINDS:
        made = kind(found.value, found.name, place)
        if made is not None:
            return made
    kind_name = type(found.value).__name__
    raise BadAttachment(
        f"{found.name} is of type {kind_name}, which cannot be sent.", "Attach its text."
    )
