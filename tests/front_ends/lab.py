"""How do tests use a real JupyterLab? A server of our own, driven in a headless Chromium.

    with JupyterLab(root=tmp_path, chromium="/usr/bin/chromium") as lab:
        notebook(tmp_path / "a.ipynb", ["1 + 1", "%%md\n# A Markdown cell"])
        lab.open("a.ipynb")
        lab.run_all()
        assert lab.outputs(0)[0]["data"]["text/plain"] == "2"

The server, its kernels and the browser leave nothing behind and reach nothing but this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, sync_playwright

__all__ = ["JupyterLab", "Requested", "notebook"]

REPOSITORY = Path(__file__).resolve().parents[2]

# A developer's keys, settings and Jupyter must not reach the kernels under test.
PRIVATE = ("CBORG_", "OPENAI_", "LITELLM_", "LLMBASE_", "JUPYTER", "JPY_", "IPYTHON", "XDG_")

BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
# Every cell stays in the page, also when it is scrolled out of sight.
NO_WINDOWING = {"windowingMode": "none", "autoStartDefaultKernel": True}

# The status "idle" is shown before the kernel is connected; a cell run then is lost.
KERNEL_IS_READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return !!(context?.isReady && kernel?.connectionStatus === 'connected'
              && kernel.status === 'idle');
}"""

WATCH_CHANGES = """() => {
    window.lastChange = performance.now();
    new MutationObserver(() => { window.lastChange = performance.now(); }).observe(
        document.querySelector('.jp-Notebook'),
        {subtree: true, childList: true, characterData: true});
}"""

EXECUTE = """([command, cell]) => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    if (cell !== null) { notebook.activeCellIndex = cell; notebook.deselectAll(); }
    window.commandDone = false;
    window.jupyterapp.commands.execute(command).finally(() => { window.commandDone = true; });
}"""

CLOSE = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.save();
    await panel.sessionContext.shutdown();
    panel.dispose();
}"""


@dataclass(frozen=True)
class Requested:
    """A request the page made: its method, its address, whether it was kept from leaving."""

    method: str
    url: str
    blocked: bool


def notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write `cells` as a notebook to `path`: code, or Markdown after a first line `%%md`."""
    new = nbformat.v4.new_notebook()
    new.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    for text in cells:
        first, _, rest = text.partition("\n")
        is_markdown = first.strip() == "%%md"
        new.cells.append(
            nbformat.v4.new_markdown_cell(rest) if is_markdown else nbformat.v4.new_code_cell(text)
        )
    nbformat.write(new, path)
    return path


class JupyterLab:
    """A JupyterLab with one notebook open at a time; a context manager.

    `root` is the folder it shows, `home` (default: hidden in `root`) holds its settings, kernels'
    home and log. `env` is added to the environment of server and kernels. Cells are counted from 0.
    `requests` is what the page asked for since the start, `errors` what its console complained of.
    """

    # What differs between front ends: the module, the name of its app, the page of a notebook.
    module, app, place = "jupyterlab", "LabApp", "lab/tree"

    def __init__(
        self,
        root: Path,
        chromium: str,
        *,
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
        viewport: tuple[int, int] = (1280, 1400),
    ) -> None:
        self.root = root
        self.home = home or root / ".home"
        self.url = ""
        self.requests: list[Requested] = []
        self.errors: list[str] = []
        self._chromium = chromium
        self._env = dict(env or {})
        self._viewport = viewport
        self._token = secrets.token_hex(16)
        self._page: Page | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> JupyterLab:
        with contextlib.ExitStack() as stack:
            self.url = stack.enter_context(self._server())
            self._page = stack.enter_context(self._browser())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- what a person does -------------------------------------------------------------------

    def open(self, name: str, timeout: float = 60) -> None:
        """Show the notebook `name` of `root`, alone, and wait until its kernel can be used."""
        self.page.goto(f"{self.url}/{self.place}/{name}?token={self._token}&reset")
        self._wait_for_notebook(timeout)

    def reload(self, timeout: float = 60) -> None:
        """Reload the page; the kernel goes on."""
        self.page.reload()
        self._wait_for_notebook(timeout)

    def run_all(self, *, wait: bool = True, timeout: float = 60) -> None:
        """Run All Cells; with `wait`, until every cell is done and drawn."""
        self._execute("notebook:run-all-cells", None, wait, timeout)

    def run_cell(self, cell: int, *, wait: bool = True, timeout: float = 60) -> None:
        """Run one cell; with `wait`, until it is done and drawn."""
        self._execute("notebook:run-cell", cell, wait, timeout)

    def wait(self, timeout: float = 60) -> None:
        """Wait until what was run is done and drawn."""
        self.page.wait_for_function("() => window.commandDone", polling=50, timeout=timeout * 1000)
        self.page.wait_for_function(KERNEL_IS_READY, polling=50, timeout=timeout * 1000)
        self.settle(timeout=timeout)

    def settle(self, quiet: float = 0.3, timeout: float = 60) -> None:
        """Wait until nothing in the notebook has changed for `quiet` seconds."""
        self.page.wait_for_function(
            "quiet => performance.now() - window.lastChange > quiet",
            arg=quiet * 1000,
            polling=50,
            timeout=timeout * 1000,
        )

    def interrupt(self) -> None:
        """The stop button."""
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
        )

    def save(self) -> None:
        """Save the notebook; its file is written when this returns."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def close(self) -> None:
        """Save the notebook, end its kernel, close its tab."""
        self.page.evaluate(CLOSE)

    def dark(self, on: bool = True) -> None:
        """Switch to the dark theme, or back to the light one."""
        theme = "JupyterLab Dark" if on else "JupyterLab Light"
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
        )
        self.page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in CSS pixels."""
        self.page.set_viewport_size({"width": width, "height": height})

    # --- what a person sees -------------------------------------------------------------------

    @property
    def page(self) -> Page:
        """Playwright's page, for all that is not wrapped here."""
        assert self._page is not None, "use `with JupyterLab(...) as lab:`"
        return self._page

    def cell(self, cell: int) -> Locator:
        """The whole of a cell in the page."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell)

    def rendered(self, cell: int) -> Locator:
        """The drawn outputs of a cell, one element each."""
        return self.cell(cell).locator(".jp-OutputArea-output")

    def text(self, cell: int) -> str:
        """The outputs of a cell as a person reads them."""
        return "\n".join(self.rendered(cell).all_inner_texts())

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell as the notebook's JSON has them."""
        script = """cell => window.jupyterapp.shell.currentWidget.content.model.cells.get(cell)
            .outputs.toJSON()"""
        return cast("list[dict[str, Any]]", self.page.evaluate(script, cell))

    def screenshot(self, path: Path, cell: int | None = None) -> None:
        """A picture of one cell, or of the whole window."""
        target = self.page if cell is None else self.cell(cell)
        target.screenshot(path=path)

    # --- how it works -------------------------------------------------------------------------

    def _execute(self, command: str, cell: int | None, wait: bool, timeout: float) -> None:
        self.page.evaluate(EXECUTE, [command, cell])
        if wait:
            self.wait(timeout)

    def _wait_for_notebook(self, timeout: float) -> None:
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout * 1000)
        self.page.wait_for_function(KERNEL_IS_READY, polling=50, timeout=timeout * 1000)
        self.page.evaluate(WATCH_CHANGES)

    @contextlib.contextmanager
    def _server(self) -> Iterator[str]:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        environment = self._environment()
        command = [
            *(sys.executable, "-m", self.module, "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self._token}",
            f"--{self.app}.expose_app_in_browser=True",
        ]
        log = self.home / "lab.log"
        with (
            log.open("wb") as out,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                _wait_until_ready(url, process, log)
                yield url
            finally:
                _end(process)

    def _environment(self) -> dict[str, str]:
        settings = self.home / "settings"
        _write_json(self.home / "config" / "labconfig" / "page_config.json", NO_NEWS)
        tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
        _write_json(tracker, NO_WINDOWING)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
        return kept | {
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.home / "workspaces"),
            "PYTHONPATH": str(REPOSITORY),
            **self._env,
        }

    @contextlib.contextmanager
    def _browser(self) -> Iterator[Page]:
        width, height = self._viewport
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=self._chromium, headless=True, args=BROWSER_ARGUMENTS
            )
            context = browser.new_context(viewport={"width": width, "height": height})
            self._watch(context)
            page = context.new_page()
            page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
            page.on("pageerror", lambda error: self.errors.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    self.errors.append(message.text) if message.type == "error" else None
                ),
            )
            try:
                yield page
            finally:
                context.close()
                browser.close()

    def _watch(self, context: BrowserContext) -> None:
        def only_here(route: Route, request: Request) -> None:
            away = not _is_here(request.url)
            self.requests.append(Requested(request.method, request.url, blocked=away))
            if away:
                route.abort()
            else:
                route.continue_()

        context.route("**/*", only_here)


def _is_here(url: str) -> bool:
    address = urlsplit(url)
    return address.scheme in ("data", "blob") or address.hostname in ("127.0.0.1", "localhost")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/api", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("JupyterLab did not start:\n" + log.read_text(errors="replace")[-3000:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop, which ends its kernels too; then end all that is left of it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
