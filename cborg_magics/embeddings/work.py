"""How is a job done? In parallel, each piece once, kept on disk as it comes, paid for once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy

from cborg_magics import errors, pricing
from cborg_magics.embeddings import pieces
from cborg_magics.embeddings.batches import Batches
from cborg_magics.embeddings.cache import digest
from cborg_magics.embeddings.call import Send, call
from cborg_magics.embeddings.job import Job
from cborg_magics.exchange import Cost, Event, Reply, Waiting
from cborg_magics.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

STOPPING_SECONDS = 10.0  # how long a new job waits for requests of a stopped one
THREADS = 3  # for each request under way
REFUSED = (400, 413, 422)  # what may be the fault of one text among many

_stopped: list[threading.Thread] = []  # of jobs that were interrupted; they end by themselves


@dataclass
class Tally:
    """How far a job has come; read by whoever shows it, while it runs. `pieces` of `of` have
    their vectors, `at_hand` of them had one before."""

    of: int = 0
    pieces: int = 0
    at_hand: int = 0
    tokens: int = 0
    calls: int = 0
    cost: Cost = pricing.FREE
    waiting: Waiting | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def settle() -> None:
    """Wait a while for what stopped jobs had under way: it is paid for, and about to be kept."""
    until = time.monotonic() + STOPPING_SECONDS
    while _stopped and (left := until - time.monotonic()) > 0:
        _stopped.pop().join(left)


def run(
    session: Session,
    job: Job,
    tally: Tally,
    *,
    timeout: float | None = None,
    yes: bool = False,
    send: Send | None = None,
) -> NDArray[numpy.float32]:
    """The vectors, (texts × d). Ctrl-C stops at once, and what is under way then is still kept
    when it comes. `send` makes the calls in the place of this process.

    Raises `CapReached` before anything is sent, if all of it would pass a cap; `BadTexts` for
    what the service refused, when all else is done; and whatever a call raises.
    """
    session.caps.foresee(job.cost.dollars or Decimal(0), yes=yes)
    tally.of, tally.pieces, tally.at_hand = len(job.pieces), len(job.kept), len(job.kept)
    vectors = _Rows(len(job.pieces))
    vectors.put(job.kept)
    if job.wanted:
        _Work(session, job, tally, timeout, yes, send).do(vectors)
    return pieces.pooled(vectors.found, job.parts, job.pieces)


class _Rows:
    """The vectors that have come, each in its place: `found` is (pieces × d)."""

    def __init__(self, count: int) -> None:
        self.found = numpy.empty((count, 0), numpy.float32)
        self.count = 0

    def put(self, packed: Mapping[int, bytes]) -> None:
        """Vectors by their positions."""
        if not packed:
            return
        rows = numpy.frombuffer(b"".join(packed.values()), "<f4").reshape(len(packed), -1)
        if not self.count:
            self.found = numpy.empty((len(self.found), rows.shape[1]), numpy.float32)
        self.found[list(packed)] = rows
        self.count += len(packed)


class _Work:
    """The requests of one job, under way in several threads."""

    def __init__(
        self,
        session: Session,
        job: Job,
        tally: Tally,
        timeout: float | None,
        yes: bool,
        send: Send | None,
    ) -> None:
        self._session, self._job, self._tally = session, job, tally
        self._timeout, self._yes, self._send = timeout, yes, send
        self._batches = Batches(job.pieces, job.wanted, job.most)
        self._came = queue.SimpleQueue[dict[int, bytes] | BaseException]()
        self._refused: dict[int, errors.CborgError] = {}  # by piece
        self._over = threading.Event()
        self._lock, self._doubt = threading.Lock(), threading.RLock()
        self._unkept = ""

    def do(self, vectors: _Rows) -> None:
        """Put the vectors of all pieces that are wanted into their places."""
        session = self._session
        _ = session.client.sdk  # made here, for threads would make one each
        # More threads than requests: while some write down, on whatever disk, others send.
        count = min(THREADS * session.settings.parallel, self._job.requests)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            while vectors.count + len(self._refused) < len(self._job.pieces):
                came = self._came.get()
                if isinstance(came, BaseException):
                    raise came
                vectors.put(came)
        except KeyboardInterrupt:
            raise errors.Interrupted(f"stopped: {self._so_far()}") from None
        except errors.CborgError as problem:
            if self._tally.pieces:
                problem.do = f"{problem.do}\n{self._so_far().capitalize()}.".strip()
            raise
        finally:
            self._over.set()
            _stopped.extend(thread for thread in threads if thread.is_alive())
            session.warnings += [self._unkept] * bool(self._unkept) + session.caps.warnings()
        if self._refused:
            raise self._bad()

    def _work(self) -> None:
        try:
            while not self._over.is_set() and (batch := self._batches.take()):
                self._embed(batch)
        except BaseException as problem:  # noqa: BLE001 - raised again in the thread that waits
            self._over.set()
            self._came.put(problem)

    def _embed(self, batch: list[int]) -> bool:
        """Embed some pieces; where they are refused together, each half by itself. Did any
        succeed?"""
        try:
            self._ask(batch)
            return True
        except errors.Refused as refusal:
            long = isinstance(refusal, errors.TooLong)
            if not long and (type(refusal) is not errors.Refused or refusal.status not in REFUSED):
                raise
            if len(batch) == 1:
                self._refuse(batch, refusal)
                return False
            with self._doubt:  # one by one: what is no fault of a text is found out soon
                if self._over.is_set():
                    raise
                half = len(batch) // 2
                done = [self._embed(part) for part in (batch[:half], batch[half:])]
            if all(done):
                self._batches.shrink(half)  # it was the sum that was too much
            elif not any(done) and not long:
                raise  # it is no fault of one text
            return any(done)

    def _refuse(self, batch: list[int], problem: errors.CborgError) -> None:
        self._refused.update(dict.fromkeys(batch, problem))
        self._came.put({})

    def _ask(self, batch: list[int]) -> None:
        job = self._job
        texts = [job.pieces[number] for number in batch]
        found, reply = call(
            self._session,
            texts[0] if job.kind == "query" else texts,
            job.origin.model,
            timeout=self._timeout,
            tell=self._hear,
            yes=self._yes,
            send=self._send,
            stopped=self._over.is_set,
        )
        self._count(reply)
        good = {
            number: vector
            for number, vector, fine in zip(
                batch, found.vectors, _are_numbers(job, found.vectors), strict=True
            )
            if fine
        }
        if job.cache:
            try:
                kept = {digest(job.pieces[number]): vector for number, vector in good.items()}
                job.cache.keep(job.origin, job.kind, kept)
            except OSError as problem:
                self._unkept = f"Vectors are not kept for the next time: {problem}."
        with self._lock:
            self._tally.pieces += len(good)
        self._came.put(good)
        if bad := [number for number in batch if number not in good]:
            self._refuse(bad, errors.BadTexts(f"{job.origin} gave what are no numbers"))

    def _count(self, reply: Reply) -> None:
        tally = self._tally
        with self._lock:
            tally.waiting = None
            tally.calls += 1
            tally.tokens += reply.usage.prompt if reply.usage else 0
            tally.cost = pricing.add(tally.cost, reply.cost)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Waiting):
            self._tally.waiting = event
        if self._over.is_set():
            raise errors.Interrupted("stopped")

    def _so_far(self) -> str:
        kept = self._job.cache and not self._unkept
        done = f"{self._tally.pieces:,} of {self._tally.of:,} texts are embedded"
        return f"{done} and kept; run it again to go on" if kept else f"{done}, and lost"

    def _bad(self) -> errors.BadTexts:
        problem = next(iter(self._refused.values()))
        long = isinstance(problem, errors.TooLong)
        do = "Mend the text, or leave it out."
        if long:
            do = "Cut the text, or say --split: its pieces are embedded, and pooled."
        which = self._job.rows(self._refused)
        return errors.BadTexts(f"{which}: {problem.what}", f"{do}\n{self._so_far().capitalize()}.")


def _are_numbers(job: Job, vectors: Sequence[bytes]) -> list[bool]:
    """Which vectors are fit to be kept. Raises `DifferentModel` if their lengths differ."""
    sizes = {len(vector) // 4 for vector in vectors}
    before = {len(vector) // 4 for vector in list(job.kept.values())[:1]}
    if len(sizes | before) > 1:
        if len(sizes) > 1 or not before:
            raise errors.DifferentModel(f"{job.origin} gives vectors of different lengths")
        raise errors.DifferentModel(
            f"{job.origin} gives {sizes.pop():,} numbers for a text, and gave {before.pop():,} for"
            " those that are kept: the model behind the name has changed",
            f"Drop those, and embed all anew: %embed --cache-clear {job.origin.model}",
        )
    numbers = numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
    return [bool(fine) for fine in numpy.isfinite(numbers).all(axis=1)]
