"""What can be clicked below a list of models? Filters, the order, and which one to use.

The list is an output of its own, which these controls redraw; it is all that a saved
notebook needs. They are widgets, and a widget that is left in a file reads "Error
displaying widget". So they go, and a line of text takes their place: when a model was
chosen, when another cell runs, when nobody has touched them for a while. Only a page that
is closed or reloaded, or a kernel that is restarted, before that leaves one in the file.
There is one row for the whole kernel: old ones never pile up.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cborg_magics.display.model_list import seen
from cborg_magics.display.notebook import quiet
from cborg_magics.selection import Wanted

IDLE_SECONDS = 120.0  # until JupyterLab saves by itself; a page may be closed after that
HINT = "%models NAME tells all of one model, %models --use NAME makes it the kernel's default."
_TOGGLES = {"vision": "vision", "tools": "tools", "free": "free", "on_prem": "on-premises"}
_SORTS = [("as listed", ""), ("by price", "price"), ("by context", "context"), ("by name", "name")]
_MOST_NAMES = 500


class Controls:
    """The row of controls. Raises `ImportError` where ipywidgets is not installed."""

    def __init__(self, shell: Any) -> None:
        import ipywidgets as widgets  # type: ignore[import-untyped]

        self._shell = shell
        self._display_id: str | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._setting = False
        self.wanted = Wanted()  # as it is set now
        self._draw: Callable[[Wanted], Sequence[str]] = lambda wanted: []
        self._choose: Callable[[str], str] = str

        def wide(least: str, grow: int = 0) -> Any:
            return widgets.Layout(width="auto", min_width=least, flex=f"{grow} 1 {least}")

        self._words = widgets.Text(placeholder="part of a name", layout=wide("9em", 1))
        self._sort = widgets.Dropdown(options=_SORTS, layout=wide("7em"))
        self._toggles = {
            field: widgets.ToggleButton(description=words, layout=widgets.Layout(width="auto"))
            for field, words in _TOGGLES.items()
        }
        self._names = widgets.Dropdown(layout=wide("12em", 1))
        self._use = widgets.Button(description="Use", layout=widgets.Layout(width="auto"))
        self._use.tooltip = "ask this model from now on, in this kernel"
        for each in (self._words, self._sort, *self._toggles.values()):
            each.observe(self._changed, "value")
        self._use.on_click(self._chosen)
        self._row = widgets.HBox(
            [self._words, self._sort, *self._toggles.values(), self._names, self._use],
            layout=widgets.Layout(flex_flow="row wrap", max_width="64em"),
        )

    def show(
        self,
        wanted: Wanted,
        names: Sequence[str],
        default: str,
        draw: Callable[[Wanted], Sequence[str]],
        choose: Callable[[str], str],
    ) -> None:
        """Put the row below what the cell has shown.

        `draw` shows the list that is wanted, and gives its names; `choose` takes one of
        them into use, and gives a line about it.
        """
        self.hide()
        self.wanted, self._draw, self._choose = wanted, draw, choose
        self._setting = True
        self._words.value, self._sort.value = " ".join(wanted.words), wanted.sort
        for field, toggle in self._toggles.items():
            toggle.value = getattr(wanted, field)
        self._setting = False
        self._offer(names, default)
        self._display_id = uuid.uuid4().hex
        view = {"version_major": 2, "version_minor": 0, "model_id": self._row.model_id}
        data = {"application/vnd.jupyter.widget-view+json": view, "text/plain": HINT}
        self._shell.display_pub.publish(data, transient={"display_id": self._display_id})
        self._shell.events.register("pre_run_cell", self._next_cell)
        self._wait()

    def hide(self, words: str = HINT) -> None:
        """Leave a line of text in its place."""
        with self._lock:
            display_id, self._display_id = self._display_id, None
            timer, self._timer = self._timer, None
        if timer:
            timer.cancel()
        if display_id is None:
            return
        self._shell.events.unregister("pre_run_cell", self._next_cell)
        data = {"text/html": quiet(words), "text/plain": words}
        self._shell.display_pub.publish(data, transient={"display_id": display_id}, update=True)

    def _wait(self) -> None:
        if self._timer:
            self._timer.cancel()
        # What a thread shows belongs to the cell that the context names (ipykernel 7).
        run = contextvars.copy_context().run
        self._timer = threading.Timer(IDLE_SECONDS, run, (self.hide,))
        self._timer.daemon = True
        self._timer.start()

    def _next_cell(self, info: object = None) -> None:
        self.hide()

    def _changed(self, change: object) -> None:
        if self._setting or self._display_id is None:
            return
        on = {field: toggle.value for field, toggle in self._toggles.items()}
        words = tuple(self._words.value.split())
        self.wanted = replace(self.wanted, words=words, sort=self._sort.value, **on)
        self._offer(self._draw(self.wanted), self._names.value)
        self._wait()

    def _offer(self, names: Sequence[str], chosen: str | None) -> None:
        self._names.options = [(seen(name), name) for name in names[:_MOST_NAMES]]
        if chosen in names[:_MOST_NAMES]:
            self._names.value = chosen
        self._use.disabled = not names

    def _chosen(self, button: object) -> None:
        if self._names.value:
            self.hide(self._choose(self._names.value))
