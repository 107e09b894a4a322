"""How is a thread read again? In the notebook, or as a file of its own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cborg_magics import display
from cborg_magics.conversation import Turn
from cborg_magics.display import wording
from cborg_magics.errors import BadOption
from cborg_magics.exchange import Document, Picture, Reply
from cborg_magics.harmless import harmless

MARK = "<!-- a conversation exported by cborg_magics -->"


def show(shell: Any, thread: str, turns: Sequence[Turn]) -> None:
    """Every question with what went along, its answer and its badge; nothing is asked."""
    if display.is_notebook(shell):
        _show_in_notebook(shell, thread, turns)
        return
    for number, turn in enumerate(turns, 1):
        display.tell(shell, f"{thread}, turn {number}", turn.question.content, "")
        display.show_attached(shell, turn.question.attachments)
        display.show_reply(shell, turn.reply)


def _show_in_notebook(shell: Any, thread: str, turns: Sequence[Turn]) -> None:
    # Two outputs a turn: JupyterLab hides the outputs of a cell after the fiftieth.
    from cborg_magics.display.notebook import literal, markdown, quiet
    from cborg_magics.display.pictures import row

    publish = shell.display_pub.publish
    html, plain = "", ""
    for number, turn in enumerate(turns, 1):
        question = turn.question
        html += f"<div style='{_APART}'></div>" if html else ""
        html += quiet(f"{thread}, turn {number}") + row(question.attachments)
        html += f"<div style='{_QUESTION}'>{literal(question.content)}</div>"
        plain += f"{thread}, turn {number}\n{question.content}"
        publish({"text/html": html, "text/plain": plain})
        publish(markdown(turn.reply.text))
        words = _badge(turn.reply)
        html, plain = quiet(words), f"{words}\n"
    publish({"text/html": html, "text/plain": plain.strip()})


_QUESTION = (
    "white-space:pre-wrap;border-left:3px solid var(--jp-border-color1,#999);"
    "padding-left:8px;margin:4px 0"
)


_APART = "margin-top:20px"


def export(path: Path, thread: str, turns: Sequence[Turn]) -> list[Path]:
    """Write a thread as Markdown (pictures beside it) or as a notebook, by the suffix.

    Gives the files written. Only a file that an earlier export wrote is replaced.
    Raises `BadOption`.
    """
    try:
        if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
            raise BadOption(f"{path} is there already.", "Name another file, or delete it.")
        if path.suffix == ".ipynb":
            return _export_notebook(path, thread, turns)
        if path.suffix in (".md", ".markdown"):
            return _export_markdown(path, thread, turns)
    except OSError as problem:
        raise BadOption(f"cannot write {path}: {problem.strerror}.") from None
    raise BadOption(f"{path} is neither .md nor .ipynb.", "The suffix says what is written.")


def _export_markdown(path: Path, thread: str, turns: Sequence[Turn]) -> list[Path]:
    folder, files = path.with_name(f"{path.stem}_files"), [path]
    lines = [MARK, f"# {thread}"]
    for number, turn in enumerate(turns, 1):
        lines += [f"## Turn {number}", turn.question.content]
        for count, picture in enumerate(_pictures(turn), 1):
            file = folder / f"{number}-{count}.{_suffix(picture)}"
            folder.mkdir(exist_ok=True)
            file.write_bytes(picture.data)
            files.append(file)
            lines.append(f"![{_label(picture.name)}]({folder.name}/{file.name})")
        lines += [*_also(turn), "### Answer", harmless(turn.reply.text), f"*{_badge(turn.reply)}*"]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return files


def _export_notebook(path: Path, thread: str, turns: Sequence[Turn]) -> list[Path]:
    try:
        import nbformat
    except ModuleNotFoundError:
        raise BadOption("writing a notebook needs nbformat.", "pip install nbformat") from None
    new = nbformat.v4.new_markdown_cell
    cells = [new(f"{MARK}\n# {thread}")]
    for number, turn in enumerate(turns, 1):
        lines = [f"## Turn {number}", turn.question.content]
        attached = {}
        for count, picture in enumerate(_pictures(turn), 1):
            name = f"{number}-{count}.{_suffix(picture)}"
            attached[name] = {picture.type: base64.b64encode(picture.data).decode()}
            lines.append(f"![{_label(picture.name)}](attachment:{name})")
        cells.append(new("\n\n".join([*lines, *_also(turn)]), attachments=attached))
        cells.append(new(f"{harmless(turn.reply.text)}\n\n*{_badge(turn.reply)}*"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return [path]


def _pictures(turn: Turn) -> list[Picture]:
    return [p for p in turn.question.attachments if isinstance(p, Picture) and p.data]


def _also(turn: Turn) -> list[str]:
    """What else went along: named; a document's text is the notebook's own."""
    rest = [
        each for each in turn.question.attachments if isinstance(each, Document) or not each.data
    ]
    return [f"*attached: {wording.attachment(each)}*" for each in rest]


def _badge(reply: Reply) -> str:
    return wording.DOT.join(wording.badge(reply))


def _label(name: str) -> str:
    return name.replace("[", "(").replace("]", ")")


def _suffix(picture: Picture) -> str:
    return {"image/jpeg": "jpg"}.get(picture.type, picture.type.rpartition("/")[2])
