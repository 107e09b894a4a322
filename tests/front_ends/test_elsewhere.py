"""What must a saved notebook be, so that others can show it? HTML and Markdown by nbconvert, which
are run here; VS Code, Colab and GitHub, which cannot be: what they are documented to do.

VS Code draws the first of its list of MIME types, application/vnd.* before text/html before
text/markdown before text/plain (microsoft/vscode, extensions/ipynb/src/deserializers.ts); it does
not keep the state of widgets (microsoft/vscode-jupyter, issue 4404), and gives outputs the colours
of its theme as --vscode-* (code.visualstudio.com/api/extension-guides/webview).
Colab shows each cell's output in a frame of its own, without the page's style sheets
(googlecolab/colabtools, google/colab/output).
GitHub takes script and styles away, and refuses a notebook whose widgets lack `state`
(github.com/orgs/community, discussion 155944).
"""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter

from tests.front_ends import everywhere
from tests.front_ends.everywhere import ANSWER, CITED, HITS, LIST, MAP, PRICED, SPENT, Ran

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

VS_CODE = [
    *("application/vnd.", "application/vdom.", "application/geo+json"),
    *("application/x-nteract-model-debug+json", "text/html", "application/javascript"),
    *("image/gif", "text/latex", "text/markdown", "image/png", "image/svg+xml", "image/jpeg"),
    *("application/json", "text/plain"),
]
OURS = {"text/html", "text/markdown", "text/plain"}
# What nbconvert's own page asks for, whatever the notebook holds.
TEMPLATE = {"cdnjs.cloudflare.com", "unpkg.com", "cdn.jsdelivr.net"}


class Page(HTMLParser):
    """The tags of a piece of HTML with their attributes, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th", "tr", "div", "caption", "summary", "figcaption"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


def words(text: str) -> Counter[str]:
    """The words of a text, whatever stands between them."""
    return Counter(re.sub("[█·]", " ", text).split())


@pytest.fixture(scope="module")
def html(ran: Ran) -> list[str]:
    """Every text/html of the notebook."""
    return [output.data["text/html"] for output in ran.outputs() if "text/html" in output.data]


def shown(output: Any) -> str:
    """The MIME type that VS Code draws."""
    return min(
        output.data,
        key=lambda kind: next(
            number for number, each in enumerate(VS_CODE) if kind.startswith(each)
        ),
    )


# -- VS Code -------------------------------------------------------------------------------


def test_vs_code_draws_what_jupyterlab_does(ran: Ran) -> None:
    for output in ran.outputs():
        assert set(output.data) <= OURS
        assert "text/plain" in output.data
        assert shown(output) in ("text/html", "text/markdown")
        assert len(output.data) == 2, "nothing else to choose"
    assert shown(ran.outputs(ANSWER)[0]) == "text/markdown"


def test_no_state_of_a_widget_is_needed(ran: Ran) -> None:
    assert "widgets" not in ran.notebook.metadata
    assert "widget" not in nbformat.writes(ran.notebook)


def test_no_cell_has_more_outputs_than_a_front_end_draws(ran: Ran) -> None:
    assert max(len(cell.outputs) for cell in ran.notebook.cells) < 50


# -- Colab: no style sheet of the page -----------------------------------------------------


def test_every_colour_of_the_theme_has_a_fallback(html: list[str]) -> None:
    used = [name for each in html for name in re.findall(r"var\((--[\w-]+)", each)]
    assert "--jp-ui-font-color2" in used
    assert not [each for each in html if re.search(r"var\(--[\w-]+\s*\)", each)]


def test_small_print_without_a_theme_has_the_colour_of_the_text(html: list[str]) -> None:
    for each in html:
        for colour in re.findall(r"(?<![\w-])color:(.*?)[;']", each):
            assert re.search(r",inherit\)+$", colour), colour


def test_nothing_is_drawn_by_script_or_a_class(html: list[str]) -> None:
    for each in html:
        for tag, attributes in Page(each).tags:
            assert tag not in ("script", "style", "iframe", "object", "form", "link", "svg")
            assert not {"class", "id"} & set(attributes)
            assert not [name for name in attributes if name.startswith("on")]


# -- GitHub: no styles at all --------------------------------------------------------------


def test_pictures_are_in_the_file_and_have_words(html: list[str]) -> None:
    images = [attributes for each in html for tag, attributes in Page(each).tags if tag == "img"]
    assert len(images) >= 3, "bars, a curve, a map"
    for image in images:
        assert str(image["src"]).startswith("data:image/")
        assert image["alt"]


def test_without_styles_the_same_words_are_read(ran: Ran) -> None:
    for cell in (ANSWER, LIST, HITS, PRICED, SPENT):
        for output in ran.outputs(cell):
            if "text/html" in output.data:
                assert words(Page(output.data["text/html"]).text) == words(
                    output.data["text/plain"]
                )


def test_a_table_has_headings_and_says_what_it_is(html: list[str]) -> None:
    tables = [each for each in html if "<table" in each]
    assert len(tables) >= 5
    for each in tables:
        tags = [tag for tag, _ in Page(each).tags]
        assert tags.count("th") >= 2
        heads = [attributes for tag, attributes in Page(each).tags if tag == "th"]
        assert all(head["scope"] == "col" for head in heads)


def test_the_file_is_small(ran: Ran) -> None:
    sizes = dict.fromkeys(OURS, 0)
    for output in ran.outputs():
        for kind, data in output.data.items():
            sizes[kind] += len(data)
    print(f"\ncharacters of outputs: {sizes}")
    assert sum(sizes.values()) < 60_000


# -- nbconvert, for real -------------------------------------------------------------------


def test_the_html_is_complete_and_needs_no_script_of_ours(
    ran: Ran, lab: JupyterLab, tmp_path: Path, pictures: Path
) -> None:
    from tests.front_ends.notebook7 import offline

    page_text, _ = HTMLExporter().from_notebook_node(ran.copy())
    empty = nbformat.v4.new_notebook(metadata=ran.notebook.metadata)
    bare, _ = HTMLExporter().from_notebook_node(empty)
    assert page_text.count("<script") == bare.count("<script")
    assert "widget-view" not in page_text
    path = tmp_path / "everywhere.html"
    path.write_text(page_text, encoding="utf-8")
    with offline(lab) as (page, complaints, asked):
        page.goto(path.as_uri())
        text = page.locator("body").inner_text()
        for cell in (LIST, HITS, MAP, PRICED, SPENT):
            for word in words(re.sub(r"[█$]+", " ", ran.texts[cell])):
                assert word in text, (cell, word)
        assert "It costs $5 to $10, or $7.50 a day." in text
        assert page.get_by_role("note").filter(has_text="turn 1 of main").count() == 1
        assert page.get_by_role("table").count() >= 6
        page.get_by_text("2 passages from found").click()
        assert "passage" in page.locator("details[open]").inner_text()
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        page.screenshot(path=pictures / "nbconvert.png", full_page=True)
        hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "file:"))}
    assert complaints == []
    assert hosts <= TEMPLATE


def test_the_markdown_is_complete(ran: Ran) -> None:
    text, resources = MarkdownExporter().from_notebook_node(ran.copy())
    assert resources["outputs"] == {}, "no picture beside it"
    for said in ("# Detector report", "turn 1 of main", "nearest to", "A scatter plot", "passages"):
        assert said in text
    assert "widget" not in text


def test_the_cells_are_those_that_were_run(ran: Ran) -> None:
    assert len(ran.notebook.cells) == len(everywhere.CELLS) + 2
    assert "[1]" in ran.plain(CITED)
