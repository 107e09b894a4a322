"""How are texts embedded from Python, and from where does a search have its question's vector?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from cborg_magics import embeddings
from cborg_magics.embeddings import corpus, job, models, work
from cborg_magics.embeddings.corpus import Corpus
from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.job import Job
from cborg_magics.embeddings.origin import Origin
from cborg_magics.embeddings.work import Tally
from cborg_magics.session import Session

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


_own: list[Session] = []  # of this process, where no extension is loaded


def _own_session() -> Session:
    """One for the process, as the environment is now."""
    fresh = Session.from_environment()
    if not _own:
        _own.append(fresh)
    elif _own[0].settings != fresh.settings:
        _own[0].adopt(fresh.settings)
    return _own[0]


def session() -> Session:
    """The kernel's session; where no extension is loaded, one for this process."""
    return embeddings.session() if embeddings.session else _own_session()


def watched(tally: Tally) -> AbstractContextManager[object]:
    """Show a person how far `tally` has come, where there is one and it takes long."""
    return embeddings.watched(tally) if embeddings.watched else nullcontext()


def embed(
    value: object,
    model: str | None = None,
    *,
    query: bool = False,
    split: bool = False,
    skip_empty: bool = False,
    cache: bool = True,
    yes: bool = False,
) -> Embeddings:
    """The embeddings of what `value` holds: a string, strings, a column, a folder, pictures.

    As `%embed` with options of these names. Raises a `CborgError`, or `Interrupted`.
    """
    work.settle()
    asked = [value] if query and isinstance(value, str) else value  # no folder of that name
    here, texts = session(), corpus.read(asked, "the value", skip_empty=skip_empty)
    made = job.make(here, texts, model, query=query, split=split, cache=cache)
    with watched(tally := Tally()):
        return finished(made, work.run(here, made, tally, yes=yes), tally)


def finished(done: Job, vectors: NDArray[numpy.float32], tally: Tally) -> Embeddings:
    """The vectors of a job, with their texts and labels."""
    texts = done.corpus
    return Embeddings(
        texts.texts,
        vectors,
        done.origin,
        labels=texts.labels,
        label_name=texts.label_name,
        cost=tally.cost,
    )


def vectors_of(queries: Sequence[str], origin: Origin) -> NDArray[numpy.float32]:
    """The vectors of questions to texts of `origin`, (questions × d), by the service in use.

    A question that was asked before costs nothing. Raises `DifferentModel` if the service in
    use is not the one that made the texts' vectors, `BadTexts`, and whatever a call raises.
    """
    here = session()
    model = models.for_queries(origin.model)
    Origin(here.service.name, model).must_match(origin)
    texts = corpus.read(list(queries), "the question")
    made = job.make(here, Corpus(texts.texts), model, query=True)
    with watched(tally := Tally()):
        return work.run(here, made, tally)
