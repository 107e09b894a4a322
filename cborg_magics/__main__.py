"""What can be done from a command line? `python -m cborg_magics doctor` says if all is set up."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import cborg_magics

HERE = (
    "cborg_magics is for notebooks: %load_ext cborg_magics, then %chat.\n"
    "On this line: python -m cborg_magics doctor [--ask | --system], or --version."
)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and where to go."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n{HERE}\n")


def main(words: Sequence[str] | None = None) -> int:
    """Do what the line says; 0 if all is well, 1 if something is to be mended."""
    parser = _Parser(prog="python -m cborg_magics", description=HERE.partition("\n")[0])
    parser.add_argument("--version", action="version", version=cborg_magics.__version__)
    commands = parser.add_subparsers(dest="command", metavar="doctor")
    doctor = commands.add_parser("doctor", help="is it set up right?")
    which = doctor.add_mutually_exclusive_group()
    which.add_argument(
        "--ask", action="store_true", help="ask the model for one word, for its price"
    )
    which.add_argument(
        "--system", action="store_true", help="for admins: is it there for everybody?"
    )
    args = parser.parse_args(words)
    if not args.command:
        print(HERE)
        return 0
    from cborg_magics.doctor import machine, person

    try:
        return machine.examine() if args.system else person.examine(ask=args.ask)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    except BrokenPipeError:  # the reader, a pager perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
