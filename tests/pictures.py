"""How are the pictures of the README made? Of a real notebook, in a real JupyterLab.

    python -m tests.pictures [ask | models | spend]

The embedded model answers, through a real LiteLLM proxy whose list gives it a price; so the
dollars are billed, and go nowhere. It needs what `tests.services.build` needs, and Chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageChops

from cborg_magics.providers import local
from tests.front_ends.lab import JupyterLab, notebook
from tests.services.processes import free_port
from tests.services.proxy import HERE, Proxy

PICTURES = Path(__file__).parents[1] / "examples" / "pictures"
KEY = "the-embedded-model"
MODEL = """model_list:
  - model_name: {name}
    litellm_params: {{model: openai/{name}, api_base: "{url}", api_key: {key}}}
    model_info: {{input_cost_per_token: 1.0e-6, output_cost_per_token: 5.0e-6}}
"""
WIDTH = 860  # of what is drawn; a README on GitHub is about as wide
PACE = 2  # times faster than it ran
BEFORE = """import matplotlib.pyplot as plt, numpy as np
t = np.linspace(0, 5, 40)
y = np.exp(-t) + 0.04 * np.random.default_rng(1).normal(size=40)"""
FIGURE = """%load_ext cborg_magics
fig, ax = plt.subplots(figsize=(4.2, 1.1)); ax.plot(t, y, ".");"""
QUESTION = "%%chat\nWhat is a p-value? Answer in three sentences."
PICTURE = "%%chat -a fig --dry-run -m openai/gpt-4.1 --max-tokens 500\nIs this decay exponential?"


class Priced(Proxy):
    """The proxy of the tests, with the embedded model in its list, at a price."""

    def __init__(self, url: str) -> None:
        super().__init__(database=True)
        self._model = MODEL.format(name=local.NAME, url=url, key=KEY)

    def _command(self) -> list[str | Path]:
        own = self._log.parent / "config.yaml"
        text = (HERE / "config.yaml").read_text(encoding="utf-8")
        own.write_text(text.replace("model_list:\n", self._model), encoding="utf-8")
        return [own if part == HERE / "config.yaml" else part for part in super()._command()]


@contextmanager
def answering() -> Iterator[str]:
    """The embedded model on a port of this machine."""
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = str(local._weights())
    options.model_alias = {local.NAME}
    options.n_ctx, options.n_parallel, options.port = local.CONTEXT_TOKENS, 1, free_port()
    options.hostnames, options.api_keys, options.verbosity = ["127.0.0.1"], [KEY], 0
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(options)
    yield f"http://127.0.0.1:{options.port}/v1"
    del server


@contextmanager
def lab(cells: list[str]) -> Iterator[JupyterLab]:
    """A notebook in a JupyterLab whose kernels ask the proxy, with a key of two dollars."""
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as name, answering() as url, Priced(url) as proxy:
        proxy.chat("Hello", local.NAME, max_tokens=1)  # the first call of all is slow
        root = Path(name)
        (root / "home").mkdir()
        user = proxy.new_user(max_budget=50.0, budget_duration="30d")
        key = proxy.new_key(user_id=user, max_budget=2.0, budget_duration="30d")
        env = {"LITELLM_API_KEY": key, "LITELLM_BASE_URL": proxy.url, "CBORG_MODEL": local.NAME}
        env |= {"CBORG_HOME": str(root / "cborg"), "CBORG_TEMPERATURE": "0"}
        notebook(root / "a.ipynb", cells)
        view = (WIDTH + 78, 1100)
        with JupyterLab(root, chromium, home=root / "home", env=env, viewport=view) as running:
            running.open("a.ipynb")
            running.page.keyboard.press("Control+b")  # no list of files
            running.settle()
            yield running


@dataclass
class Film:
    """Frames of a notebook, each with its seconds."""

    lab: JupyterLab
    frames: list[tuple[Image.Image, float]] = field(default_factory=list)

    def shoot(self, seconds: float) -> None:
        panel = self.lab.page.locator(".jp-NotebookPanel-notebook").bounding_box()
        first = self.lab.cell(1).bounding_box()  # the one above only makes the numbers
        assert panel is not None
        assert first is not None
        below = panel["y"] + panel["height"] - first["y"]
        clip = {"x": panel["x"], "y": first["y"], "width": WIDTH, "height": below}
        shot = self.lab.page.screenshot(clip=clip)
        self.frames.append((Image.open(io.BytesIO(shot)).convert("RGB"), seconds))

    def type(self, cell: int, text: str) -> None:
        self.lab.cell(cell).locator(".cm-content").click()
        for begin in range(0, len(text), 4):
            self.lab.page.keyboard.insert_text(text[begin : begin + 4])
            self.shoot(0.08)

    def run(self, cell: int) -> None:
        """Film a cell while it runs."""
        self.lab.run_cell(cell, wait=False)
        done = False
        while not done:
            began = time.monotonic()
            done = bool(self.lab.page.evaluate("() => window.commandDone"))
            self.shoot(0.0)
            self.frames[-1] = (self.frames[-1][0], (time.monotonic() - began) / PACE)
        self.lab.settle()
        self.shoot(1.5)

    def save(self, path: Path) -> None:
        """Write a GIF. The last frame comes first, for whoever sees only one."""
        bottom = max(_bottom(image) for image, _ in self.frames) + 12
        kept: list[tuple[Image.Image, float]] = []
        for whole, seconds in [(self.frames[-1][0], 3.0), *self.frames]:
            image = whole.crop((0, 0, WIDTH, bottom))
            if kept and kept[-1][0].tobytes() == image.tobytes():
                kept[-1] = (image, kept[-1][1] + seconds)
            else:
                kept.append((image, seconds))
        palette = kept[0][0].quantize(128, dither=Image.Dither.NONE)
        paper = 3 * palette.getpixel((0, 0))  # nearly white; a README is white
        colours = palette.getpalette() or []
        palette.putpalette([*colours[:paper], 255, 255, 255, *colours[paper + 3 :]])
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image, _ in kept]
        lasts = [max(20, round(1000 * seconds)) for _, seconds in kept]
        images[0].save(path, save_all=True, append_images=images[1:], duration=lasts, loop=0)


def _bottom(image: Image.Image) -> int:
    """The last row that is not white."""
    box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    return box[3] if box else 0


def ask() -> None:
    """A question is typed, answered and billed; then a figure is named, and priced."""
    with lab([BEFORE, FIGURE, "", ""]) as running:
        film = Film(running)
        running.run_cell(0)
        running.run_cell(1)
        film.type(2, QUESTION)
        film.shoot(0.5)
        film.run(2)
        film.type(3, PICTURE)
        film.shoot(0.5)
        film.run(3)
        film.save(PICTURES / "ask.gif")


def models() -> None:
    """What can be asked, cheapest first."""
    one("models", ["%models --sort price"])


def spend() -> None:
    """What a few calls cost, and what is left."""
    calls = "\n".join(
        f"%chat --once -m {model} !tokens {number}"
        for model, number in (
            ("anthropic/claude-sonnet", 900),
            ("openai/gpt-4.1", 1500),
            ("lbl/cborg-chat", 40),
            ("anthropic/claude-sonnet", 700),
        )
    )
    one("spend", [calls, "%spend"])


def one(name: str, cells: list[str]) -> None:
    """A picture of the last cell, once the service has booked what the others cost."""
    with lab(["%load_ext cborg_magics", *cells]) as running:
        for cell in range(len(cells)):
            running.run_cell(cell)
        time.sleep(6)
        running.run_cell(len(cells))
        running.page.mouse.move(0, 0)
        running.page.evaluate("() => document.activeElement.blur()")
        running.settle()
        running.screenshot(PICTURES / f"{name}.png", cell=len(cells))


if __name__ == "__main__":
    made = {"ask": ask, "models": models, "spend": spend}
    for name in sys.argv[1:] or made:
        made[name]()
