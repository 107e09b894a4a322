r"""How does `%chat What is \frac{1}{2}?` arrive as it was typed?

IPython takes a line that ends in `?` for a question about a name, and changes
backslashes on the way. This transformer runs before it does, and hands the line
over as a plain string. `%chat?` alone stays the manual.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from tokenize import TokenInfo
from typing import Any

from IPython.core.inputtransformer2 import (
    TokenTransformBase,
    assemble_continued_line,
    find_end_of_continued_line,
)

NAMES = ("chat", "embed")


class AsTyped(TokenTransformBase):
    """Lines that begin with one of our magics, seen as Python tokens: never inside a string."""

    priority = 1  # before IPython's own handling of `?` (5) and `%` (10)

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[TokenInfo]]) -> AsTyped | None:
        """The first such line, or None."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.string.strip()]
            if len(tokens) > 1 and tokens[0].string == "%" and tokens[1].string in NAMES:
                text = tokens[1].line[tokens[1].end[1] :]
                if tokens[0].end == tokens[1].start and text.strip() not in ("", "?", "??"):
                    return cls(tokens[0].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """`%chat text` becomes `get_ipython().run_line_magic('chat', 'text')`."""
        start, column = self.start_line, self.start_col
        indent = lines[start][:column]
        end = find_end_of_continued_line(lines, start)
        typed = assemble_continued_line(lines, (start, column), end)
        name, text = _split(typed)
        call = f"{indent}get_ipython().run_line_magic({name!r}, {text!r})\n"
        return [*lines[:start], call, *lines[end + 1 :]]


def _split(typed: str) -> tuple[str, str]:
    """The magic's name, and all that follows the first space."""
    found = re.match(r"%(\w+)\s?(.*)", typed, re.DOTALL)
    assert found  # noqa: S101 - find() has seen the percent sign and the name
    return found[1], found[2]


def install(shell: Any) -> None:
    """Add the transformer to `shell`, once."""
    transformers = shell.input_transformer_manager.token_transformers
    if AsTyped not in transformers:
        transformers.append(AsTyped)


def remove(shell: Any) -> None:
    """Take it out again."""
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [transformer for transformer in transformers if transformer is not AsTyped]
