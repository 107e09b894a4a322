"""How is Markdown that a model wrote made safe to publish in a notebook?

A front end trusts the output of a cell that just ran: JupyterLab runs the scripts in it and fetches
its images, and what looks like code to one Markdown parser is HTML to another. So `harmless` does
not try to be cleverer than the parsers. It keeps a promise about the *raw text* it returns, stated
in `PROMISES` as a few regular expressions that hold for prose and code alike, whoever parses it.

Two habits follow. Code that would break a promise is written as `<pre><code>` or `<code>` with
character entities: it is shown and copied exactly as the model wrote it, only without colours.
And a text that breaks a promise in spite of everything is shown as one such block of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PROMISES", "harmless", "violations"]

# A destination is fine with one of these schemes, or with nothing before its first slash that
# could spell another scheme: no colon, and no entity or escape that a parser turns into one.
_GOOD_SCHEME = r"(?:https?://|mailto:|\#)"
_MAYBE_SCHEME = r"[^\s/?\#()\[\]<>:&\\]*[:&\\]"
_BAD_TARGET = rf"[\s>]*(?:<|(?!{_GOOD_SCHEME}){_MAYBE_SCHEME})"

PROMISES: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for name, pattern in {
        "HTML other than bare <span>, <code>, <pre>, <br>, <sub>, <sup>": (
            r"<(?!/?(?:span|code|pre|br|sub|sup)>)[a-z/!?]"
        ),
        "an image": r"!\[",
        "a link to a scheme that is not allowed": rf"\]\({_BAD_TARGET}",
        "a reference to a scheme that is not allowed": (
            r"^[ \t>*+\-\d.)]*\[(?:[^\[\]\\]|\\[\s\S])*\]:" + _BAD_TARGET
        ),
        # JupyterLab copies a fence's language into an attribute unescaped, and draws mermaid,
        # whose diagrams can load images.
        "a fence with more than a plain language": (
            r"(?<![`~])(?=[`~]{3})"
            r"(?![`~]+[ \t]*(?:(?!mermaid)[\w+\#.-]+[ \t]*)?(?:\n|\Z))"
        ),
        "an invisible control character": (
            r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
        ),
    }.items()
}


def violations(text: str) -> list[str]:
    """The promises of `PROMISES` that `text` breaks, by name; an empty list when it is harmless."""
    return [name for name, pattern in PROMISES.items() if pattern.search(text)]


def harmless(text: str) -> str:
    """Markdown that reads as `text` does, and that no front end turns into script, image or form.

    Tables, lists, code and formulas stay as they are; formulas in `\\(..\\)` and `\\[..\\]` become
    `$..$` and `$$..$$`, the dollars of prices become literal, HTML is shown and not obeyed, images
    become links. Takes any string, also one cut anywhere (a stream's prefix), and never fails:
    `violations` of the result is always empty.
    """
    text = _readable(text)
    result = "\n".join(
        piece.harmless() if isinstance(piece, _Fence) else _prose(piece) for piece in _pieces(text)
    )
    return _preformatted(text) if violations(result) else result


# --- text -------------------------------------------------------------------------------------

_NEWLINE = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = PROMISES["an invisible control character"]


def _readable(text: str) -> str:
    """One kind of line end, and a visible mark for every character that could disguise text."""
    return _CONTROL.sub("\ufffd", _NEWLINE.sub("\n", text))


def _entities(text: str) -> str:
    """`text` so that no parser finds anything in it, on one line."""
    return re.sub(r"[^\w ]|_", lambda m: f"&#{ord(m.group())};", text)


def _preformatted(code: str) -> str:
    """A block of code on a single line, which no blank line or indentation can break."""
    return f"<pre><code>{_entities(code)}</code></pre>"


# --- fenced code ------------------------------------------------------------------------------

_LEAD = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
_LANGUAGE = re.compile(r"[ \t]*\{?\.?([\w+#.-]*)")

# JupyterLab takes formulas out before it parses Markdown: these start one inside code as well.
_FORMULA_IN_CODE = re.compile(r"\\(?:begin|end)\{|\\\\[(\[]|@@\d")


@dataclass(frozen=True)
class _Fence:
    """A fenced block: what stands before its backticks, the backticks, the language, the lines."""

    lead: str
    ticks: str
    language: str
    lines: tuple[str, ...]

    @classmethod
    def opened_by(cls, line: str) -> _Fence | None:
        lead = _LEAD.match(line)
        assert lead is not None  # noqa: S101 - every part of it is optional
        rest = line[lead.end() :]
        ticks = rest[: len(rest) - len(rest.lstrip(rest[:1]))] if rest[:1] in ("`", "~") else ""
        info = rest[len(ticks) :]
        if len(ticks) < 3 or (ticks[0] == "`" and "`" in info):
            return None
        language = _LANGUAGE.match(info)
        return cls(lead.group(), ticks, language.group(1) if language else "", ())

    def is_closed_by(self, line: str) -> bool:
        inner = self.inside(line)
        mark = inner.strip()
        return (
            len(mark) >= len(self.ticks)
            and not mark.strip(self.ticks[0])
            and len(inner) - len(inner.lstrip()) < 4
        )

    def is_left_by(self, line: str) -> bool:
        """Whether `line` ends the quote or the list item that holds this fence."""
        if ">" in self.lead:
            return not line.lstrip().startswith(">")
        return bool(self.lead.strip()) and bool(line.strip()) and not line[0].isspace()

    def inside(self, line: str) -> str:
        """`line` without the quote marks and the indentation of this fence."""
        for mark in self.lead:
            if line[:1] == (mark if mark in ">\t" else " "):
                line = line[1:]
        return line

    def harmless(self) -> str:
        margin = re.sub(r"[^>\s]", " ", self.lead)
        raw = "\n".join(
            (self.lead + self.ticks + self.language, *self.lines, margin + self.ticks),
        )
        # JupyterLab recognises code, and leaves its dollars alone, only at the start of a line.
        risky = _FORMULA_IN_CODE.search(raw) or (self.lead and "$" in raw) or violations(raw)
        if not risky:
            return raw
        return self.lead + _preformatted("\n".join(map(self.inside, self.lines)) + "\n")


def _pieces(text: str) -> Iterator[str | _Fence]:
    """The prose and the fences of `text`, in order; joined by newlines they are the text."""
    prose: list[str] = []
    fence: _Fence | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if fence and not fence.is_left_by(line):
            if not fence.is_closed_by(line):
                lines.append(line)
                continue
            yield _Fence(fence.lead, fence.ticks, fence.language, tuple(lines))
            fence = None
            continue
        if fence:
            yield _Fence(fence.lead, fence.ticks, fence.language, tuple(lines))
        fence, lines = _Fence.opened_by(line), []
        if fence is None:
            prose.append(line)
        elif prose:
            yield "\n".join(prose)
            prose = []
    if fence:
        yield _Fence(fence.lead, fence.ticks, fence.language, tuple(lines))
    elif prose:
        yield "\n".join(prose)


# --- prose ------------------------------------------------------------------------------------

_URL_CHARACTER = r"[^\s()\[\]<>\\\"`]"
_URL = rf"(?:{_GOOD_SCHEME}|(?!{_MAYBE_SCHEME}))(?:{_URL_CHARACTER}|\({_URL_CHARACTER}*\))*"
_TITLE = r'(?:[ \t]+"[^"\n$\\<`\[\]&]*")?[ \t]*'
_DISPLAY = r"(?:[^$`\\\n]|\\[^`\n\[\]]|\n(?![ \t>]*\n))+?"
_INLINE = r"(?:[^$`\\\n]|\\[^`\n()])"
_ENVIRONMENT = r"(?:equation|align|alignat|gather|multline|eqnarray|cases|[bpvBV]?matrix)\*?"

# Everything in prose that is not plain text. The order matters: the first that fits wins.
_TOKEN = re.compile(
    rf"""
      \\\[(?P<brackets>{_DISPLAY})\\\]
    | \\\((?P<parentheses>{_INLINE}{{1,400}}?)\\\)
    | (?P<environment>\\begin\{{(?P<name>{_ENVIRONMENT})\}}
        (?:(?!\\begin\{{(?P=name)|\n[ \t>]*\n)[^$`]){{0,4000}}?\\end\{{(?P=name)\}})
    | \\(?P<escaped>[\s\S]|\Z)
    | \$\$(?P<display>(?:[^$`\\\n]|\\[^`\n]|\n(?![ \t>]*\n))+?)\$\$
    | (?<![\w$])\$(?P<inline>
          (?![\s$\d])(?:[^$`\\\n]|\\[^`\n]){{1,400}}?(?<!\s)
        | \d+(?:\.\d+)?
        | (?=\d[^$`\n]{{0,400}}?[\\^_=+*/<>{{}}])      # a formula, not the price of something
          (?![^$`\n]{{0,400}}?[ ][A-Za-z]{{2,}}[ ])
          (?:[^$`\\\n]|\\[^`\n]){{1,400}}?(?<!\s)
      )\$(?=(?:th|st|nd|rd|s|d)\b|[^\w$]|\Z)
    | (?<!`)(?P<ticks>`+)(?!`)(?P<code>[^\n]{{1,2000}}?)(?<!`)(?P=ticks)(?!`)
    | (?P<run>`{{3,}}|~{{3,}})
    | <(?P<autolink>https?://{_URL_CHARACTER}+)>
    | \]\((?P<link>{_URL}){_TITLE}\)
    | \]:[ \t]*(?=\S)(?P<reference>{_URL}){_TITLE}(?=\n(?![ \t>]*["'(])|\Z)
    | <(?P<tag>br|/?su[bp])[ ]?/?>
    | (?P<special><(?=[A-Za-z/!?]) | !(?=\[) | \](?=[(:]) | &(?=\#|dollar;|bsol;))
    | (?P<dollar>\$)
    """,
    re.VERBOSE | re.IGNORECASE,
)

# The backslash keeps JupyterLab and nbconvert from pairing it; the span keeps MathJax from it.
_DOLLAR = r"<span>\$</span>"
_BACKSLASH = "<span>&#92;</span>"


def _prose(text: str) -> str:
    return _TOKEN.sub(_token, text)


def _token(found: re.Match[str]) -> str:
    """What stands for one token of `_TOKEN` in the published text."""
    whole = found.group()
    match found.lastgroup:
        case "brackets" | "display" | "environment":
            return _formula("$$", found)
        case "parentheses" | "inline":
            return _formula("$", found)
        case "code":
            return _code_span(found)
        case "escaped":
            return _escape(found)
        case "autolink":
            return f"[{found['autolink']}]({found['autolink']})"
        case "link" | "reference":
            return whole.replace("$", "%24")
        case "dollar":
            return _DOLLAR
        case "tag" if _line_before(found).strip(" \t>"):  # alone on a line it opens a block
            return f"<{found['tag'].lower()}>"
        case _:
            return _entities(whole)


def _escape(found: re.Match[str]) -> str:
    """A backslash and the character after it, in prose."""
    character = found["escaped"]
    if character == "$":
        return _DOLLAR
    # One that is shown would be read once more, by MathJax, with what follows it; and one that
    # ends the text would escape what is published after it.
    if character in ("\\", ""):
        return _BACKSLASH
    if found.string.startswith(("begin{", "end{"), found.start() + 1):
        return _BACKSLASH + character
    return f"&#{ord(character)};" if character in "<]!&`~" else found.group()


def _line_before(found: re.Match[str]) -> str:
    return found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]


def _code_span(found: re.Match[str]) -> str:
    """A code span; with entities when any parser could find more than code in it."""
    ticks, code = found["ticks"], found["code"]
    if len(ticks) < 3 and not re.search(r"[<&$\\\]]|!\[|~~~|```", code):
        return found.group()
    if code.strip() and code.startswith(" ") and code.endswith(" "):
        code = code[1:-1]
    if _line_before(found).lstrip(" \t>").startswith("|"):
        code = code.replace(r"\|", "|")  # a table's own way to write it
    return f"<code>{_entities(code)}</code>"


# --- formulas ---------------------------------------------------------------------------------

# MathJax makes links, styles, files and new commands of these.
_COMMAND_WITH_EFFECTS = re.compile(
    r"""\\(?:href|url|style|class|cssId|data|bbox|require|unicode|includegraphics|mmlToken
        |(?:math|text)tip|(?:math)?toggle|setOptions|csname
        |[gex]?def|let|(?:re)?new(?:command|environment|tagform)|providecommand
        |DeclareMathOperator
        )(?![a-z])""",
    re.VERBOSE | re.IGNORECASE,
)


def _formula(mark: str, found: re.Match[str]) -> str:
    """The formula found, between two `mark`s; literal text when it is more than a formula."""
    body = found[found.lastgroup or 0]
    # A quotation mark could end an attribute when JupyterLab puts the formula back.
    formula = body.replace("<", r"\lt ").replace(">", r"\gt ").replace('"', "''")
    if not _is_only_a_formula(formula):
        return _not_a_formula(found)
    if ">" in _line_before(found):  # the marks of a quote are not part of the formula
        formula = re.sub(r"\n(?:[ \t]|\\gt )*", " ", formula)
    if mark == "$":
        formula = formula.strip()
    # JupyterLab misreads a dollar that another one, or code, touches.
    touches = found.string.startswith(("$", "`", r"\(", r"\["), found.end())
    return mark + formula + mark + (" " if touches else "")


def _not_a_formula(found: re.Match[str]) -> str:
    """The same characters, with nothing left that opens or closes a formula."""
    whole, body = found.group(), found[found.lastgroup or 0]
    if found.lastgroup == "environment":
        return _BACKSLASH + _prose(body[1:])
    if found.lastgroup in ("brackets", "parentheses"):
        return _BACKSLASH + whole[1] + _prose(body) + _BACKSLASH + _entities(whole[-1])
    dollars = _DOLLAR * (2 if found.lastgroup == "display" else 1)
    return dollars + _prose(body) + dollars


def _is_only_a_formula(body: str) -> bool:
    return not (
        _COMMAND_WITH_EFFECTS.search(body)
        or body.endswith("\\")
        or not body.strip()
        or not _is_balanced(body)
        or violations(f"${body}$")
    )


def _is_balanced(body: str) -> bool:
    """Whether braces and environments end inside: if not, JupyterLab's formula goes on after it."""
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\[{}$]", "", body)):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    begun = re.findall(r"\\begin\{([^}]*)\}", body)
    return depth == 0 and sorted(begun) == sorted(re.findall(r"\\end\{([^}]*)\}", body))
