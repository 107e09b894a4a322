"""What does `split` promise? Finished blocks, nothing cut in two, however the text arrives."""

import random

import pytest

from cborg_magics.display.blocks import split

ANSWER = """# Heading

A paragraph of two
lines.

- one

  more of one
- two

1. first

   ```python
   a = 1

   b = 2
   ```

| a | b |
|---|---|
| 1 | 2 |

```text
code

code after a blank line
```

$$
x

y
$$

\\[
z

\\]

> a quote

The end.
"""


def blocks(text: str, at_least: int) -> list[str]:
    finished, rest = split(text, at_least)
    return [finished, *blocks(rest, at_least)] if finished else [rest]


def blocks_as_they_grow(text: str, at_least: int) -> list[str]:
    done: list[str] = []
    tail = ""
    for character in text:
        tail += character
        finished, tail = split(tail, at_least)
        done += [finished] if finished else []
    return [*done, tail]


def test_a_paragraph_is_finished_when_the_next_block_begins():
    assert split("One.\n\nTwo", 1) == ("One.\n\n", "Two")


@pytest.mark.parametrize("text", ["", "One", "One.\n", "One.\n\n", "One.\n\n   ", "One\nTwo"])
def test_nothing_is_finished_before_the_next_block_is_visible(text):
    assert split(text, 1) == ("", text)


def test_the_run_is_the_shortest_that_is_long_enough():
    text = "aaaa\n\nbbbb\n\ncccc\n\ndddd"
    assert split(text, 1)[0] == "aaaa\n\n"
    assert split(text, 7)[0] == "aaaa\n\nbbbb\n\n"
    assert split(text, 100) == ("", text)


@pytest.mark.parametrize(
    "text",
    [
        "```\na\n\nb\n```",
        "~~~\na\n```\n\nb\n~~~",
        "````\n```\n\nb\n````",
        "   ```\na\n\nb\n   ```",
        "- ```\n  a\n\nb\n  ```",
        "$$\na\n\nb\n$$",
        "\\[\na\n\nb\n\\]",
        "- a\n\n- b",
        "1. a\n\n2. b",
        "1) a\n\n12) b",
        "- a\n\n  more of a",
        "| a |\n|---|\n| b |",
        "```\na\n\nb, and the fence is still open",
    ],
)
def test_a_fence_a_formula_a_list_and_a_table_are_never_cut(text):
    assert split(text, 1) == ("", text)


@pytest.mark.parametrize("start", ["1", "12", "12.", "-", "*", "+"])
def test_a_line_that_may_become_a_list_item_is_waited_for(start):
    assert split("One.\n\n" + start, 1)[0] == ""


@pytest.mark.parametrize("start", ["1 a", "1234567890", "--", "**", "T", "#", "|", "`", ">", "$"])
def test_other_lines_are_not(start):
    assert split("One.\n\n" + start, 1)[0] == "One.\n\n"


def test_dollars_in_code_open_no_formula():
    assert split("Use `$$`.\n\nTwo", 1)[0] == "Use `$$`.\n\n"


@pytest.mark.parametrize("at_least", [1, 20, 60, 150])
def test_cuts_do_not_depend_on_how_the_text_arrived(at_least):
    assert blocks_as_they_grow(ANSWER, at_least) == blocks(ANSWER, at_least)


def test_cuts_do_not_depend_on_how_any_text_arrived():
    rng = random.Random(1)
    pieces = [
        "a",
        "\n",
        "\n\n",
        "\n\n",
        "```",
        "~~~",
        "- ",
        "1. ",
        "$$",
        "\\[",
        "\\]",
        " ",
        "> ",
        "1",
    ]
    for _ in range(1500):
        text = "".join(rng.choices(pieces, k=25))
        cut = blocks(text, 4)
        assert "".join(cut) == text
        assert blocks_as_they_grow(text, 4) == cut
