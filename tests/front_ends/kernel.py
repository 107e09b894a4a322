"""What does a front end get to see? A real ipykernel, driven as JupyterLab drives it."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

OURS = ("CBORG_", "LITELLM_", "LLMBASE_", "OPENAI_")
SECONDS = 60.0


def clean_environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without the developer's own services and settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    folders = {"CBORG_HOME": home / "cborg", "IPYTHONDIR": home / "ipython"}
    return kept | {name: str(path) for name, path in folders.items()} | variables


def _moment(date: datetime | str) -> float:
    """Seconds since 1970; over a websocket dates are text."""
    told = datetime.fromisoformat(date.replace("Z", "+00:00")) if isinstance(date, str) else date
    return told.timestamp()


@dataclass
class Run:
    """What one cell did: its outputs as a notebook would keep them, and all messages on the way.

    `seconds` is from sending the cell, or from the interrupt, to idle.
    """

    status: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def error(self) -> dict[str, Any] | None:
        return next((o for o in self.outputs if o["output_type"] == "error"), None)

    @property
    def error_lines(self) -> list[str]:
        """The error as it is printed."""
        return "\n".join(self.error["traceback"]).splitlines() if self.error else []

    @property
    def plain(self) -> list[str]:
        """The text/plain of each output."""
        return [o["data"].get("text/plain", "") for o in self.outputs if "data" in o]

    @property
    def badge(self) -> str:
        """The last rich output's words."""
        return self.plain[-1] if self.plain else ""

    @property
    def all_text(self) -> str:
        """Everything that was sent, to search for what must not be there."""
        return json.dumps(self.messages)

    def hear(self, message: dict[str, Any]) -> None:
        """Keep a message as JupyterLab does, with updates in place."""
        kind, content = message["msg_type"], message["content"]
        sent = _moment(message["header"]["date"])  # by the kernel's clock
        self.messages.append(
            {"type": kind, "content": content, "at": time.monotonic(), "sent": sent}
        )
        display_id = (content.get("transient") or {}).get("display_id")
        if kind == "update_display_data":
            for output in self.outputs:
                if output.get("display_id") == display_id:
                    output["data"] = content["data"]
        elif kind in ("display_data", "execute_result"):
            self.outputs.append(
                {"output_type": kind, "data": content["data"], "display_id": display_id}
            )
        elif kind in ("error", "stream"):
            self.outputs.append({"output_type": kind, **content})


class Kernel:
    """One kernel with the extension loaded. `run` a cell; `interrupt_when` something is seen."""

    def __init__(self, environment: dict[str, str], load: bool = True) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=environment)
        self.client = self._manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)
        if load:
            self.run("%load_ext cborg_magics")

    def run(
        self,
        code: str,
        *,
        cell: str | None = None,
        interrupt_when: Any = None,
        person: bool = True,
        timeout: float = SECONDS,
    ) -> Run:
        """Run a cell to its end. `cell` is its id in the notebook, as JupyterLab sends it.
        `interrupt_when(run)` is asked after each message; when it says yes, the kernel
        is interrupted, once."""
        return self.end(self.begin(code, cell, person), interrupt_when, timeout)

    def end(self, request: str, interrupt_when: Any = None, timeout: float = SECONDS) -> Run:
        """What a cell did that was begun before."""
        run, began = Run(), time.monotonic()
        while True:
            if time.monotonic() - began > timeout:
                raise TimeoutError(f"the cell did not end in {timeout} s\n{run.outputs}")
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                message = None
            if message and message["parent_header"].get("msg_id") == request:
                run.hear(message)
                if message["content"].get("execution_state") == "idle":
                    break
            if interrupt_when and interrupt_when(run):
                interrupt_when, began = None, time.monotonic()
                self._manager.interrupt_kernel()
        run.seconds = time.monotonic() - began
        run.status = self._reply(request)["status"]
        return run

    def value(self, expression: str) -> str:
        """The printed value of an expression in the kernel."""
        return "".join(o.get("text", "") for o in self.run(f"print({expression})").outputs)

    def kill(self) -> None:
        """As a power cut would."""
        self._manager.shutdown_kernel(now=True)

    def close(self) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def begin(self, code: str, cell: str | None = None, person: bool = True) -> str:
        """Send a cell and do not wait for it; its number is for `end`."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": person,
            "stop_on_error": True,
        }
        metadata = {"deletedCells": [], **({"cellId": cell} if cell else {})}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def _reply(self, request: str) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == request:
                return dict(message["content"])


@contextmanager
def kernel(environment: dict[str, str], load: bool = True) -> Iterator[Kernel]:
    """A kernel for the length of a `with`."""
    running = Kernel(environment, load)
    try:
        yield running
    finally:
        running.close()
