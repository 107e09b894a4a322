"""How are the texts of a Dask collection embedded? By the cluster, all through one gate.

Texts are read partition by partition, and each batch is sent by a worker, with the key of the
worker's own environment: none is ever in a task. Vectors, and what they cost, come home to the
notebook as they are made; there they are kept, counted and tried again as ever. (The only file
that imports distributed.)
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any

from cborg_magics import errors
from cborg_magics.embeddings.call import Send
from cborg_magics.embeddings.corpus import Corpus, read
from cborg_magics.providers.vectors import Embedded
from cborg_magics.session import Session


def is_dask(value: object) -> bool:
    """Is it a Dask collection? Dask is not imported for that."""
    return type(value).__module__.partition(".")[0] in ("dask", "dask_expr") and hasattr(
        value, "to_delayed"
    )


def cluster() -> Any:
    """The cluster that the notebook is connected to. Raises `BadSetting`."""
    try:
        from distributed import get_client

        return get_client()
    except ImportError:
        raise errors.BadSetting(
            "a Dask collection needs dask.distributed", "pip install 'cborg_magics[dask]'"
        ) from None
    except ValueError:
        raise errors.BadSetting(
            "a Dask collection is embedded by a cluster, and there is none",
            "Connect to one: from distributed import Client; client = Client()",
        ) from None


def texts_of(value: Any, name: str, client: Any, *, skip_empty: bool = False) -> Corpus:
    """The texts of a Series, a DataFrame of one column, or a Bag. Raises `BadTexts`."""
    parts = client.gather(client.compute([_rows(part) for part in value.to_delayed()]))
    if parts and not isinstance(parts[0], list):
        import pandas

        return read(pandas.concat(parts), name, skip_empty=skip_empty)
    return read(list(chain.from_iterable(parts)), name, skip_empty=skip_empty)


def sender(session: Session, client: Any) -> Send:
    """Makes the calls of `session` on the cluster; a worker that is lost is replaced by another.

    It raises what the worker raises; `BadSetting` where that one's environment has another
    service than the notebook's, or no key for it; `Unavailable` if the cluster fails.
    """
    parallel, service = session.settings.parallel, session.service.name

    def send(model: str, texts: str | Sequence[str], seconds: float) -> Embedded:
        asked = client.submit(_send, model, texts, seconds, service, parallel, pure=False)
        try:
            found: Embedded = asked.result()
        except errors.CborgError:
            raise
        except Exception as problem:  # noqa: BLE001 - workers killed again and again, a closed client
            what = f"the cluster failed: {type(problem).__name__}: {problem}"
            raise errors.Unavailable(what, "Is it still there?") from None
        finally:
            asked.release()
        return found

    return send


def _rows(part: Any) -> Any:
    """A partition as what `read` takes: a Bag's may be any iterable."""
    from dask.delayed import delayed

    return delayed(_listed)(part)


def _listed(part: Any) -> Any:
    return part if hasattr(part, "index") and hasattr(part, "iloc") else list(part)


# -- what runs on a worker -----------------------------------------------------------------


def _send(
    model: str, texts: str | Sequence[str], seconds: float, service: str, parallel: int
) -> Embedded:
    from distributed import Semaphore

    session = _session()
    try:
        here = session.service.name
    except errors.CborgError as problem:
        raise errors.BadSetting(f"a worker cannot ask {service}: {problem.what}", _DO) from None
    if here != service:
        raise errors.BadSetting(f"a worker would ask {here}, and not {service}", _DO)
    gate: Any = Semaphore
    with gate(max_leases=parallel, name=f"cborg_magics {service}"):
        return session.client.embed(model, texts, seconds)


_DO = "Set the same variables, CBORG_API_KEY say, in the workers' environment."
_made = threading.Lock()


@functools.cache
def _own() -> Session:
    return Session.from_environment()


def _session() -> Session:
    """One for each worker process, for its connections."""
    with _made:
        return _own()
