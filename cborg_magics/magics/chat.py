"""%%chat and %chat: ask a model, see the answer grow, know what it cost."""

from __future__ import annotations

import argparse
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from cborg_magics import display
from cborg_magics.errors import BadOption, Interrupted
from cborg_magics.exchange import Reasoning, Text
from cborg_magics.interrupts import holding
from cborg_magics.magics import arguments
from cborg_magics.magics.shared import SharedSession


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def _temperature(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 2")
    return number


@magics_class
class ChatMagic(Magics):
    """The magic `chat`."""

    def __init__(self, shell: Any, shared: SharedSession) -> None:
        super().__init__(shell)
        self._shell, self._shared = shell, shared

    @no_var_expand
    @line_cell_magic
    @magic_arguments()
    @argument("-m", "--model", help="the model to ask; default CBORG_MODEL, or the service's own")
    @argument("-s", "--system", help="what the model is told before the conversation")
    @argument("--temperature", type=_temperature, help="0 (always the likeliest word) to 2")
    @argument("--max-tokens", type=_whole, help="the longest answer, in tokens")
    @argument("--timeout", type=_seconds, help="seconds to wait for the service; default 600")
    @argument("--reasoning-effort", help="low, medium or high, for models that reason")
    @argument("--no-stream", action="store_true", help="show the answer when it is whole")
    @argument("--once", action="store_true", help="stand alone: neither use nor join the talk")
    @argument("--new", action="store_true", help="begin a new conversation with this question")
    @argument("--last", action="store_true", help="show the last answer again; nothing is asked")
    def chat(self, line: str, cell: str | None = None) -> None:
        """Ask a model. The text is sent as you typed it; the answer streams into the cell.

        In a line::

            %chat What is the capital of France?

        In a cell, with options::

            %%chat -m lbl/cborg-chat --temperature 0
            Explain \\frac{1}{2} mv^2 to a first-year student.

        The conversation goes on from call to call. A badge below the answer says who
        answered, how many tokens went in and out, what it cost and how that is known
        (billed by the service, estimated from its prices, free, or unknown), how long
        it took, and where your text went. Options come before the text; a text that
        begins with a dash goes after `--`.
        """
        self._shared.run(self._chat, line, cell)

    def _chat(self, line: str, cell: str | None) -> None:
        if line.strip() in ("-h", "--help"):
            self._shell.run_line_magic("pinfo", "%chat")
            return
        args, text = arguments.read(self.chat, line)
        if cell is not None:
            if text:
                raise BadOption(
                    f"%%chat: the question goes below the first line, which holds {text!r}.",
                    "Options with spaces in their value need quotes.",
                )
            text = cell.removesuffix("\n")
        if args.last:
            self._show_last(text)
            return
        if not text.strip():
            raise BadOption("%chat: nothing to ask.", "Try: %chat What is a quark?")
        session = self._shared.session()
        view = display.view_for(self._shell)
        reply = None
        with holding() as hold:
            try:
                reply = session.chat(
                    text,
                    model=args.model,
                    system=args.system,
                    temperature=args.temperature,
                    max_tokens=args.max_tokens,
                    timeout=args.timeout,
                    stream=not args.no_stream,
                    reasoning_effort=args.reasoning_effort,
                    once=args.once,
                    new=args.new,
                    on_event=view.event,
                )
            except BaseException as error:
                reply = getattr(error, "reply", None)
                raise
            finally:
                hold.keep()
                view.finish(reply)
                self._shared.tell_warnings()
        if hold.pressed:
            raise Interrupted("stopped when the answer was complete")

    def _show_last(self, text: str) -> None:
        """The last answer once more: after a reload, a page lacks what came while it was gone."""
        reply = self._shared.session().last
        if text:
            raise BadOption("%chat --last asks nothing, so it takes no text.")
        if reply is None:
            raise BadOption("%chat --last: there is no answer yet in this kernel.")
        view = display.view_for(self._shell)
        for event in (Reasoning(reply.reasoning), Text(reply.text)):
            if event.text:
                view.event(event)
        view.finish(reply)
