"""What can be done with a conversation, or with answers that are kept, besides asking on?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cborg_magics import display
from cborg_magics.errors import BadOption, BadSetting

if TYPE_CHECKING:
    from cborg_magics.answers.folder import AnswerFolder
    from cborg_magics.conversation import Run
    from cborg_magics.session import Session


def this_run(shell: Any) -> Run | None:
    """Which run of which cell is this? None where the front end does not say (JupyterLab,
    Notebook and VS Code do; nbclient and terminals do not)."""
    from cborg_magics.conversation import Run

    kernel = getattr(shell, "kernel", None)
    if kernel is None or not hasattr(kernel, "get_parent"):
        return None
    parent = kernel.get_parent("shell") or {}
    cell = (parent.get("metadata") or {}).get("cellId")
    number = (parent.get("header") or {}).get("msg_id")
    return Run(str(cell), str(number)) if cell and number else None


def task(args: argparse.Namespace) -> Callable[..., None] | None:
    """What the options ask for instead of an answer, if they do."""
    wanted = [name for name in TASKS if getattr(args, name)]
    if len(wanted) > 1:
        one, other = (name.replace("_", "-") for name in wanted[:2])
        raise BadOption(f"%chat: --{one} and --{other} do not go together.")
    return TASKS[wanted[0]] if wanted else None


def _show(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import transcript

    thread = _named(args, text)
    transcript.show(shell, thread, _turns(session, thread))


def _threads(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import wording

    _no_text("--threads", text)
    lines = []
    for name in session.conversation.names():
        turns = session.conversation.turns(name)
        first = " ".join(turns[0].question.content.split())
        begins = first if len(first) < 60 else first[:57] + "..."
        lines.append(f"{name}{wording.DOT}{wording.count(len(turns), 'turn')}{wording.DOT}{begins}")
    display.tell(shell, *(lines or ["Nothing was said yet."]))


def _forget(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import wording

    thread = _named(args, text)
    _turns(session, thread)
    gone = session.conversation.forget(thread)
    said = wording.count(gone, "turn")
    display.tell(shell, f"{thread} is forgotten, {said}; %chat --undo brings it back.")


def _undo(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import wording

    _no_text("--undo", text)
    undone = session.conversation.undo()
    if undone is None:
        raise BadOption("%chat --undo: no re-run or --forget is there to take back.")
    thread, turns, gone = undone
    lost = f"; {wording.count(gone, 'newer turn')} made way" if gone else ""
    display.tell(shell, f"{thread} has {wording.count(turns, 'turn')} again{lost}.")


def _export(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import transcript, wording

    thread = _named(args, text)
    turns = _turns(session, thread)
    files = transcript.export(Path(args.export).expanduser(), thread, turns)
    more = f", and {wording.count(len(files) - 1, 'picture')} beside it" if len(files) > 1 else ""
    display.tell(shell, f"{wording.count(len(turns), 'turn')} of {thread} in {files[0]}{more}.")


def _last(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    """The last answer once more: after a reload, a page lacks what came while it was gone."""
    _no_text("--last", text)
    if session.last is None:
        raise BadOption("%chat --last: there is no answer yet in this kernel.")
    display.show_reply(shell, session.last)


def _cache_info(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import answers

    _no_text("--cache-info", text)
    folder = _folder(session)
    try:
        display.show(shell, answers.holdings(folder.holdings(), str(folder.path)))
    except OSError as problem:
        raise BadSetting(f"the answers cannot be read: {problem}") from None


def _cache_clear(shell: Any, session: Session, args: argparse.Namespace, text: str) -> None:
    from cborg_magics.display import wording

    model = text.strip()
    try:
        gone = wording.count(_folder(session).clear(model or None), "answer")
    except OSError as problem:
        raise BadSetting(f"the answers cannot be dropped: {problem}") from None
    display.tell(shell, f"{gone} dropped{f' of {model}' if model else ''}.")


def _folder(session: Session) -> AnswerFolder:
    from cborg_magics.answers.folder import AnswerFolder

    return AnswerFolder.of(session.settings)


TASKS = {
    "show": _show,
    "threads": _threads,
    "forget": _forget,
    "undo": _undo,
    "export": _export,
    "last": _last,
    "cache_info": _cache_info,
    "cache_clear": _cache_clear,
}


def _named(args: argparse.Namespace, text: str) -> str:
    """The thread that is meant: the word after the option, else that of -t."""
    if len(text.split()) > 1:
        raise BadOption(f"%chat: {text!r} is no thread's name; nothing is asked here.")
    return text.strip() or str(args.thread)


def _turns(session: Session, thread: str) -> tuple[Any, ...]:
    turns = session.conversation.turns(thread)
    if not turns:
        names = ", ".join(session.conversation.names())
        raise BadOption(
            f"%chat: there is no thread {thread!r}.",
            f"There is {names}." if names else "Nothing was said yet in this kernel.",
        )
    return turns


def _no_text(option: str, text: str) -> None:
    if text:
        raise BadOption(f"%chat {option} asks nothing, so it takes no text.")
