"""Which benchmarks are run, and do they meet their targets? `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time

from tests.bench.table import Figure, table

NAMES = ("load", "start", "stream", "models", "embed", "search", "lab")


def main(arguments: list[str] | None = None) -> int:
    """Run benchmarks and print their tables; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; or all")
    parser.add_argument("--report", action="store_true", help="exit with 0, whatever is missed")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    figures = [figure for name in options.names or NAMES for figure in run(name)]
    missed = sum(not figure.is_met for figure in figures)
    print(f"{missed} missed" if missed else "all targets met")
    return 1 if missed and not options.report else 0


def run(name: str) -> list[Figure]:
    """Run one benchmark and print its table."""
    before, began = os.getloadavg()[0], time.monotonic()
    figures: list[Figure] = importlib.import_module(f"tests.bench.{name}").measure()
    seconds, after = time.monotonic() - began, os.getloadavg()[0]
    print(f"{name}: {seconds:.0f} s; load of the machine {before:.1f} before, {after:.1f} after")
    print(table(figures), end="\n\n", flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
