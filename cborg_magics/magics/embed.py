"""%embed and %%embed: texts become vectors that can be searched, kept and looked at."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument

from cborg_magics import display, embeddings
from cborg_magics.errors import BadOption, BadSetting
from cborg_magics.magics import arguments, filling
from cborg_magics.magics.shared import SharedSession

if TYPE_CHECKING:
    from cborg_magics.attachments.notebook import Notebook
    from cborg_magics.display.bar import Bar
    from cborg_magics.embeddings.call import Send
    from cborg_magics.embeddings.corpus import Corpus
    from cborg_magics.embeddings.embeddings import Embeddings
    from cborg_magics.embeddings.job import Job
    from cborg_magics.embeddings.work import Tally
    from cborg_magics.session import Session

SOON = 1.0  # seconds: a search that takes no longer needs no line


@magics_class
class EmbedMagic(Magics):
    """The magic `embed`."""

    def __init__(self, shell: Any, shared: SharedSession, notebook: Notebook) -> None:
        super().__init__(shell)
        self._shell, self._shared = shell, shared
        embeddings.session, embeddings.watched = shared.session, self._watched

    @no_var_expand
    @line_cell_magic
    @arguments.manual
    @argument(
        "-m",
        "--model",
        metavar="NAME",
        help="the model; default CBORG_EMBED_MODEL, or the service's own",
    )
    @argument(
        "-o",
        "--output",
        type=arguments.variable_name,
        metavar="NAME",
        help="a variable for the Embeddings",
    )
    @argument("--query", action="store_true", help="embed as a question, not as a document")
    @argument("--paragraphs", action="store_true", help="in a cell: one text a paragraph, not line")
    @argument("--split", action="store_true", help="split texts that are too long, and pool them")
    @argument("--skip-empty", action="store_true", help="leave out what is empty or missing")
    @argument("--dry-run", action="store_true", help="show what would be sent, and its price")
    @argument("--yes", action="store_true", help="go on even beyond a cap of your own")
    @argument("--no-cache", action="store_true", help="ask for all anew, and keep nothing")
    @argument(
        "--timeout",
        type=arguments.seconds,
        metavar="SECONDS",
        help="how long to wait for one answer",
    )
    @argument("--cache-info", action="store_true", help="what is kept on disk, of which models")
    @argument("--cache-clear", action="store_true", help="drop what is kept: of a model, or all")
    def embed(self, line: str, cell: str | None = None) -> Embeddings | None:
        """Turn texts into vectors: a column, a list, a folder, or the lines of a cell.

        What follows the options is Python, evaluated in the notebook::

            %embed -o papers df["abstract"]
            %embed -o notes Path("notes")

        and then::

            papers.search("dark matter", k=5)
            papers.similar(3)
            papers.plot()
            papers.save("papers")
            %chat --context papers What is known of dark matter?

        In a cell, one text a line, or one a paragraph with --paragraphs::

            %%embed -o lines
            a first text
            a second one

        Texts go in batches, several at a time. Each vector is kept on disk when it
        comes: stop the cell, or lose the network, and run it again; what came is not
        paid for twice.
        """
        return self._shared.run(self._embed, line, cell)

    def _embed(self, line: str, cell: str | None) -> Embeddings | None:
        if line.strip() in ("-h", "--help"):
            self._shell.run_line_magic("pinfo", "%embed")
            return None
        args, expression = arguments.read(self.embed, line)
        session = self._shared.session()
        if args.cache_info or args.cache_clear:
            self._cache(session, args, expression)
            return None
        _need_numpy(session)
        from cborg_magics.embeddings import job, work

        texts, send = self._texts(session, args, expression, cell)
        work.settle()
        made = job.make(
            session,
            texts,
            args.model,
            query=args.query,
            split=args.split,
            cache=not args.no_cache,
        )
        if args.dry_run:
            from cborg_magics.display import embedding, wording

            display.tell(self._shell, *embedding.plan(made), *wording.caps(session.caps))
            return None
        found = self._run(session, made, args, send)
        if args.output:
            self._shell.user_ns[args.output] = found
            return None
        return found

    def _texts(
        self, session: Session, args: argparse.Namespace, expression: str, cell: str | None
    ) -> tuple[Corpus, Send | None]:
        """What is to be embedded, and who makes the calls, if not this process."""
        from cborg_magics.embeddings import corpus, on_dask

        if cell is not None:
            return _lines(args, expression, cell), None
        value = self._value(args, expression)
        if args.query and isinstance(value, str):
            value = [value]  # a question, also where a folder has that name
        if not on_dask.is_dask(value):
            return corpus.read(value, expression, skip_empty=args.skip_empty), None
        client = on_dask.cluster()
        texts = on_dask.texts_of(value, expression, client, skip_empty=args.skip_empty)
        return texts, on_dask.sender(session, client)

    def _value(self, args: argparse.Namespace, expression: str) -> Any:
        if args.paragraphs:
            raise BadOption("%embed: --paragraphs is for %%embed, whose cell is the text.")
        if not expression:
            raise BadOption("%embed: nothing to embed.", 'Try: %embed df["text"]')
        return filling.evaluate(expression, self._shell, "%embed")

    def _run(
        self, session: Session, made: Job, args: argparse.Namespace, send: Send | None
    ) -> Embeddings:
        from cborg_magics.display import embedding
        from cborg_magics.embeddings import asking, work

        tally, began = work.Tally(of=len(made.pieces), pieces=len(made.kept)), time.monotonic()
        bar = self._bar(tally)
        try:
            found = work.run(session, made, tally, timeout=args.timeout, yes=args.yes, send=send)
        finally:
            seconds = time.monotonic() - began
            bar.finish(embedding.badge(embedding.summary(made, tally, seconds)))
            self._shared.tell_warnings()
        return asking.finished(made, found, tally)

    def _bar(self, tally: Tally, after: float = 0.0) -> Bar:
        from cborg_magics.display import embedding
        from cborg_magics.display.bar import Bar

        return Bar(
            self._shell,
            lambda: tally.of,
            lambda: tally.pieces,
            lambda elapsed: embedding.progress(tally, elapsed),
            after=after,
        )

    @contextmanager
    def _watched(self, tally: Tally) -> Iterator[None]:
        """A line for a search that has to wait."""
        bar = self._bar(tally, after=SOON)
        try:
            yield
        finally:
            bar.drop()
            self._shared.tell_warnings()

    def _cache(self, session: Session, args: argparse.Namespace, model: str) -> None:
        from cborg_magics.display import embedding, wording
        from cborg_magics.embeddings.cache import VectorCache

        cache = VectorCache.of(session.settings)
        try:
            if args.cache_clear:
                gone = wording.count(cache.clear(model or None), "vector")
                display.tell(self._shell, f"{gone} dropped{f' of {model}' if model else ''}.")
            else:
                display.show(self._shell, embedding.holdings(cache.holdings(), str(cache.path)))
        except OSError as problem:
            raise BadSetting(f"the cache cannot be used: {problem}") from None


def _lines(args: argparse.Namespace, expression: str, cell: str) -> Corpus:
    """The texts of a cell, one a line or one a paragraph."""
    from cborg_magics.embeddings.corpus import Corpus

    if expression:
        raise BadOption(
            f"%%embed: the texts go below the first line, which holds {expression!r}.",
            "For a variable, use %embed in one line.",
        )
    texts = re.split(r"\n\s*\n", cell) if args.paragraphs else cell.splitlines()
    found = tuple(" ".join(text.split()) for text in texts if text.strip())
    if not found:
        raise BadOption("%%embed: there is no text below the first line.")
    return Corpus(found)


def _need_numpy(session: Session) -> None:
    if not find_spec("numpy"):
        extra = "local" if session.service.provider.here else "embed"
        raise BadSetting(
            "%embed needs numpy", f"Install it: pip install 'cborg_magics[{extra}]', and go on."
        )
