"""How much later and dearer is `%%chat` than a plain loop over the openai SDK?

Both ask the same server from the same kernel, in turn, after a first call of each. The plain loop
has its first text when it is in the kernel, and shows nothing; ours when a front end is sent it.
With CBORG_TEST_PROXY the same again through a real LiteLLM.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench import report, server
from tests.bench.table import Figure, ratio
from tests.front_ends.kernel import Kernel, Run, clean_environment, kernel
from tests.services.processes import scratch
from tests.services.proxy import Proxy

TOKENS = 2000
ROUNDS, PROXY_ROUNDS, COLD_ROUNDS = 20, 6, 4
RATE = 200  # tokens a second, for the bytes
MOST_LATER = 15.0  # ms
MOST_TIME = 1.1  # of the plain loop's
MOST_BYTES = 40.0  # of the answer's

# A hook, so that neither the question nor the measuring is part of what is measured.
PREPARE = """
import json, time
class Watch:
    def begin(self, info): self.cpu = time.process_time()
    def end(self, result): self.spent = time.process_time() - self.cpu
watch, first = Watch(), 0.0
get_ipython().events.register("pre_run_cell", watch.begin)
get_ipython().events.register("post_run_cell", watch.end)
"""

PLAIN = """
import time
import openai
if "client" not in globals():
    client = openai.OpenAI(base_url={url!r} + "/v1", api_key={key!r})
parts, first = [], 0.0
for chunk in client.chat.completions.create(
    model={model!r},
    messages=[{{"role": "user", "content": {question!r}}}],
    stream=True,
    stream_options={{"include_usage": True}},
):
    for choice in chunk.choices:
        if choice.delta.content:
            first = first or time.monotonic()
            parts.append(choice.delta.content)
answer = "".join(parts)
"""

PROFILE = """
import cProfile, io, pstats
profile = cProfile.Profile()
profile.runcall(get_ipython().run_cell_magic, "chat", "--once", {question!r})
out = io.StringIO()
pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(14)
print(out.getvalue())
"""


@dataclass(frozen=True)
class Service:
    """Who is asked, and what."""

    url: str
    key: str
    model: str
    question: str

    def environment(self) -> dict[str, str]:
        return {
            "LITELLM_BASE_URL": self.url,
            "LITELLM_API_KEY": self.key,
            "CBORG_MODEL": self.model,
        }

    def plain(self) -> str:
        """The cell with the plain loop."""
        return PLAIN.format(url=self.url, key=self.key, model=self.model, question=self.question)

    def ours(self) -> str:
        """The cell with the magic."""
        return chat(self.question)


@dataclass(frozen=True)
class Call:
    """One call: seconds to the first text and to the end, and of the kernel's processor."""

    first: float
    end: float
    cpu: float


Ask = Callable[[Kernel, Service], Call]


def measure() -> list[Figure]:
    """The server at full speed, at 200 tokens a second, and a real proxy if there is one."""
    with server.model() as url:
        service = Service(url, "sk-bench", "test-model", f"fast {TOKENS}")
        figures = [*_compared("", service, ROUNDS), _cold(service), *_bytes(service)]
    if "CBORG_TEST_PROXY" in os.environ:
        with Proxy() as proxy:
            key, question = proxy.master_key, f"!tokens {TOKENS}"
            service = Service(proxy.url, key, "lbl/cborg-chat", question)
            figures += _compared("LiteLLM: ", service, PROXY_ROUNDS)
    return figures


def chat(question: str) -> str:
    """A cell that asks by the magic."""
    return f"%%chat --once\n{question}"


# -- one call ------------------------------------------------------------------------------


def ask_plain(running: Kernel, service: Service) -> Call:
    """By the plain loop."""
    began = time.monotonic()
    run = _must(running.run(service.plain()))
    cpu, first = _noted(running)
    return Call(first - began, run.seconds, cpu)


def ask_ours(running: Kernel, service: Service) -> Call:
    """By the magic."""
    began = time.monotonic()
    run = _must(running.run(service.ours()))
    return Call(_first_text(run) - began, run.seconds, _noted(running)[0])


def _must(run: Run) -> Run:
    if run.status != "ok":
        raise RuntimeError("\n".join(run.error_lines))
    return run


def _noted(running: Kernel) -> tuple[float, float]:
    """Seconds of processor in the last cell, and when the plain loop had its first text."""
    cpu, first = json.loads(running.value("json.dumps([watch.spent, first])"))
    return cpu, first


def _first_text(run: Run) -> float:
    drawn = (m["at"] for m in run.messages if "text/markdown" in m["content"].get("data", {}))
    return float(next(drawn))


@contextlib.contextmanager
def _kernel(service: Service) -> Iterator[Kernel]:
    with scratch() as home, kernel(clean_environment(home, **service.environment())) as running:
        running.run(PREPARE)
        yield running


# -- many calls ----------------------------------------------------------------------------


def _compared(title: str, service: Service, rounds: int) -> list[Figure]:
    """Both in turn, in one kernel that has seen both."""
    plain: list[Call] = []
    ours: list[Call] = []
    with _kernel(service) as running:
        ask_plain(running, service)
        ask_ours(running, service)
        for number in range(rounds):
            _in_turn(number, plain, ours, lambda ask: ask(running, service))
        figures = _figures(title, plain, ours)
        if not all(figure.is_met for figure in figures):
            print(running.run(PROFILE.format(question=service.question)).outputs[-1].get("text"))
    return figures


def _in_turn(number: int, plain: list[Call], ours: list[Call], call: Callable[[Ask], Call]) -> None:
    """One call of each; the next time in the other order, so that a drift slows both."""
    pair = [(plain, ask_plain), (ours, ask_ours)]
    for calls, ask in reversed(pair) if number % 2 else pair:
        calls.append(call(ask))


def _figures(title: str, plain: list[Call], ours: list[Call]) -> list[Figure]:
    ends = [call.end for call in ours], [call.end for call in plain]
    cpus = [call.cpu for call in ours], [call.cpu for call in plain]
    return [
        _later(f"{title}first text comes later by", plain, ours, MOST_LATER),
        ratio(f"{title}time to the end", *ends, target=MOST_TIME),
        ratio(f"{title}processor of the kernel", *cpus),
    ]


def _later(what: str, plain: list[Call], ours: list[Call], target: float | None) -> Figure:
    mine, other = (median(call.first * 1000 for call in calls) for calls in (ours, plain))
    note = f"{mine:.1f} against {other:.1f} ms, of {len(ours)} calls each"
    return Figure(what, mine - other, "ms", target, note)


def _cold(service: Service) -> Figure:
    """The first call of a kernel: it imports what is needed."""
    plain: list[Call] = []
    ours: list[Call] = []

    def call(ask: Ask) -> Call:
        with _kernel(service) as running:
            return ask(running, service)

    for number in range(COLD_ROUNDS):
        _in_turn(number, plain, ours, call)
    return _later("a kernel's first call: later by", plain, ours, None)


# -- what is sent to the front end ---------------------------------------------------------


def _bytes(service: Service) -> list[Figure]:
    """The report at a usual speed: bytes and messages on the iopub."""
    with _kernel(service) as running:
        ask_ours(running, service)
        with _Tap(running) as tap:
            run = _must(running.run(chat(f"report {RATE}")))
        cpu = _noted(running)[0]
    size = len(report.text().encode())
    note = f"{tap.bytes / 1000:.0f} kB for {size / 1000:.0f} kB, in {tap.messages} messages"
    what = f"bytes to the front end at {RATE} tokens/s"
    return [
        Figure(what, tap.bytes / size, "times", MOST_BYTES, note),
        Figure(f"processor of the kernel at {RATE} tokens/s", cpu / run.seconds * 100, "%"),
    ]


class _Tap:
    """Counts what is on the iopub, as it is on the wire."""

    def __init__(self, running: Kernel) -> None:
        self._socket: Any = running.client.connect_iopub()
        self._socket.rcvhwm = 0
        self.bytes = self.messages = 0

    def __enter__(self) -> _Tap:
        self._drain()
        self.bytes = self.messages = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._drain()
        self._socket.close()

    def _drain(self) -> None:
        while self._socket.poll(300):
            self.bytes += sum(map(len, self._socket.recv_multipart()))
            self.messages += 1
