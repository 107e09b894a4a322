"""The code of an answer is found as a reader of its Markdown sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cborg_magics.code_blocks import Block, find, python


def lines(*text: str) -> str:
    return "\n".join(text)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        ("no code", []),
        ("`inline` and ``two``", []),
        ("```inline``` is no fence", []),
        ("``` a `tick` in it\nx", []),
        ("``\nx\n``", []),
        ("text ```\nx\n```", [("", "")]),
        ("```python\nx\n```", [("python", "x")]),
        ("```Python\nx\n```", [("python", "x")]),
        ("```\nx\n```", [("", "x")]),
        ("``` python  \nx\n```  ", [("python", "x")]),
        ("~~~python\nx\n~~~", [("python", "x")]),
        ("~~~ a `tick`\nx\n~~~", [("a", "x")]),
        ('```python title="a.py"\nx\n```', [("python", "x")]),
        ("```python:src/a.py\nx\n```", [("python", "x")]),
        ("```python,ignore\nx\n```", [("python", "x")]),
        ("```{.python}\nx\n```", [("python", "x")]),
        ("```{.python .numberLines}\nx\n```", [("python", "x")]),
        ("```{python}\nx\n```", [("python", "x")]),
        ("```{ .python }\nx\n```", [("python", "x")]),
        ("```c++\nx\n```", [("c++", "x")]),
        ("```c#\nx\n```", [("c#", "x")]),
        ("```python\n```", [("python", "")]),
        ("```python\n\n```", [("python", "")]),
        ("```python\n\n  x\n\n```", [("python", "\n  x\n")]),
        ("```a\n1\n```\n```b\n2\n```", [("a", "1"), ("b", "2")]),
        ("````md\n```py\nx\n```\n````", [("md", "```py\nx\n```")]),
        ("~~~md\n```py\nx\n```\n~~~", [("md", "```py\nx\n```")]),
        ("```py\nx\n````", [("py", "x")]),
        ("````py\nx\n```\ny\n````", [("py", "x\n```\ny")]),
        ("```py\nx\n``` not a fence\n```", [("py", "x\n``` not a fence")]),
        ("```py\nx\n   ```", [("py", "x")]),
        ("```py\nif x:\n    '''\n    ```'''\n```", [("py", "if x:\n    '''\n    ```'''")]),
        ("```py\nx = '''\n    ```\n'''\n```", [("py", "x = '''\n    ```\n'''")]),
        ("1. so:\n\n   ```py\n   if x:\n       y\n   ```\n2. then", [("py", "if x:\n    y")]),
        ("1. so:\n\n    ```py\n    x\n    ```", [("py", "x")]),
        ("- so:\n  - so:\n    ~~~py\n    x\n      y\n    ~~~", [("py", "x\n  y")]),
        ("- ```py\n  x\n  ```", [("py", "x")]),
        ("10. ```py\n    x\n    ```", [("py", "x")]),
        ("1. so:\n   ```py\nx\n   ```", [("py", "x")]),
        ("\t```py\n\tif x:\n\t\ty\n\t```", [("py", "if x:\n\ty")]),
        ("> ```py\n> x\n>   y\n>\n> z\n> ```\nafter", [("py", "x\n  y\n\nz")]),
        ("> ```py\n> x\nafter\n```b\n1\n```", [("py", "x"), ("b", "1")]),
        ("> > ```py\n> > x\n> > ```", [("py", "x")]),
        ("> - ```py\n>   x\n>   ```", [("py", "x")]),
        ("```py\n> x\n```", [("py", "> x")]),
        ("```py\na\rb\r\nc\n```", [("py", "a\nb\nc")]),
        ("```py\r\na\r\n\r\nb\r\n```\r\nafter", [("py", "a\n\nb")]),
        ("```py\nx = '\x0c\u2028'\n```", [("py", "x = '\x0c\u2028'")]),
    ],
)  # fmt: skip
def test_blocks(text: str, blocks: list[tuple[str, str]]) -> None:
    assert find(text) == tuple(Block(*block) for block in blocks)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\ny = ", "x = 1\ny = "),
        ("```python\nx = 1\n", "x = 1\n"),
        ("```python\nx = 1\n``", "x = 1"),
        ("~~~~python\nx = 1\n~~~", "x = 1"),
        ("```python\nx = 1\n~~", "x = 1\n~~"),
        ("```python\n", ""),
        ("```python", ""),
        ("1. so\n   ```python\n   x = 1\n   `", "x = 1"),
    ],
)
def test_an_interrupted_answer_is_taken_as_far_as_it_came(text: str, code: str) -> None:
    assert find(text) == (Block("python", code),)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no code", ""),
        ("```sh\nls\n```", ""),
        ("```python\na\n```\ntext\n```py\nb\n```", "a\n\nb"),
        ("```python3\na\n```\n```IPython\nb\n```", "a\n\nb"),
        ("```python\na\n```\n```sh\nls\n```\n```\nout\n```", "a"),
        ("```\na\n```\n~~~\nb\n~~~", "a\n\nb"),
        ("```json\n{}\n```\n```\nout\n```", ""),
        ("```python\n\n\na\n\n\n```\n```python\n\n```\n```python\nb\n```", "a\n\nb"),
        ("```pycon\n>>> a\n```", ""),
    ],
)
def test_the_python_of_an_answer(text: str, code: str) -> None:
    assert python(text) == code


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_code_comes_out_as_it_went_in(code: str) -> None:
    runs = [len(run) for run in code.replace("\n", " ").split() if not run.strip("`")]
    fence = "`" * max([3, *(n + 1 for n in runs)])
    assert find(f"Before.\n{fence}python\n{code}\n{fence}\nAfter.") == (Block("python", code),)


@given(st.text(alphabet="`~> \t\n-1.ab"))
def test_no_text_is_too_odd(text: str) -> None:
    for block in find(text):
        assert "\n" not in block.language


def test_a_long_answer_takes_no_time() -> None:
    text = lines(*["```python", *["x" * 80] * 20_000, "```"] * 2)
    assert len(find(text)) == 2
    assert find("> " * 50_000) == ()
    assert find("`" * 100_000) == (Block("", ""),)
