"""Where is an attachment looked for? One notebook, as its kernel sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cborg_magics.attachments.shown import Shown

LONGEST_SIDE = 2048  # pixels; what the larger models read without shrinking it themselves


def _no_bundle(value: object) -> Mapping[str, object]:
    return {}


@dataclass(frozen=True)
class Place:
    """What the sources may look into.

    `namespace` is the user's; `shown` the pictures that cells displayed, oldest
    first; `error` the notebook's last exception; `notebook` the path of the .ipynb,
    if it is known; `bundle` gives a value's rich representations by MIME type, as
    the notebook would draw it. `cells` tells which In[n] a code object's file name
    stands for. `longest_side` bounds pictures, in pixels. Where
    `fetch` is set, pictures of the web are fetched here and sent as data; no
    service is told to fetch them.
    """

    namespace: Mapping[str, object] = field(default_factory=dict)
    shown: Iterable[Shown] = ()
    error: BaseException | None = None
    notebook: Path | None = None
    bundle: Callable[[object], Mapping[str, object]] = _no_bundle
    cells: Mapping[str, int] = field(default_factory=dict)
    longest_side: int = LONGEST_SIDE
    fetch: bool = False


@dataclass(frozen=True)
class Found:
    """What a source found: a value, and what to call it before the model."""

    name: str
    value: object
