"""What does the extension cost at the start of a kernel? Measured in real kernels, in turn.

Each round starts a kernel without it, one that has it as examples/hub gives it to everybody, and
one that has it in `lazy_magics`, in random order, with bytecode as pip installs it. Other work on
the machine makes a start slower, never faster.

`shares` is a kernel's own account of it, which other work on the machine makes no better and no
worse.
"""

from __future__ import annotations

import compileall
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from jupyter_client.manager import KernelManager

import cborg_magics
from tests.bench.table import Figure, ratio
from tests.hub.machine import REPOSITORY
from tests.services.processes import scratch

EXAMPLE = REPOSITORY / "examples" / "hub"
ROUNDS, SHARES = 10, 5
MOST = 0.05
NAMES = "('chat', 'embed', 'models', 'spend')"
LOADED = "'cborg_magics' in sys.modules"
FILE = "ipython_kernel_config.py"
LATER = "50-cborg_magics.py"
WAYS: dict[str, dict[str, str]] = {
    "without": {},
    "example": {
        FILE: (EXAMPLE / FILE).read_text(encoding="utf-8"),
        f"startup/{LATER}": (EXAMPLE / LATER).read_text(encoding="utf-8"),
    },
    "lazy": {
        FILE: "c = get_config()\n"
        f"c.MagicsManager.lazy_magics = dict.fromkeys({NAMES}, 'cborg_magics')\n"
    },
}


@dataclass
class Starts:
    """Starts of kernels of one kind, each in seconds: from the wish to the first reply, and of a
    processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def shares(rounds: int) -> list[float]:
    """What kernels give to the extension, of a processor's time, as a part of all else that their
    start takes; one figure for each of `rounds` starts."""
    clock = "import time\nread = time.process_time()\ndef load_ipython_extension(shell): pass\n"
    loaded = "c.InteractiveShellApp.extra_extensions = ['before', 'cborg_magics', 'after']"
    with _installed() as folder:
        for name in ("before", "after"):
            (folder / "site" / f"{name}.py").write_text(clock)
        profile = folder / "clocks" / "profile_default"
        profile.mkdir(parents=True)
        (profile / FILE).write_text(f"c = get_config()\n{loaded}\n")
        asked = "sys.modules['after'].read - sys.modules['before'].read"
        starts = [_start(folder, "clocks", asked) for _ in range(rounds)]
    return [float(said) / (cpu - float(said)) for _, cpu, said in starts]


@contextmanager
def _installed() -> Iterator[Path]:
    """A folder with a copy of the package in `site`, with bytecode as pip makes it."""
    with scratch() as folder:
        shutil.copytree(Path(cborg_magics.__file__).parent, folder / "site" / "cborg_magics")
        compileall.compile_dir(folder / "site", quiet=1, force=True)
        yield folder


def in_turn(rounds: int, ways: Sequence[str] = tuple(WAYS)) -> dict[str, Starts]:
    """Start kernels of each kind, `rounds` times."""
    found = {way: Starts() for way in ways}
    with _installed() as folder:
        for way in ways:
            profile = folder / way / "profile_default"
            (profile / "startup").mkdir(parents=True)
            for name, text in WAYS[way].items():
                (profile / name).write_text(text, encoding="utf-8")
            _start(folder, way)  # IPython makes its folders, the disk's pages are read
        for _ in range(rounds):
            for way in random.sample(ways, len(ways)):
                wall, cpu, loaded = _start(folder, way)
                assert loaded == str(way == "example"), way
                found[way].wall.append(wall)
                found[way].cpu.append(cpu)
    return found


def _start(folder: Path, way: str, asked: str = LOADED) -> tuple[float, float, str]:
    """One start: seconds till the kernel is ready, seconds of a processor, what it said."""
    ours = {"IPYTHONDIR": str(folder / way), "PYTHONPATH": str(folder / "site")}
    manager = KernelManager(kernel_name="python3", transport="ipc")
    began = time.perf_counter()
    manager.start_kernel(env=os.environ | ours)
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        wall = time.perf_counter() - began
        said: list[str] = []
        client.execute_interactive(
            f"import sys, time\nprint(time.process_time(), {asked})",
            timeout=60,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
        cpu, answer = "".join(said).split()
        return wall, float(cpu), answer
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def measure() -> list[Figure]:
    """The share of a kernel's start, which other work on the machine makes no worse; and whole
    starts, in turn."""
    parts = shares(SHARES)
    note = f"{min(parts):.1%} to {max(parts):.1%} of all else that {SHARES} starts took"
    found = in_turn(ROUNDS)
    base = found.pop("without")
    return [
        Figure("the extension's part of a kernel's start", median(parts), "of it", MOST, note),
        *(
            ratio(f"a kernel's start, {way}: {kind}", getattr(starts, kind), getattr(base, kind))
            for way, starts in found.items()
            for kind in ("wall", "cpu")
        ),
    ]
