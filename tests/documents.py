"""How are the documents run? Block by block, from the top, as a reader would.

A page says in a comment what it is tested with: `<!-- tested with: the embedded model -->` or
`<!-- tested with: a LiteLLM proxy -->`. Of its fences

- `python`, and one without a language that begins with `%`, are cells of one kernel;
- `sh` is given to a shell, in the folder of that kernel;
- `text` is what the block before it printed, but for numbers and dates; a line `...` stands for
  what is left out.

A comment in the line before a fence may say `raises: NAME`, `command: NAME` (`.ci/run` runs it),
or `not run: REASON`. What a reader has already stands in a comment `<!-- setup ... -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.front_ends.kernel import Kernel, Run

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "examples" / "how-to"
PAGES = [ROOT / "README.md", *sorted(HOW_TO.glob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$"
    r"|^<!-- setup\n(?P<setup>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
LANGUAGES = {"python": "cell", "sh": "shell", "text": "output"}
MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"


@dataclass(frozen=True)
class Block:
    """A fence of a page: `kind` is cell, shell, output, setup, or what nobody can run."""

    page: Path
    line: int
    kind: str
    text: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}"

    def noted(self, word: str) -> str:
        """What the comment before the fence says after `word:`."""
        found, _, rest = self.note.partition(": ")
        return rest if found == word else ""

    @property
    def runs(self) -> bool:
        return not self.noted("not run") and not self.noted("command")


def blocks(page: Path) -> list[Block]:
    """The fences of a page, from the top."""
    text = page.read_text(encoding="utf-8")
    return [_block(page, text, found) for found in FENCE.finditer(text)]


def _block(page: Path, text: str, found: re.Match[str]) -> Block:
    line = text.count("\n", 0, found.start()) + 1
    if found["setup"]:
        return Block(page, line, "setup", found["setup"])
    magic = found["language"] == "" and found["text"].startswith("%")
    kind = "cell" if magic else LANGUAGES.get(found["language"], found["language"] or "nothing")
    return Block(page, line, kind, found["text"], found["note"] or "")


def service_of(page: Path) -> str:
    """The service that the page's blocks ask."""
    found = re.search(r"^<!-- tested with: (.+) -->$", page.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "nothing"


@dataclass(frozen=True)
class Seen:
    """What a block printed, and the name of the error that ended it."""

    text: str
    error: str = ""


class Reader:
    """Someone who runs the blocks: one kernel and one shell, in one folder."""

    def __init__(self, kernel: Kernel, folder: Path, environment: dict[str, str], key: str) -> None:
        self._kernel, self._folder, self._environment = kernel, folder, environment
        self._key = key
        self._seen = Seen("")

    def run(self, block: Block) -> Seen:
        """Run a block, or compare an output with what was seen last."""
        if block.kind == "output":
            return self._compare(block)
        seen = self._shell(block) if block.kind == "shell" else self._cell(block)
        if block.kind != "setup":
            self._seen = seen
        return seen

    def _compare(self, block: Block) -> Seen:
        rest = shape(self._seen.text)
        for part in re.split(r"^\.\.\.$", block.text, flags=re.MULTILINE):
            _, found, rest = rest.partition(shape(part)) if part.strip() else ("", " ", rest)
            if not found:
                return Seen(self._seen.text, f"not printed: {part.strip()}")
        return Seen("")

    def _cell(self, block: Block) -> Seen:
        begun = self._kernel.begin(block.text.rstrip("\n"), cell=f"line-{block.line}")
        if "getpass" in block.text:
            self._kernel.client.get_stdin_msg(timeout=60)
            self._kernel.client.input(self._key)
        run = self._kernel.end(begun, timeout=180)
        named = run.error["ename"] if run.error else "an error"  # IPython shows some as mere text
        return Seen(_words(run), "" if run.status == "ok" else named)

    def _shell(self, block: Block) -> Seen:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        error = f"exit code {ran.returncode}" if ran.returncode else ""
        return Seen(ran.stdout + ran.stderr, error)


def _words(run: Run) -> str:
    told = [*run.plain, *run.error_lines]
    told += [output["text"] for output in run.outputs if output["output_type"] == "stream"]
    return "\n".join(told)


def shape(text: str) -> str:
    """An output without what differs from run to run: numbers, dates, where its lines break.

    >>> shape("spent   $0.0123 of $2.00, resets on 1\\n        Dec 2026.")
    'spent $0 of $0, resets on 0.'
    """
    text = re.sub(rf"\d+ {MONTH}(?: \d{{4}})?", "0", " ".join(text.split()))
    return re.sub(r"\d+(?:[.,]\d+)*", "0", text)


@contextmanager
def reader(folder: Path, environment: dict[str, str], key: str = "") -> Iterator[Reader]:
    """Someone at a fresh notebook in `folder`, who types `key` where a key is asked for."""
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    environment = environment | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    kernel = Kernel(environment, load=False)
    try:
        kernel.run(f"%cd -q {folder}")
        yield Reader(kernel, folder, environment, key)
    finally:
        kernel.close()
