"""What does Tab offer after a magic's name? Its options, and the service's model names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from IPython.core.completer import SimpleCompletion, context_matcher

from cborg_magics.magics import arguments
from cborg_magics.magics.shared import SharedSession

_MAGIC_LINE = re.compile(r"\s*%%?(?P<magic>\w+)\s(?P<rest>.*)\Z")
CATALOGUE_SECONDS = 2.0


def matcher(magics: dict[str, Any], shared: SharedSession) -> Callable[[Any], Any]:
    """A matcher for IPython's completer: `magics` by name, models from `shared`."""

    @context_matcher(identifier="cborg_magics")
    def match(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")
        line = lines[context.cursor_line] if context.cursor_line < len(lines) else ""
        found = _MAGIC_LINE.match(line[: context.cursor_position])
        magic = magics.get(found["magic"]) if found else None
        if found is None or magic is None:
            return {"completions": [], "suppress": False}
        fragment = re.split(r"[\s=]", found["rest"])[-1]
        before = found["rest"][: len(found["rest"]) - len(fragment)].replace("=", " ").split()
        offers, kind = _offers(magic, fragment, before, shared)
        return {
            "completions": [SimpleCompletion(text=offer, type=kind) for offer in offers],
            "matched_fragment": fragment,
            "suppress": bool(offers),
            "ordered": True,
        }

    return cast(Callable[[Any], Any], match)


def _offers(
    magic: Any, fragment: str, before: list[str], shared: SharedSession
) -> tuple[list[str], str]:
    if before and before[-1] in ("-m", "--model"):
        return [name for name in _models(shared) if name.startswith(fragment)], "model"
    if fragment.startswith("-"):
        return [flag for flag in arguments.options(magic) if flag.startswith(fragment)], "option"
    return [], ""


def _models(shared: SharedSession) -> list[str]:
    session = shared.peek()
    catalogue = session.catalogue(wait=CATALOGUE_SECONDS) if session else None
    return catalogue.names() if catalogue else []
