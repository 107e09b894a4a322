"""The code of an answer is found as a reader sees it."""

from __future__ import annotations

import pytest

from cborg_magics.code_blocks import Block, find, python


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("```python\na\n```", [("python", "a")]),
        ("~~~\na\n~~~", [("", "a")]),
        ("```Python title='x.py'\na\n```", [("python", "a")]),
        ("``` {.python .numberLines}\na\n```", [("python", "a")]),
        ("````md\n```python\na\n```\n````", [("md", "```python\na\n```")]),
        ("1. Do\n   ```py\n   if a:\n       b\n   ```", [("py", "if a:\n    b")]),
        ("```python\na\n", [("python", "a")]),
        ("```python\na\r\nb\r\n```", [("python", "a\nb")]),
        ("`` `inline` `` and ```also inline```", []),
        ("```\na\n``\n```", [("", "a\n``")]),
        ("```a\n```\n```b\n\n```", [("a", ""), ("b", "")]),
    ],
)
def test_blocks_are_found(text: str, blocks: list[tuple[str, str]]) -> None:
    assert find(text) == tuple(Block(*block) for block in blocks)


def test_python_is_what_is_marked_as_such_else_what_is_not_marked() -> None:
    assert python("```sh\nls\n```\n```py\na\n```\n```python3\nb\n```\n```\nc\n```") == "a\n\nb"
    assert python("```\nc\n```") == "c"
    assert python("```sh\nls\n```") == ""
