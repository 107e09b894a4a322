"""%%chat and %chat: ask a model, see the answer grow, know what it cost."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument

from cborg_magics import display
from cborg_magics.errors import BadOption, Interrupted, without
from cborg_magics.interrupts import holding
from cborg_magics.magics import arguments, filling, threads
from cborg_magics.magics.shared import SharedSession

if TYPE_CHECKING:
    from cborg_magics.attachments.notebook import Notebook
    from cborg_magics.embeddings.embeddings import Embeddings
    from cborg_magics.exchange import Attachment, Reply
    from cborg_magics.schemas import Shape
    from cborg_magics.session import Session


_A = TypeVar("_A", bound="Attachment")

CATALOGUE_SECONDS = 10.0
PASSAGES = 5  # that a question takes along, unless -k says otherwise


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


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

    def __init__(self, shell: Any, shared: SharedSession, notebook: Notebook) -> None:
        super().__init__(shell)
        self._shell, self._shared, self._notebook = shell, shared, notebook

    @no_var_expand
    @line_cell_magic
    @arguments.manual
    @argument(
        "-m",
        "--model",
        metavar="NAME",
        help="the model to ask; default CBORG_MODEL, or the service's own",
    )
    @argument(
        "-s", "--system", metavar="TEXT", help="what the model is told before the conversation"
    )
    @argument(
        "-a",
        "--attach",
        "-i",
        "--image",
        action="append",
        default=[],
        metavar="NAME",
        help="send something along: a variable, Out[5], cell:5, last, error, a file, an address",
    )
    @argument(
        "--longest-side", type=_whole, default=2048, metavar="PX", help="of pictures; default 2048"
    )
    @argument("--context", metavar="NAME", help="answer from what %%embed made: it is searched")
    @argument("-k", type=_whole, metavar="N", help="how many passages of it go along; default 5")
    @argument(
        "-t",
        "--thread",
        type=arguments.thread_name,
        default="main",
        metavar="NAME",
        help="the thread of this cell; default main",
    )
    @argument("--new", action="store_true", help="begin the thread anew with this question")
    @argument("--once", action="store_true", help="stand alone: neither read nor join a thread")
    @argument(
        "-o",
        "--output",
        type=arguments.variable_name,
        metavar="NAME",
        help="a variable for the reply",
    )
    @argument("--json", action="store_true", help="an answer in JSON; parsed, it is reply.value")
    @argument("--schema", metavar="NAME", help="an answer of this type or JSON schema")
    @argument("--code", action="store_true", help="put the answer's Python into a new cell")
    @argument("--fill", action="store_true", help="fill in {{name}} and {{name.attribute}}")
    @argument("--dry-run", action="store_true", help="show what would be sent, and its price")
    @argument(
        "--temperature", type=_temperature, metavar="T", help="0 (always the likeliest word) to 2"
    )
    @argument("--max-tokens", type=_whole, metavar="N", help="the longest answer, in tokens")
    @argument(
        "--reasoning-effort", metavar="LEVEL", help="low, medium or high, for models that reason"
    )
    @argument("--cache-prompt", action="store_true", help="keep the system text for next calls")
    @argument("--cache", action="store_true", help="answer from disk what was asked before")
    @argument("--no-cache", action="store_true", help="ask anew, and keep nothing")
    @argument("--refresh", action="store_true", help="ask anew, and keep the new answer")
    @argument("--yes", action="store_true", help="ask even beyond a cap of your own")
    @argument(
        "--timeout",
        type=arguments.seconds,
        metavar="SECONDS",
        help="how long to wait for the service; default 600",
    )
    @argument("--no-stream", action="store_true", help="show the answer when it is whole")
    @argument("--show", action="store_true", help="show a thread again; nothing is asked")
    @argument("--last", action="store_true", help="show the last answer again")
    @argument("--threads", action="store_true", help="list the threads")
    @argument("--forget", action="store_true", help="drop a thread")
    @argument("--undo", action="store_true", help="bring back what a re-run or --forget dropped")
    @argument("--cache-info", action="store_true", help="what is kept of answers")
    @argument("--cache-clear", action="store_true", help="drop it, of one model or of all")
    @argument("--export", metavar="FILE", help="write a thread as Markdown or as a notebook")
    def chat(self, line: str, cell: str | None = None) -> None:
        """Ask a model. The text is sent as you typed it; the answer streams into the cell.

        In a line::

            %chat What is the capital of France?

        In a cell, with options, and with things of the notebook::

            %%chat -m lbl/cborg-vision -a fig -a df
            Does the fit in `fig` describe the data in `df`?

        The conversation goes on from call to call. A turn belongs to its cell: run the
        cell again, and its turn is replaced and later ones are dropped. To look at it:
        `%chat --show`, `--threads`; to change it: `--forget`, `--undo`.

        From texts of yours, with citations, once %embed has made them searchable::

            %embed -o papers Path("papers")
            %chat --context papers Which detectors were used?

        Answers as values::

            %%chat -o reply --schema Planet
            Which planet is the largest?

        and then `reply.value`, `reply.text`, `reply.code`, `reply.cost`.

        What was asked before, word for word, is answered from disk for nothing, when
        all cells are run again, after::

            %env CBORG_CACHE=1

        or, for one question, with `--cache`. `CBORG_CACHE=answers` keeps answers in a
        folder of that name: committed, it lets the notebook run where no key is.

        A badge below the answer says who answered, how many tokens went in and out,
        what it cost and how that is known (billed by the service, estimated from its
        prices, free, or unknown), how long it took, where your text went, and which
        turn of which thread it is. Options come before the text; a text that begins
        with a dash goes after `--`.
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
        if task := threads.task(args):
            task(self._shell, self._shared.session(), args, text)
            return
        if not text.strip():
            raise BadOption("%chat: nothing to ask.", "Try: %chat What is a quark?")
        self._ask(args, filling.fill(text, self._shell.user_ns) if args.fill else text)

    def _ask(self, args: argparse.Namespace, text: str) -> None:
        shape = self._shape(args)
        context = self._context(args)
        session = self._shared.session()
        attachments = self._attachments(session, args)
        wishes = {
            "attachments": attachments,
            "model": args.model,
            "system": args.system,
            "temperature": args.temperature,
            "max_tokens": args.max_tokens,
            "timeout": args.timeout,
            "stream": not args.no_stream,
            "reasoning_effort": args.reasoning_effort,
            "thread": args.thread,
            "run": threads.this_run(self._shell),
            "once": args.once,
            "new": args.new,
            "shape": shape,
            "cache_prompt": args.cache_prompt,
            "yes": args.yes,
            "cache": _caching(args),
            "refresh": args.refresh,
        }
        if attachments:
            display.show_attached(self._shell, attachments)
        if args.dry_run:
            from cborg_magics.display import wording

            if context is None and (kept := session.kept(text, **wishes)):
                display.tell(self._shell, *wording.kept(kept))
                return
            session.catalogue(wait=CATALOGUE_SECONDS)  # its prices are wanted
            plan = session.plan(text, **wishes)
            lines = wording.plan(plan, session.estimate(plan))
            if context is not None:
                lines.append(_would_search(context, args, plan.window))
            display.tell(self._shell, *lines, *wording.caps(session.caps))
            return
        if context is not None:
            from cborg_magics.embeddings import passages

            found = passages.find(context, args.context, text, args.k or PASSAGES)
            wishes["passages"] = tuple(_without(each, session.settings.keys) for each in found)
        reply = self._answer(session, text, wishes, args.context)
        if args.output:
            self._shell.user_ns[args.output] = reply
        if args.code:
            self._insert(reply)

    def _answer(
        self, session: Session, text: str, wishes: dict[str, Any], context: str | None
    ) -> Reply:
        """One question and its answer, on screen; with the passages of `context` below it."""
        from cborg_magics.display.screen import Screen

        screen = Screen(self._shell, "json" if wishes["shape"] else None)
        reply = None
        with holding() as hold:
            try:
                reply = session.chat(text, on_event=screen.event, **wishes)
            except BaseException as error:
                reply = getattr(error, "reply", None)
                raise
            finally:
                hold.keep()
                screen.finish(reply)
                if context and reply and reply.text:
                    from cborg_magics.display import passages

                    display.show(self._shell, passages.folded(context, reply.passages))
                self._shared.tell_warnings()
        if hold.pressed:
            raise Interrupted("stopped when the answer was complete")
        return reply

    def _attachments(self, session: Session, args: argparse.Namespace) -> tuple[Attachment, ...]:
        if not args.attach:
            return ()
        from cborg_magics.attachments import attach

        place = self._notebook.place(args.longest_side, fetch=session.settings.on_prem_only)
        found = (each for name in args.attach for each in attach.load(name, place))
        return tuple(_without(each, session.settings.keys) for each in found)

    def _context(self, args: argparse.Namespace) -> Embeddings | None:
        """What is to be searched. Raises `BadOption` where the name stands for something else."""
        if args.context is None:
            if args.k is not None:
                raise BadOption("%chat: -k tells how many passages of --context NAME go along.")
            return None
        value = filling.look_up(args.context, self._shell.user_ns)
        # Whoever has Embeddings has imported them; it needs numpy, which may not be there.
        module = sys.modules.get("cborg_magics.embeddings.embeddings")
        if module and isinstance(value, module.Embeddings):
            return cast("Embeddings", value)
        kind = type(value).__name__
        raise BadOption(
            f"{args.context} is {'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}, not Embeddings.",
            f"Make them with %embed -o NAME {args.context}.",
        )

    def _shape(self, args: argparse.Namespace) -> Shape | None:
        """What the answer must be: any JSON, or what a name of the notebook stands for."""
        if not (args.json or args.schema):
            return None
        from cborg_magics.schemas import Shape

        if args.schema is None:
            return Shape.json()
        return Shape.of(filling.look_up(args.schema, self._shell.user_ns), args.schema)

    def _insert(self, reply: Reply) -> None:
        """Put the answer's Python into a new cell, never run it."""
        from cborg_magics import code_blocks

        python = code_blocks.python(reply.text)
        if python:
            self._shell.set_next_input(python, replace=False)
        else:
            display.tell(self._shell, "There is no Python in the answer.")


def _caching(args: argparse.Namespace) -> bool | None:
    """Is the answer to come from the cache, and to go there? None: as CBORG_CACHE says."""
    if args.no_cache and (args.cache or args.refresh):
        raise BadOption("%chat: --no-cache does not go together with --cache or --refresh.")
    return True if args.cache else False if args.no_cache else None


def _would_search(context: Embeddings, args: argparse.Namespace, window: int) -> str:
    """What a dry run, which searches nothing, says of the passages."""
    from cborg_magics import fitting
    from cborg_magics.display import wording
    from cborg_magics.embeddings import passages

    count, size = passages.expected(context, args.k or PASSAGES)
    size = min(size, fitting.most_of_passages(window))
    along = wording.count(count, "passage")
    return f"About {along} of {args.context} would come along, {size:,} tokens more; not searched."


def _without(attachment: _A, keys: list[str]) -> _A:
    """No key of ours goes along, whatever text it stands in, or its name."""
    from cborg_magics.exchange import Document

    if isinstance(attachment, Document):
        name, text = (without(each, *keys) for each in (attachment.name, attachment.text))
        return replace(attachment, name=name, text=text)
    return attachment
