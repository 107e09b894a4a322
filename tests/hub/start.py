"""What does the extension cost at the start of a kernel? Measured in real kernels, in turn.

    python -m tests.hub.start [ROUNDS]

Each round starts a kernel without it, one that has it in `extra_extensions`, and one that has it
in `lazy_magics`, in random order, with bytecode as pip installs it. Other work on the machine
makes a start slower, never faster: the quickest of many starts say most.
"""

from __future__ import annotations

import compileall
import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from jupyter_client.manager import KernelManager

import cborg_magics
from tests.services.processes import scratch

ROUNDS = 30
NAMES = "('chat', 'embed', 'models', 'spend')"
WAYS = {
    "without": "",
    "extra_extensions": "c.InteractiveShellApp.extra_extensions = ['cborg_magics']",
    "lazy_magics": f"c.MagicsManager.lazy_magics = dict.fromkeys({NAMES}, 'cborg_magics')",
}


@dataclass
class Starts:
    """Starts of kernels of one kind, each in seconds: from the wish to the first reply, and of a
    processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(rounds: int, ways: Sequence[str] = tuple(WAYS)) -> dict[str, Starts]:
    """Start kernels of each kind, `rounds` times."""
    found = {way: Starts() for way in ways}
    with scratch() as folder:
        shutil.copytree(Path(cborg_magics.__file__).parent, folder / "site" / "cborg_magics")
        compileall.compile_dir(folder / "site", quiet=1, force=True)
        for way in ways:
            profile = folder / way / "profile_default"
            profile.mkdir(parents=True)
            (profile / "ipython_kernel_config.py").write_text(f"c = get_config()\n{WAYS[way]}\n")
            _start(folder, way)  # IPython makes its folders, the disk's pages are read
        for _ in range(rounds):
            for way in random.sample(ways, len(ways)):
                wall, cpu = _start(folder, way)
                found[way].wall.append(wall)
                found[way].cpu.append(cpu)
    return found


def _start(folder: Path, way: str) -> tuple[float, float]:
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
            "import sys, time\nprint(time.process_time(), 'cborg_magics' in sys.modules)",
            timeout=60,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
        cpu, loaded = "".join(said).split()
        assert loaded == str(way == "extra_extensions"), way
        return wall, float(cpu)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def main() -> None:
    """Measure, and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    found = measure(rounds)
    print(f"{rounds} starts each; ratios are to a kernel without the extension")
    for kind in ("wall", "cpu"):
        base: list[float] = getattr(found["without"], kind)
        for way, starts in found.items():
            taken: list[float] = getattr(starts, kind)
            rows = {
                "least": (min(taken), min(base)),
                "quarter": (quantiles(taken, n=4)[0], quantiles(base, n=4)[0]),
                "median": (median(taken), median(base)),
            }
            shown = (f"{name} {a * 1e3:4.0f} ms ({a / b:.3f})" for name, (a, b) in rows.items())
            print(f"{kind:4}  {way:16}  " + "   ".join(shown))


if __name__ == "__main__":
    main()
