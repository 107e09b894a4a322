"""What does Tab offer after a magic's name? Options, models, threads, what can be attached."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, cast

from IPython.core.completer import SimpleCompletion, context_matcher

from cborg_magics.attachments.notebook import Notebook
from cborg_magics.magics import arguments
from cborg_magics.magics.shared import SharedSession

_MAGIC_LINE = re.compile(r"\s*%%?(?P<magic>\w+)\s(?P<rest>.*)\Z")
CATALOGUE_SECONDS = 2.0


def matcher(
    magics: dict[str, Any], shared: SharedSession, notebook: Notebook
) -> Callable[[Any], Any]:
    """A matcher for IPython's completer: `magics` by name, models and threads from `shared`,
    what can be attached from `notebook`."""

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
        offers, kind = _offers(magic, fragment, before, shared, notebook)
        return {
            "completions": [SimpleCompletion(text=offer, type=kind) for offer in offers],
            "matched_fragment": fragment,
            "suppress": bool(offers),
            "ordered": True,
        }

    return cast(Callable[[Any], Any], match)


def _offers(
    magic: Any, fragment: str, before: list[str], shared: SharedSession, notebook: Notebook
) -> tuple[list[str], str]:
    option = before[-1] if before else ""
    if option in ("-m", "--model", "--use"):
        return _that_begin(fragment, _models(shared, magic.__name__)), "model"
    if option in ("-a", "--attach", "-i", "--image"):
        return _that_begin(fragment, notebook.names()), "instance"
    if option == "--context" and magic.__name__ == "chat":
        return _that_begin(fragment, _embeddings(notebook)), "instance"
    session = shared.peek()
    if option in ("-t", "--thread", "--show", "--forget") and not fragment.startswith("-"):
        names = session.conversation.names() if session else []
        return _that_begin(fragment, names), "thread"
    if fragment.startswith("-"):
        return _that_begin(fragment, arguments.options(magic)), "option"
    if magic.__name__ == "models" and not arguments.takes_value(magic, option):
        return _that_begin(fragment, _models(shared, "models")), "model"
    return [], ""


def _that_begin(fragment: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(fragment)]


def _embeddings(notebook: Notebook) -> list[str]:
    """The variables that can be searched. Where nothing was embedded yet, none can."""
    module = sys.modules.get("cborg_magics.embeddings.embeddings")
    space = notebook.place().namespace
    kind = module.Embeddings if module else ()
    return [name for name in notebook.names() if isinstance(space.get(name), kind)]


def _models(shared: SharedSession, magic: str) -> list[str]:
    session = shared.peek()
    catalogue = session.catalogue(wait=CATALOGUE_SECONDS) if session else None
    if catalogue and magic == "embed":
        from cborg_magics.catalogue import Kind

        catalogue = catalogue.only(Kind.EMBEDDING)
    return catalogue.names() if catalogue else []
