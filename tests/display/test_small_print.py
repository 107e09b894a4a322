"""Small print: the same words in every window, broken only where they may be."""

from __future__ import annotations

import io
import re
from html import unescape

import pytest

from cborg_magics.display import tables, terminal
from cborg_magics.display.notebook import QUIET, flowing, quiet
from cborg_magics.display.tables import Column

BADGE = "openai/gpt-4.1 · 312 tokens in, 9 out · $0.000696 estimated · 3.1 s · location unknown"


class Screen(io.StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


def read(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


@pytest.mark.parametrize(
    "words", [BADGE, "stopped", "", "a · b", "$1 · $2 <b> · \\(x\\)", "x" * 90]
)
def test_the_words_stay_what_they_are(words: str) -> None:
    assert read(flowing(words)) == words
    assert read(quiet(words)) == words


def test_a_line_breaks_between_parts_only() -> None:
    html = flowing(BADGE)
    outside = re.sub(
        r"<span style='white-space:nowrap'>(?:[^<]|<span>\$</span>)*</span>", "#", html
    )
    assert outside == "# # # # #"


def test_a_long_part_may_be_broken() -> None:
    assert "nowrap" not in flowing("word " * 12)
    assert flowing("short · " + "word " * 12).count("nowrap") == 1


def test_without_a_theme_small_print_has_the_colour_of_the_text() -> None:
    assert re.search(r"color:var\(--jp-ui-font-color2,.*inherit\)", QUIET)


def test_numbers_stay_on_one_line_and_headings_may_break() -> None:
    html = tables.html(
        [Column("a heading"), Column("cost", right=True)], [["text", "$1.00 billed"]]
    )
    cells = dict(re.findall(r"<(?:td|th)[^>]*style='([^']*)'>(.*?)</t", html))
    nowrap = [read(text) for style, text in cells.items() if "nowrap" in style]
    assert nowrap == ["$1.00 billed"]


def test_a_terminal_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = terminal.fitting(BADGE, Screen()).splitlines()
    assert max(map(len, lines)) < 40
    assert " ".join(lines) == BADGE
    assert terminal.fitting(BADGE, io.StringIO()) == BADGE, "a file has no width"
