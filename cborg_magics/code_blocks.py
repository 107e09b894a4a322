"""Which code is in an answer? The fenced blocks of its Markdown, by CommonMark's rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PYTHON = ("python", "py", "python3", "ipython", "ipython3")

# What may stand before a fence on its line: blanks, quote marks, the markers of list items.
_OPENING = re.compile(
    r"(?P<lead>(?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])[ \t])*)"
    r"(?P<fence>`{3,}|~{3,})(?P<info>.*)"
)
_LANGUAGE = re.compile(r"\{?\s*\.?([^\s{}:,]+)")  # python, python title="x", {.python}, python:a.py
_QUOTE = re.compile(r"[ ]{0,3}>[ ]?")


@dataclass(frozen=True)
class Block:
    """One fenced block: `language` in lower case, empty if none was given; `text` without
    the fences, and without the last line's end."""

    language: str
    text: str


def find(text: str) -> tuple[Block, ...]:
    """The fenced blocks of a Markdown text, in order.

    An answer that was interrupted ends inside a block: it is taken as far as it came.

    >>> find("Try:\\n```python\\nprint(1)\\n```\\nor\\n~~~sh\\nls")
    (Block(language='python', text='print(1)'), Block(language='sh', text='ls'))
    """
    return tuple(_blocks(re.split(r"\r\n|\n|\r", text)))


def python(text: str) -> str:
    """The Python of a Markdown text, its blocks with an empty line between them.

    Blocks without a language are taken for Python where no block has one.

    >>> python("```py\\na = 1\\n```\\n```sh\\nls\\n```\\n```Python\\nb = 2\\n```")
    'a = 1\\n\\nb = 2'
    """
    blocks = find(text)
    wanted = PYTHON if any(block.language for block in blocks) else ("",)
    found = (block.text.strip("\n") for block in blocks if block.language in wanted)
    return "\n\n".join(filter(None, found))


def _blocks(lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        opening = _OPENING.fullmatch(lines[at])
        at += 1
        # A backtick after backticks makes them code within a line, not a fence.
        if opening is None or (opening["fence"][0] == "`" and "`" in opening["info"]):
            continue
        body, at = _body(lines, at, opening["lead"], opening["fence"])
        language = _LANGUAGE.match(opening["info"].strip())
        yield Block(language[1].lower() if language else "", "\n".join(body))


def _body(lines: list[str], at: int, lead: str, fence: str) -> tuple[list[str], int]:
    """The lines up to the closing fence, and the number of the line after it."""
    quotes, indent = lead.count(">"), _width(lead[lead.rfind(">") + 1 :], bool(lead.count(">")))
    closing = re.compile(rf"[ ]{{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*")
    body: list[str] = []
    for number in range(at, len(lines)):
        line = _unquoted(lines[number], quotes)
        if line is None:  # the quotation is over, and so is what it holds
            return body, number
        line = _dedented(line, indent)
        if closing.fullmatch(line):
            return body, number + 1
        body.append(line)
    if body and body[-1] and not body[-1].strip(fence[0]):
        body.pop()  # a closing fence that did not come whole
    return body, len(lines)


def _width(lead: str, quoted: bool) -> int:
    """Columns before the fence; the blank after a quote mark belongs to the mark."""
    return len(lead.expandtabs(4)) - (quoted and lead.startswith(" "))


def _unquoted(line: str, depth: int) -> str | None:
    for _ in range(depth):
        mark = _QUOTE.match(line)
        if mark is None:
            return None
        line = line[mark.end() :]
    return line


def _dedented(line: str, columns: int) -> str:
    """The line with up to so many columns of blanks taken off; what the code needs stays."""
    taken = 0
    while taken < columns and line[:1] in (" ", "\t") and line:
        taken += 1 if line[0] == " " else 4 - taken % 4
        line = line[1:]
    return " " * (taken - columns) + line
