"""What is shown in every front end? One notebook with all magics, and a service behind it.

    with Service() as service:
        notebook(path, cells(service, home))

The service follows a script as `FaultServer` does; besides, it lists models, makes vectors that
depend on the text alone, and knows the budget of the key.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from tests.conftest import KEY
from tests.services import encoder
from tests.services.answers import Answer, chat_stream, json_answer, spaced, usage
from tests.services.faults import FaultServer
from tests.services.server import Request
from tests.services.upstream import MARKDOWN

if TYPE_CHECKING:
    from tests.front_ends.lab import JupyterLab

CHAT = "/chat/completions"
MODEL, EMBEDDER = "lbl/cborg-chat", "lbl/nomic-embed-text"
PRICES = {
    "anthropic/claude-sonnet": (3e-06, 1.5e-05),
    "openai/gpt-4.1": (2e-06, 8e-06),
    "test/unpriced": (None, None),
    MODEL: (0.0, 0.0),
}
SENTENCES = (
    "A photomultiplier sees single photons.",
    "Liquid argon is kept at 87 kelvin.",
    "The beam is dumped into graphite.",
    "Muons cross three kilometres of rock.",
    "Xenon is purified while it circulates.",
    "A scintillator glows when it is hit.",
)


class Service(FaultServer):
    """A LiteLLM proxy as the tests of front ends need it. `latency`: seconds before vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.latency = 0.0
        rows = [_row(name, *prices) for name, prices in PRICES.items()]
        rows.append(_row(EMBEDDER, 2e-08, None, mode="embedding", output_vector_size=8))
        self.always("/model/info", json_answer({"data": rows}))
        key = {"spend": 1.0143, "max_budget": 2.0, "budget_reset_at": "2031-01-01T00:00:00Z"}
        self.always("/key/info", json_answer({"key": "hash", "info": key}))
        self.always("/user/info", json_answer({"user_info": {"spend": 3.2, "max_budget": 50.0}}))

    def __enter__(self) -> Service:
        self.start()
        return self

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("/embeddings"):
            return _vectors(request.body).after(self.latency)
        return super().answer(request)

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads to it."""
        return {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": self.url, "CBORG_MODEL": MODEL}


def streamed(delay: float = 0.0) -> Answer:
    """A long answer with all that Markdown has, in pieces."""
    pieces = [MARKDOWN[at : at + 12] for at in range(0, len(MARKDOWN), 12)]
    return chat_stream(*spaced(pieces, delay), usage=usage(21, 180), model=MODEL)


def setup(service: Service, home: Path) -> str:
    """The first cell: the service's address, a home of its own, the extension."""
    variables = service.variables | {"CBORG_HOME": str(home)}
    return f"import os\nos.environ |= {variables!r}\n%load_ext cborg_magics"


CELLS = (
    "%%chat\nTell me about the detector.",
    "%models",
    "%models anthropic/claude-sonnet",
    f"%embed -o found {list(SENTENCES)!r}",
    "found.search('Which detector sees light?', k=3)",
    "found.plot()",
    "%chat --once --context found -k 2 Which detector sees light?",
    "%chat --once -m anthropic/claude-sonnet How much?",
    "%spend",
)
ERROR = "%chat --modle x hello"
# Where they stand, with the set-up before them and the error after them.
ANSWER, LIST, CARD, EMBEDDED, HITS, MAP, CITED, PRICED, SPENT, WRONG = range(1, 11)


def cells(service: Service, home: Path) -> list[str]:
    """The whole notebook. The error is its last cell: it ends Run All."""
    return [setup(service, home), *CELLS, ERROR]


def script(service: Service, delay: float = 0.0) -> None:
    """What the three questions of the notebook are answered."""
    cited = "A photomultiplier sees single photons [1]."
    service.script(
        CHAT,
        streamed(delay),
        chat_stream(cited, usage=usage(80, 9), model=MODEL),
        chat_stream("About 5 dollars.", usage=usage(2000, 300), model="anthropic/claude-sonnet"),
    )


@dataclass(frozen=True)
class Ran:
    """The notebook after its run: the file, each cell as a person read it, and all that was seen
    of the first answer while it came."""

    notebook: nbformat.NotebookNode
    texts: tuple[str, ...]
    seen: tuple[str, ...]

    def copy(self) -> Any:
        """The file's notebook, to be changed."""
        return copy.deepcopy(self.notebook)

    def outputs(self, cell: int | None = None) -> list[Any]:
        """The outputs of one cell, or of all, that show something."""
        chosen = self.notebook.cells if cell is None else [self.notebook.cells[cell]]
        return [output for each in chosen for output in each.outputs if "data" in output]

    def plain(self, cell: int) -> str:
        """The text/plain of a cell."""
        return "\n".join(output.data["text/plain"] for output in self.outputs(cell))


def run(lab: JupyterLab, service: Service, home: Path, pictures: Path) -> Ran:
    """Run the whole notebook in a front end, and save it."""
    from tests.front_ends.lab import notebook

    path = notebook(lab.root / "everywhere.ipynb", cells(service, home))
    script(service, delay=0.05)
    lab.open(path.name)
    lab.run_all(wait=False)
    seen = [lab.text(ANSWER)]
    deadline = time.monotonic() + 60
    while "turn 1 of main" not in seen[-1]:
        assert time.monotonic() < deadline, seen[-1]
        lab.page.wait_for_timeout(40)
        if (text := lab.text(ANSWER)) != seen[-1]:
            seen.append(text)
    lab.wait()
    texts = tuple(lab.text(cell) for cell in range(len(CELLS) + 2))
    lab.resize(1100, 3200)
    lab.settle()
    lab.screenshot(pictures / "notebook7.png")
    lab.resize(1280, 1400)
    lab.save()
    saved = nbformat.read(path, as_version=4)
    lab.close()
    return Ran(saved, texts, tuple(seen))


def _row(
    name: str, prompt: float | None, completion: float | None, mode: str = "chat", **more: Any
) -> dict[str, Any]:
    info = {"mode": mode, "input_cost_per_token": prompt, "output_cost_per_token": completion}
    info |= {"max_input_tokens": 128_000, "supports_vision": name.startswith("anthropic"), **more}
    behind = name if "/" in name and not name.startswith("lbl/") else "hosted_vllm/gemma-4"
    return {"model_name": name, "litellm_params": {"model": behind}, "model_info": info}


def _vectors(body: dict[str, Any]) -> Answer:
    asked = body["input"]
    texts = [asked] if isinstance(asked, str) else asked
    data = [
        {"object": "embedding", "index": index, "embedding": encoder.vector(text)}
        for index, text in enumerate(texts)
    ]
    words = sum(len(text.split()) for text in texts)
    counts = {"prompt_tokens": words, "total_tokens": words}
    body = {"object": "list", "model": body["model"], "data": data, "usage": counts}
    return json_answer(body, headers={"x-litellm-response-cost": f"{words * 2e-08:.12f}"})
