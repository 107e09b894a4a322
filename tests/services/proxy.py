"""How does a test get a real LiteLLM proxy?

    with Proxy(database=True) as proxy:
        key = proxy.new_key(max_budget=0.01)
        status, headers, answer = proxy.call("/key/info", key=key)

Behind it stands `upstream.py` in the place of the models; with a database it also keeps users,
keys and spend. `python -m tests.services.build` builds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.services.build import Build
from tests.services.postgres import Postgres
from tests.services.processes import free_port, running, scratch, tail, wait_until

HERE = Path(__file__).parent
MASTER_KEY = "sk-test-master"
START = 180.0  # seconds; 10 to 30 are usual
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks for prices on the network
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",  # reads no .env
    "LITELLM_LOG": "ERROR",
    "DISABLE_ADMIN_UI": "True",
}
FOREIGN = ("LITELLM", "OPENAI", "ANTHROPIC", "CBORG", "DATABASE", "PRISMA")

Reply = tuple[int, dict[str, str], Any]
Found = TypeVar("Found")
# The machine's own HTTP proxy, if any, has no business on the loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Proxy:
    """The real LiteLLM proxy, running while the block lasts."""

    master_key = MASTER_KEY

    def __init__(self, build: Build | None = None, *, database: bool = False) -> None:
        self.build = build or Build()
        self.database = database
        self.url = f"http://127.0.0.1:{free_port()}"
        self.started_in = 0.0  # seconds
        self._upstream = f"http://127.0.0.1:{free_port()}"
        self._log = Path()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Proxy:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:  # ends everything also if the start fails
            self._start(stack)
            self._stack = stack.pop_all()
        self.started_in = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def call(
        self,
        path: str,
        body: object = None,
        key: str | None = MASTER_KEY,
        method: str | None = None,
    ) -> Reply:
        """Send a request; a refusal is an answer like any other."""
        return send(self.url + path, body, key, method)

    def chat(self, text: str, model: str = "lbl/cborg-chat", **more: Any) -> Reply:
        """Send one message, not streamed. `key=` names the key, the rest goes into the body."""
        key = more.pop("key", MASTER_KEY)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.call("/v1/chat/completions", body, key)

    def new_user(self, **settings: Any) -> str:
        """Create a user, with `max_budget=`, `budget_duration="30d"`, ...: gives the user id."""
        settings = {"user_id": _unique("user"), "auto_create_key": False, **settings}
        return str(self._must("/user/new", settings)["user_id"])

    def new_team(self, **settings: Any) -> str:
        """Create a team, with `max_budget=`, `models=[...]`, ...: gives the team id."""
        settings = {"team_id": _unique("team"), **settings}
        return str(self._must("/team/new", settings)["team_id"])

    def new_key(self, **settings: Any) -> str:
        """Create a key, with `user_id=`, `team_id=`, `max_budget=`, `models=`, `rpm_limit=`,
        `duration="1s"`, ...: gives the key.
        """
        return str(self._must("/key/generate", settings)["key"])

    def block_key(self, key: str) -> None:
        """Block a key."""
        self._must("/key/block", {"key": key})

    def seen(self) -> list[dict[str, Any]]:
        """Give the last requests as the upstream received them, the latest last."""
        answer: list[dict[str, Any]] = send(f"{self._upstream}/seen")[2]
        return answer

    def spend_logs(self, key: str, count: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait until so many calls of a key are booked, and give them."""

        def booked() -> list[dict[str, Any]] | None:
            rows: list[dict[str, Any]] = self._must(f"/spend/logs?api_key={key}")
            return rows if len(rows) >= count else None

        return _poll(booked, seconds, f"{count} calls in /spend/logs")

    def wait_for_spend(self, key: str, more_than: float = 0.0, seconds: float = 30.0) -> float:
        """Wait until a key has spent more than so much, and give what it spent."""

        def spent() -> float | None:
            spend = float(self._must("/key/info", key=key)["info"]["spend"])
            return spend if spend > more_than else None

        return _poll(spent, seconds, f"spend above {more_than}")

    def log(self) -> str:
        """Give the end of what the proxy and the upstream printed."""
        return tail(self._log)

    def _start(self, stack: contextlib.ExitStack) -> None:
        folder = stack.enter_context(scratch())
        self._log = folder / "proxy.log"
        env = self._environment()
        if self.database:
            postgres = stack.enter_context(Postgres(folder))
            postgres.create("litellm", self.build.schema.read_text())
            env |= {**self.build.environment(), "DATABASE_URL": postgres.url("litellm")}
        stack.enter_context(running(self._upstream_command(), log=self._log, cwd=HERE.parents[1]))
        process = stack.enter_context(running(self._command(), log=self._log, env=env, cwd=folder))
        wait_until(self._alive, process, self._log, START)
        self._warm_up()

    def _environment(self) -> dict[str, str]:
        # Whatever the developer has set up for LiteLLM and the like must not reach this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        own = {
            "LITELLM_MASTER_KEY": MASTER_KEY,
            "LITELLM_SALT_KEY": "sk-test-salt",
            "TEST_UPSTREAM": f"{self._upstream}/v1",
            "NO_PROXY": "*",
            "no_proxy": "*",
        }
        return {**kept, **QUIET, **own}

    def _upstream_command(self) -> list[str | Path]:
        port = self._upstream.rpartition(":")[2]
        return [sys.executable, "-m", "tests.services.upstream", port]

    def _command(self) -> list[str | Path]:
        address = ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        litellm = self.build.python.with_name("litellm")
        return [litellm, "--config", HERE / "config.yaml", *address, "--telemetry", "False"]

    def _alive(self) -> bool:
        try:
            return send(f"{self.url}/health/liveliness", seconds=2.0)[0] == 200
        except OSError:
            return False

    def _warm_up(self) -> None:
        # The first call takes a second longer than the others. It also shows that all is joined.
        status, _, answer = self.chat("warm up")
        if status != 200:
            raise RuntimeError(f"the first call failed: {answer}\n{self.log()}")

    def _must(self, path: str, body: object = None, key: str = MASTER_KEY) -> Any:
        status, _, answer = self.call(path, body, key)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer}")
        return answer


def send(
    url: str,
    body: object = None,
    key: str | None = None,
    method: str | None = None,
    seconds: float = 60.0,
) -> Reply:
    """Send a request: gives the status, the headers (lower case), and the JSON or the text."""
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        answer = _open(request, timeout=seconds)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, found, _read(answer.read())


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def _unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def _poll(find: Callable[[], Found | None], seconds: float, what: str) -> Found:
    deadline = time.monotonic() + seconds
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} after {seconds} s")
        time.sleep(0.1)
    return found
