"""How do tests use Notebook 7, and a page of ours outside Jupyter? As they use JupyterLab.

    with Notebook7(lab, root=tmp_path, home=home) as seven:
        seven.open("a.ipynb")

The browser is the JupyterLab's: Playwright can start one only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.front_ends.lab import JupyterLab

__all__ = ["Notebook7", "offline"]


class Notebook7(JupyterLab):
    """A Notebook 7 with a server of its own, in a window of the browser of `lab`."""

    module, app, place = "notebook", "JupyterNotebookApp", "notebooks"

    def __init__(self, lab: JupyterLab, root: Path, home: Path) -> None:
        super().__init__(root, "", home=home)
        self._shared = _browser_of(lab)

    @contextlib.contextmanager
    def _browser(self) -> Iterator[Page]:
        width, height = self._viewport
        context = self._shared.new_context(viewport={"width": width, "height": height})
        self._watch(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        try:
            yield page
        finally:
            context.close()


@contextlib.contextmanager
def offline(lab: JupyterLab) -> Iterator[tuple[Page, list[str], list[str]]]:
    """A page without Jupyter and without network; what its console complained of, and which
    addresses it asked for."""
    asked: list[str] = []
    complaints: list[str] = []
    context = _browser_of(lab).new_context(viewport={"width": 1100, "height": 1400})
    try:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        context.route("http*://**/*", lambda route: route.abort())
        yield page, complaints, asked
    finally:
        context.close()


def _browser_of(lab: JupyterLab) -> Browser:
    browser = lab.page.context.browser
    assert browser is not None
    return browser
