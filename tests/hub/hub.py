"""How do tests use a real JupyterHub? As its users do: with a name, a password and no more.

with hub(machine, proxy, files) as running:
    alice = running.person("alice")
    with alice.kernel() as kernel:
        kernel.run("%chat Good morning")
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
import websocket

from tests.front_ends.kernel import Run
from tests.hub.machine import Machine
from tests.services.processes import free_port, running, wait_until

PASSWORD = "a-password-for-tests"
SECONDS = 60.0

# What a test's hub needs besides the example: ports, a login without a directory of users, and no
# file outside its folder. LocalProcessSpawner, the hub's own, starts each server as its user.
SETTINGS = """
c = get_config()
load_subconfig("/etc/jupyterhub/cborg.py")
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = ["{proxy}"]
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allow_all = True
c.JupyterHub.load_groups = {groups}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.Spawner.cmd = ["{singleuser}"]
c.Spawner.args = [
    "--LabApp.expose_app_in_browser=True",
    "--ServerApp.jpserver_extensions=jupyter_lsp=False",  # it looks for a dozen programs
]
c.Spawner.default_url = "/lab"
c.JupyterHub.log_level = "WARN"
"""


class Hub:
    """A running hub. `url` has its address, `person` one of its users."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._people: dict[str, Person] = {}

    def person(self, name: str) -> Person:
        """A user who has logged in, and whose server runs or is on its way."""
        if name not in self._people:
            self._people[name] = Person(self.url, name)
        return self._people[name]


@contextlib.contextmanager
def hub(
    machine: Machine, proxy: Path, groups: Mapping[str, Mapping[str, list[str]]]
) -> Iterator[Hub]:
    """A hub on the loopback of `machine`, with `proxy` before it, while the block lasts.

    What it is to do for the extension stands in /etc/jupyterhub/cborg.py there.
    """
    port = free_port()
    folder = machine.folder / "hub"
    folder.mkdir(mode=0o700)
    settings = SETTINGS.format(
        port=port,
        hub_port=free_port(),
        api_port=free_port(),
        proxy=proxy,
        folder=folder,
        password=PASSWORD,
        groups=dict(groups),
        singleuser=Path(sys.prefix) / "bin" / "jupyterhub-singleuser",
    )
    machine.write("/etc/jupyterhub/jupyterhub_config.py", settings, mode=0o600)
    start = [sys.executable, "-m", "jupyterhub", "-f", "/etc/jupyterhub/jupyterhub_config.py"]
    log, url = folder / "log", f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/hub/health", timeout=5).ok
        return False

    with running(machine.command(start), log=log, cwd=folder) as process:
        wait_until(answers, process, log, SECONDS)
        yield Hub(url, log)


class Person:
    """A user of the hub, with a token of their own."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._hub = url
        self.token = self._log_in()
        self.ask("POST", f"/hub/api/users/{name}/server")

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        """Ask the hub, or somebody's server behind it, with this user's token."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, self._hub + path, headers=headers, timeout=SECONDS, **how)

    def wait(self) -> None:
        """Wait until this user's server answers."""
        deadline = time.monotonic() + SECONDS
        while not self.ask("GET", f"/user/{self.name}/api/status").ok:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server of {self.name} did not start")
            time.sleep(0.1)

    @contextlib.contextmanager
    def kernel(self, spec: str = "python3") -> Iterator[HubKernel]:
        """A new kernel of this user's, while the block lasts."""
        self.wait()
        path = f"/user/{self.name}/api/kernels"
        made = self.ask("POST", path, json={"name": spec})
        made.raise_for_status()
        path = f"{path}/{made.json()['id']}"
        address = self._hub.replace("http", "ws", 1) + f"{path}/channels"
        header = {"Authorization": f"token {self.token}"}
        try:
            socket = websocket.create_connection(address, timeout=SECONDS, header=header)
            with contextlib.closing(socket):
                yield HubKernel(socket)
        finally:
            self.ask("DELETE", path)

    def _log_in(self) -> str:
        """Through the page, as a browser does; then ask for a token."""
        with requests.Session() as browser:
            page = browser.get(f"{self._hub}/hub/login", timeout=SECONDS)
            page.raise_for_status()
            form = {"username": self.name, "password": PASSWORD, "_xsrf": browser.cookies["_xsrf"]}
            inside = browser.post(
                f"{self._hub}/hub/login", params={"next": "/hub/token"}, data=form, timeout=SECONDS
            )
            inside.raise_for_status()
            path = f"/hub/api/users/{urllib.parse.quote(self.name)}/tokens"
            mark = next(c.value for c in browser.cookies if c.name == "_xsrf" and c.path == "/hub/")
            made = browser.post(
                self._hub + path, headers={"X-XSRFToken": str(mark)}, json={}, timeout=SECONDS
            )
            made.raise_for_status()
            return str(made.json()["token"])


class HubKernel:
    """A kernel behind the hub, spoken to as JupyterLab does."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._session = uuid.uuid4().hex

    def run(self, code: str) -> Run:
        """Run a cell to its end."""
        run, began = Run(), time.monotonic()
        request = self._send(code)
        waiting = {"reply", "idle"}
        while waiting:
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["channel"] == "iopub":
                run.hear(message)
                if message["content"].get("execution_state") == "idle":
                    waiting.discard("idle")
            elif message["msg_type"] == "execute_reply":
                run.status = message["content"]["status"]
                waiting.discard("reply")
        run.seconds = time.monotonic() - began
        return run

    def value(self, expression: str) -> str:
        """The printed value of an expression in the kernel."""
        run = self.run(f"print({expression})")
        assert run.status == "ok", run.error_lines
        return "".join(o["text"] for o in run.outputs if o["output_type"] == "stream").strip()

    def _send(self, code: str) -> str:
        request = uuid.uuid4().hex
        header = {
            "msg_id": request,
            "msg_type": "execute_request",
            "session": self._session,
            "username": "",
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        return request
