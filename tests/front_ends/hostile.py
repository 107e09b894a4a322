"""What could a model write to harm its reader? Answers that try to run, load, or restyle something.

In each, RUN stands for a statement that leaves a mark in the page, URL for an address that a
canary listens on.
"""

from __future__ import annotations

IMAGE_ERROR = '<img src="x:" onerror="RUN">'

HOSTILE: tuple[str, ...] = (
    # scripts and event handlers
    "<script>RUN</script>",
    "<SCRIPT\n>RUN</SCRIPT>",
    IMAGE_ERROR,
    "<img/src='x:'/onerror=RUN>",
    "<svg onload=RUN></svg>",
    "<svg><script>RUN</script></svg>",
    "<svg><animate onbegin=RUN attributeName=x dur=1s></svg>",
    "<details open ontoggle=RUN><summary>x</summary></details>",
    "<body onload=RUN>",
    "<b onmouseover=RUN>come here</b>",
    "<input autofocus onfocus=RUN>",
    "<video src='x:' onerror=RUN></video>",
    "<audio><source src='x:' onerror=RUN></audio>",
    "<marquee onstart=RUN>x</marquee>",
    "<span onmouseover=RUN>x</span><code onmouseover=RUN>y</code>",
    "<math><mtext><img src='x:' onerror=RUN></mtext></math>",
    "<math><a xlink:href='javascript:RUN'>x</a></math>",
    "<template><img src='x:' onerror=RUN></template>",
    "<noscript><p title='</noscript><img src=x: onerror=RUN>'></noscript>",
    "<custom-tag onclick=RUN>x</custom-tag>",
    # documents in documents, and things that change the page
    "<iframe srcdoc='<script>parent.RUN</script>'></iframe>",
    "<iframe src='javascript:parent.RUN'></iframe>",
    "<object data='URL'></object>",
    "<embed src='URL'>",
    "<link rel=stylesheet href='URL'>",
    "<style>@import 'URL'; body { background: url(URL) }</style>",
    "<meta http-equiv=refresh content='0;url=URL'>",
    "<base href='URL'>",
    "<form action='URL'><button formaction='javascript:RUN' autofocus>ok</button></form>",
    "<div style='background: url(URL); position: fixed; inset: 0'>x</div>",
    # images
    "![a](URL)",
    "![a]( <URL> 'title')",
    "![a][ref]\n\n[ref]: URL",
    "![ref]\n\n[ref]: URL",
    "[![a](URL)](https://example.org)",
    "| a |\n|---|\n| ![a](URL) |",
    "\\\\![a](URL) \\!![a](URL) !\\![a](URL)",
    "!\x00[a](URL) !\u202e[a](URL)",
    "<img src=URL>",
    "<picture><source srcset=URL><img></picture>",
    "<svg><image href=URL /></svg>",
    "<table background=URL><tr><td>x</td></tr></table>",
    "[x]: <y>\n![a\n](URL)",
    "```mermaid\nflowchart TD\nA@{ img: \"URL\", label: \"x\", w: 60, h: 60 }\n```",
    "- ```mermaid\n  flowchart TD\n  A-->B\n  style A fill:url(URL)\n  ```",
    '```mermaid\n%%{init: {"themeCSS": "@import url(URL);"}}%%\nflowchart TD\nA-->B\n```',
    # links that run
    "[a](javascript:RUN)",
    "[a](JaVaScRiPt:RUN)",
    "[a](java&#115;cript:RUN)",
    "[a](javascript&colon;RUN)",
    "[a](java\\script:RUN) [a](javascript\\:RUN)",
    "[a](<javascript:RUN>)",
    "[a](< java\tscript:RUN>)",
    "[a](\n> javascript:RUN)",
    "[a](\x01javascript:RUN) [a](java\x00script:RUN)",
    "[a](data:text/html,<script>RUN</script>)",
    "[a](vbscript:RUN) [a](file:///etc/passwd)",
    "[a [b] c](javascript:RUN)",
    "[a\\](b](javascript:RUN)",
    "[a][1] [1]\n\n[1]: javascript:RUN",
    "[a][1]\n\n> [1]:\n> <javascript:RUN> 'x'",
    "[a][x\\]]\n\n[x\\]]: javascript:RUN",
    "[^1]\n\n[^1]: javascript:RUN",
    "<javascript:RUN>",
    "<https://x`y onmouseover=RUN>`",
    "<a href='javascript:RUN'>a</a>",
    "<a href=java&#10;script:RUN>a</a>",
    # code that is not code
    f"`a`` {IMAGE_ERROR} `",
    f"[a](<`>){IMAGE_ERROR}<`>",
    f"`` ` {IMAGE_ERROR}",
    f"\\`{IMAGE_ERROR}`",
    f"````\n```\n{IMAGE_ERROR}\n````\n{IMAGE_ERROR}",
    f"~~~\n```\n~~~\n{IMAGE_ERROR}\n```",
    f"    ```\n{IMAGE_ERROR}\n    ```",
    f"- ```\n\n{IMAGE_ERROR}\n  ```",
    f"> ```\n{IMAGE_ERROR}\n> ```",
    f"1. ~~~\n{IMAGE_ERROR}\n\n   ![a](URL)",
    f"``` a`b\n{IMAGE_ERROR}\n```",
    f"<pre>\n```\n</pre>\n{IMAGE_ERROR}\n```",
    f"<code>`</code>{IMAGE_ERROR}`",
    '```py" onmouseover="RUN" x="\ncode\n```',
    '- [ ] ```py" onmouseover="RUN" x="\n  code\n  ```',
    '```py"><img/src=x:/onerror=RUN>\ncode\n```',
    # formulas
    "$\\href{javascript:RUN}{x}$ $$\\href{javascript:RUN}{x}$$ \\(\\href{javascript:RUN}{x}\\)",
    "\\begin{align}\\href{javascript:RUN}{x}\\end{align} \\\\(\\href{javascript:RUN}{x}\\\\)",
    "&#36;\\href{javascript:RUN}{x}&#36; \\$\\href{javascript:RUN}{x}\\$",
    "$\\style{background:url(URL)}{x}$ $\\bbox[background:url(URL)]{x}$",
    "$\\require{html}\\class{jp-mod-danger}{x}$ $\\def\\x{\\href{javascript:RUN}{x}}\\x$",
    "$\\includegraphics{URL}$",
    f"$a {IMAGE_ERROR} b$ $$\n{IMAGE_ERROR}\n$$",
    f"$`{IMAGE_ERROR}`$ `$`{IMAGE_ERROR}`$`",
    'https://example.org/$" onmouseover="RUN" x="$',
    'https://example.org/\\begin{a}" onmouseover="RUN" x="\\end{a}',
    '[a](/$" onmouseover="RUN" x="$) [a](/b "$" onmouseover="RUN" x="$")',
    'https://example.org/$a{$\n```\n}\n```\n" onmouseover="RUN" $b$',
    "```\n\\begin{a}\n```\n$\\end{a}$\n```\n"
    'https://example.org/\\begin{a}" onmouseover="RUN" x="\\end{a}\n```',
    # half of something, and disguises
    "<!-- ", "<!-- --><script>RUN</script>", "<![CDATA[<script>RUN</script>]]>", "<?php RUN ?>",
    "<!DOCTYPE x [<!ENTITY y 'z'>]>", "<script>RUN", "<img src='x:' onerror=RUN", "a <", "a </scr",
    "&lt;script>RUN&lt;/script>", "&#60;img src=x: onerror=RUN>", "\\<script>RUN</script>",
    "<scr<script>ipt>RUN</scr</script>ipt>", "<\x00script>RUN</script>",
    "<\u202escript>RUN</script>", "<s\u2028cript>RUN</script>",
    "@@0@@ $x$ <img src='@@1@@' onerror='RUN'> @@-1@@",
)  # fmt: skip


def payload(number: int, canary: str) -> str:
    """The hostile answer `number`, which leaves `window.pwned_NUMBER` or asks for CANARY/NUMBER."""
    return (
        HOSTILE[number]
        .replace("RUN", f"window.pwned_{number}=true")
        .replace("URL", f"{canary}/{number}")
    )
