"""What does `harmless` promise? Answers read as written; nothing in them runs, loads or lies."""

import html
import random
import re

import pytest

from cborg_magics.harmless import harmless, violations

LT, DOLLAR, BACKSLASH = "&#60;", r"<span>\$</span>", "<span>&#92;</span>"


def code_shown(published: str) -> list[str]:
    """The code in our own `<code>` tags, as a browser shows and copies it."""
    return [html.unescape(code) for code in re.findall(r"<code>(.*?)</code>", published)]


# --- ordinary answers -------------------------------------------------------------------------

ORDINARY = {
    "headings and emphasis": "# One\n\n## Two\n\n**bold**, *thin*, ~~gone~~, a_b_c\n\n---\n\nEnd.",
    "a table": "| a | b |\n|:--|--:|\n| `x` | $y^2$ |\n| 1 | **2** |",
    "nested lists": "1. one\n   - a\n     - deep\n   - b\n2. two\n\n* [x] done\n* [ ] to do",
    "code": "```python\nfor i in range(3):\n    print(f'{i:>3}', x[0], i < 3, a[i](i))\n```",
    "shell code": '```bash\necho "$HOME/$USER" > /tmp/x; curl "https://x.org/$A" -o "$B"\n```',
    "c++ code": "```c++\nauto f = [&](const auto& x) { return x < 3; };\n```",
    "python annotations": "```python\nif x in [1, 2]:\n    y: int = d['a: b']\n```",
    "code in a list": "1. Run\n\n   ```bash\n   make\n   ```\n\n2. Done",
    "code in a quote": "> ```python\n> x = 1\n> ```\n> said",
    "tildes and long fences": "~~~text\na\n~~~\n\n````text\n```\n````",
    "code spans": "Use `x = 1`, `` a ` b `` and `f(x)`.",
    "formulas": "Let $x^2 + \\alpha_{i}$, $0$, $10$, $2x = 4$, the $n$th.",
    "display formulas": "So\n\n$$\n\\frac{a}{b} \\\\\n= c\n$$\n\nand $$x$$.",
    "an environment": "$$\\begin{align} a &= b \\\\ c &= d \\end{align}$$",
    "quotes": '> He said: "no" & left.\n> > Really?',
    "links": '[a](https://x.org/a_(b)?c=1&d=2 "title"), [b](#part), [c](d/e.csv), [m](mailto:a@b)',
    "references": 'See [1] and [x][2].\n\n[1]: https://x.org/a\n[2]: ../notes.md "Notes"',
    "languages": "Grüße, 你好, مرحبا\u200f, नमस्ते, 👩\u200d🔬, می\u200cخواهم",
    "signs": "1 < 2 & 3 > 2; a<1; &mdash; &nbsp;, 50%, C#, a_b, 2*3*4, ~10, @me, wow!",
    "bare links": "Go to https://x.org/a?b=1&c=2, or write to a@b.org!",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_answer_is_published_as_written(name):
    assert harmless(ORDINARY[name]) == ORDINARY[name]


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("$5 and $10", f"{DOLLAR}5 and {DOLLAR}10"),
        (r"\$5 and \$10", f"{DOLLAR}5 and {DOLLAR}10"),
        ("| $/M in | $/M out |", f"| {DOLLAR}/M in | {DOLLAR}/M out |"),
        ("between $5/kg and 10$", f"between {DOLLAR}5/kg and 10{DOLLAR}"),
        ("$3 for $x$", f"{DOLLAR}3 for $x$"),
        (r"\\$5", f"{BACKSLASH}{DOLLAR}5"),
    ],
)
def test_prices_are_literal_in_every_front_end(written, published):
    assert harmless(written) == published


@pytest.mark.parametrize(
    ("written", "published"),
    [
        (r"\(x\) and \( y \)", "$x$ and $y$"),
        (r"\(a\)\(b\)", "$a$ $b$"),
        ("\\[\nx \\\\[2pt]\n= 1\n\\]", "$$\nx \\\\[2pt]\n= 1\n$$"),
        ("$a<b>c$", r"$a\lt b\gt c$"),
        (r"\begin{align}a&=b\end{align}", r"$$\begin{align}a&=b\end{align}$$"),
        ("> $$\n> x > y\n> $$", "> $$ x \\gt  y $$"),
        (r'$\text{"x"}$', r"$\text{''x''}$"),
    ],
)
def test_formulas_are_written_as_jupyterlab_reads_them(written, published):
    assert harmless(written) == published


@pytest.mark.parametrize("code", ["vector<int>", "</script>", "![a](b)", "$x$", r"\(x\)", "a[0]"])
def test_a_code_span_shows_exactly_what_was_written(code):
    published = harmless(f"Use `{code}`.")
    assert published == f"Use `{code}`." or code_shown(published) == [code]


def test_a_pipe_in_code_does_not_break_a_table():
    assert code_shown(harmless(r"| `a \| $b` |")) == ["a | $b"]


FENCED = "#include <stdio.h>\n\n    std::vector<int> a;\t// ![x](y) `$1` &amp; é\n"


@pytest.mark.parametrize("lead", ["", "   ", "- ", "12. ", "> "])
@pytest.mark.parametrize("ticks", ["```", "~~~~"])
def test_a_fence_that_cannot_be_published_shows_and_copies_exactly(lead, ticks):
    rest = lead if ">" in lead else " " * len(lead)
    inside = FENCED.replace("\n", "\n" + rest)
    published = harmless(f"{lead}{ticks}c\n{rest}{inside}{ticks}\nafter")
    assert code_shown(published) == [FENCED]
    assert published.startswith(lead + "<pre>")
    assert published.endswith("\nafter")


@pytest.mark.parametrize(
    ("fence", "code"),
    [
        ("- ```bash\n  echo $A\n  ```", "echo $A\n"),
        ("```latex\n\\begin{a}\n```", "\\begin{a}\n"),
        ("```python\nr'\\\\(x'\n```", "r'\\\\(x'\n"),
    ],
)
def test_code_that_jupyterlab_takes_for_a_formula_loses_only_its_colours(fence, code):
    assert code_shown(harmless(fence)) == [code]


def test_a_fence_that_is_still_open_is_shown_too():
    assert code_shown(harmless("```html\n<b>")) == ["<b>\n"]
    assert harmless("```python\nx = 1") == "```python\nx = 1\n```"


@pytest.mark.parametrize("info", ['py" onmouseover="x', "{.python}", "python title=x", "python"])
def test_a_fence_keeps_its_language_and_nothing_else(info):
    assert harmless(f"```{info}\nx\n```") in ("```py\nx\n```", "```python\nx\n```")


def test_a_mermaid_diagram_is_code_since_it_can_load_images():
    assert code_shown(harmless("```mermaid\ngraph LR\n```")) == ["graph LR\n"]


# --- hostile answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<script>", "</p", "<!--", "<?php", "<img src=x>", "<span onclick=x>", "<code >", "<br x>",
        "![a](b)", "[![a](b)](c)",
        "[a](javascript:x)", "[a](JaVa&#115;cript:x)", "[a]( <javascript:x>)", "[a](\tdata:x)",
        "[a](java\\script:x)", "[a](java&Tab;script:x)", "[a](\n> vbscript:x)", "[a](< x y:z>)",
        "[a]: javascript:x", "> [a]:\n> javascript:x", "- [a\\]]: <file:x>", "[a\nb]: data:x",
        "```py\"x\n```", "- ~~~ {onclick=x}", "```Mermaid\n", "> - [ ] ```a b",
        "a\u202eb", "a\u2066b", "a\x00b", "a\x1bb", "a\u2028b", "a\rb", "a\ud800b", "a\x85b",
    ],
)  # fmt: skip
def test_each_promise_can_be_broken_and_is_kept(text):
    assert violations(text)
    assert violations(harmless(text)) == []


def test_html_is_shown():
    assert harmless("<b>x</b>") == f"{LT}b>x{LT}/b>"
    assert harmless(r"\<b>") == f"{LT}b>"


def test_an_image_becomes_a_link():
    assert harmless("![a](https://x.org/y.png)") == "&#33;[a](https://x.org/y.png)"
    assert harmless(r"\![a](b)") == "&#33;[a](b)"


def test_an_autolink_stays_a_link():
    assert harmless("<https://x.org/a>") == "[https://x.org/a](https://x.org/a)"


def test_an_address_holds_no_formula():
    assert harmless("[a](/$x$)\n\n[b]: /$x$") == "[a](/%24x%24)\n\n[b]: /%24x%24"


def test_a_script_link_is_text():
    assert harmless("[a](javascript:x)") == "[a&#93;(javascript:x)"
    assert harmless("[^1]: Note: this") == "[^1&#93;: Note: this"


@pytest.mark.parametrize(
    "command",
    ["href{javascript:x}{y}", "style{color:red}{x}", "class{x}{y}", "cssId{x}{y}", "require{html}",
     "unicode{x41}", "includegraphics{x}", "def\\x{y}", "newcommand{\\x}{y}", "data{x}",
     "let\\x=y"],
)  # fmt: skip
@pytest.mark.parametrize("marks", ["$|$", "$$|$$", r"\(|\)", r"\[|\]"])
def test_a_formula_that_could_do_more_than_stand_there_is_text(command, marks):
    opening, closing = marks.split("|")
    published = harmless(f"{opening}\\{command}{closing}")
    assert "$" not in published.replace(DOLLAR, "")
    assert r"\(" not in published
    assert r"\[" not in published


@pytest.mark.parametrize(
    "text", ["&#36;x&#36;", "&dollar;x&dollar;", r"\\(x\\)", "&bsol;(x&bsol;)"]
)
def test_no_formula_is_smuggled_past_the_scanner(text):
    assert not re.search(r"&(?:#36|dollar|bsol);|\\\\?\(", harmless(text))


def test_an_unbalanced_formula_cannot_swallow_what_follows():
    assert harmless("$a{$ b $}$") == f"{DOLLAR}a{{{DOLLAR} b {DOLLAR}}}{DOLLAR}"


def test_no_quotation_mark_of_a_formula_ends_an_attribute():
    assert '"' not in harmless('https://x.org/$" onmouseover="x"$')
    assert '"' not in harmless('[a](/$" onmouseover="x"$)').replace('(/$"', "")


def test_text_cannot_be_disguised():
    assert harmless("a\u202eb\u2066c\x00d\u2028e") == "a\ufffdb\ufffdc\ufffdd\ne"


def test_a_trailing_backslash_escapes_nothing_that_follows():
    assert not harmless("x\\").endswith("\\")


# --- anything at all --------------------------------------------------------------------------

NASTY = r"""
    < > </ <! <? <!-- --> <![CDATA[ ]]> <script> </script> <img <a <span> </span> <code> </code>
    <pre> </pre> src= onload= " ' = / & ; : # ( ) [ ] ]( ]: [a] [a]: ![ ! \ \\ \< \] \! \( \) \[ \]
    \$ $ $$ ` `` ``` ```` ~~~ ~~~~ * ** _ - + 1. > >> | || { } \begin{align} \end{align} \href
    \style javascript: java&#115;cript: data: https://x.org mailto: file: &#60; &lt; &#x3c; &colon;
    &Tab; @@0@@ mermaid py b x 0 # ## --- === é
"""
WHITE = [" ", "    ", "\n", "\n", "\n\n", "\t", "\r", "\n> ", "\n- ", "\n```", "<span\t"]
CONTROLS = ["\x00", "\x0b", "\x1b", "\x85", "\u2028", "\u202e", "\u2066", "\ud800"]
FRAGMENTS = [*NASTY.split(), *WHITE, *CONTROLS]


def nasty_text(rng: random.Random) -> str:
    return "".join(rng.choices(FRAGMENTS, k=rng.randint(1, 30)))


def test_every_text_keeps_every_promise():
    rng = random.Random(2026)
    for _ in range(20_000):
        text = nasty_text(rng)
        assert violations(harmless(text)) == [], text


def test_every_prefix_of_a_text_keeps_every_promise():
    rng = random.Random(11)
    for _ in range(300):
        text = nasty_text(rng)
        for end in range(len(text)):
            assert violations(harmless(text[:end])) == [], text[:end]


def test_publishing_twice_is_as_harmless():
    rng = random.Random(7)
    for _ in range(3_000):
        assert violations(harmless(harmless(nasty_text(rng)))) == []


@pytest.mark.parametrize(
    "piece",
    ["$", "[", "`", "*", "<", " ", "](", "]:", "[a]: ", r"\[", r"\(", "$$ ", "$a ", "> ", "- ", "~",
     "\n", "![", r"\begin{align}", "a`b``c```d ", "$1+", "``` x`", "{", "[a](", "\t\n", "&#"],
)  # fmt: skip
def test_a_long_monotonous_text_is_still_answered(piece):
    """A quadratic scanner would need minutes for one of these."""
    assert violations(harmless(piece * (200_000 // len(piece)))) == []


# --- JupyterLab's formulas ----------------------------------------------------------------------
# JupyterLab takes formulas out before it parses Markdown, and puts them back into the HTML with
# their quotation marks: inside a link's address, one would end the attribute and begin `onclick=`.

BOUNDARY = re.compile(
    r"(\$\$?|\\(?:begin|end)\{[a-z]*\*?\}|\\[{}$]|[{}]|(?:\n\s*)+|@@\d+@@|\\\\[()\[\]])", re.I
)
CODE = re.compile(r"(?:^|[^\\])(`+)(?!`)[^\n]*?[^`\n]\1(?!`)")


def formulas(text: str) -> list[str]:
    """What JupyterLab 4.6 takes for formulas in a text without fences (its `removeMath`)."""
    text = CODE.sub(lambda code: code.group().replace("$", "~"), text)
    parts = BOUNDARY.split(text)
    found: list[str] = []
    start, end, last, depth = -1, "", -1, 0
    for i in range(1, len(parts), 2):
        part = parts[i]
        if start < 0:
            starts = {"$": "$", "$$": "$$", r"\\(": r"\\)", r"\\[": r"\\]"}
            if part in starts or part.startswith(r"\begin"):
                start, end, depth = i, starts.get(part, r"\end" + part[6:]), 0
            continue
        if part == end:
            last = i
        if (part == end and not depth) or part.count("\n") > 1:
            found += ["".join(parts[start : last + 1])] if last > 0 else []
            start = last = -1
        elif part in "{}":
            depth = max(0, depth + (1 if part == "{" else -1))
    return found + (["".join(parts[start : last + 1])] if start > 0 and last > 0 else [])


SIGNS = [*"$$$$\"\"{}\n `a\\", "$$", "$x$", "$x$", "``", " ", "https://x.org/", "> ", "\\\\", "\\$",
         "\\(", "\\)", "\\[", "\\]", "\\\\(", "\\\\)", "\\begin{a}", "\\end{a}",
         "\\begin{align}", "\\end{align}"]  # fmt: skip


def test_no_formula_that_jupyterlab_finds_can_end_an_attribute():
    assert formulas('https://x.org/$" onclick="x"$') == ['$" onclick="x"$']
    rng = random.Random(3)
    seen = 0
    for _ in range(20_000):
        published = harmless("".join(rng.choices(SIGNS, k=rng.randint(2, 18))))
        if "```" in published:
            continue
        seen += len(formulas(published))
        assert not any('"' in formula for formula in formulas(published)), published
    assert seen > 1_000


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("| a | one<br>two<br/>three |", "| a | one<br>two<br>three |"),
        ("H<sub>2</sub>O and 10<SUP>3</SUP>", "H<sub>2</sub>O and 10<sup>3</sup>"),
        ("<br>", "&#60;br&#62;"),
        ("> <sub>\n", "> &#60;sub&#62;\n"),
        ("x<br onclick=alert(1)>", "x&#60;br onclick=alert(1)>"),
        ("x<sub class=y>", "x&#60;sub class=y>"),
    ],
)
def test_line_breaks_and_indices_inside_a_line_are_kept(written: str, published: str) -> None:
    assert harmless(written) == published
