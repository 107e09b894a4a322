"""What do the words after a magic's name mean? IPython's own parser, its traps removed.

`parse_argstring` keeps the quotes of `-s "be brief"`, answers an unclosed one
with a traceback, and would take a question's words for options. Here options
come first, and what follows them is the text, exactly as typed.
"""

from __future__ import annotations

import argparse
import inspect
import keyword
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import construct_parser

from cborg_magics.errors import BadOption

_Magic = TypeVar("_Magic", bound=Callable[..., object])
_INDENT = 28  # where the words on an option begin
_OPTION = re.compile(r"\s*(--?[A-Za-z][\w-]*)(=|(?=\s|$))")
_END = re.compile(r"\s*--(?=\s|$)")
_VALUE = re.compile(r"""\s*("(?:[^"\\]|\\.)*"(?=\s|$)|'[^']*'(?=\s|$)|[^\s"']\S*)""")


def read(magic: Any, line: str) -> tuple[argparse.Namespace, str]:
    """The options at the head of `line`, and the text after them as typed.

    `--` ends the options: needed only for a text that begins like one.
    Raises `BadOption`.
    """
    its = parser(magic)
    flags, rest = _flags(its, magic.__name__, line)
    return _parse(its, flags, magic.__name__), rest


def read_words(magic: Any, line: str) -> tuple[argparse.Namespace, list[str]]:
    """Options and words, in whatever order; for magics that take no text. Raises `BadOption`."""
    its = parser(magic)
    flags, rest = _flags(its, magic.__name__, line)
    words = []
    while rest:
        word = _VALUE.match(rest)
        if not word:
            raise BadOption(f"%{magic.__name__}: a quote is not closed in {rest!r}.")
        words.append(_unquoted(word[1]))
        more, rest = _flags(its, magic.__name__, rest[word.end() :])
        flags += more
    return _parse(its, flags, magic.__name__), words


def _flags(parser: argparse.ArgumentParser, name: str, line: str) -> tuple[list[str], str]:
    """The options at the head of `line` with their values, and what follows them."""
    words: list[str] = []
    position = 0
    while found := _OPTION.match(line, position):
        flag, position = found[1], found.end()
        action = parser._option_string_actions.get(flag)
        if action is None:
            raise BadOption(f"%{name} has no option {flag}.", _meant(flag, parser, name))
        words.append(flag)
        if action.nargs == 0:
            if found[2]:
                raise BadOption(f"%{name}: {flag} takes no value.")
            continue
        value = _VALUE.match(line, position)
        if not value:
            fault = "a quote is not closed" if line[position:].strip() else "a value is missing"
            raise BadOption(f"%{name}: {fault} after {flag}.", f"%{name}? tells more.")
        words.append(_unquoted(value[1]))
        position = value.end()
    if found := _END.match(line, position):
        position = found.end()
    return words, line[position:].strip()


def manual(magic: _Magic) -> _Magic:
    """For a magic with `@argument`s, in the place of IPython's `magic_arguments`.

    Its parser and its manual are made when they are asked for: every kernel of a hub loads all
    magics, and few use them. `%chat?` asks `getdoc` before it looks for a docstring.
    """
    magic.getdoc = lambda: _manual(parser(magic))  # type: ignore[attr-defined]
    return magic


def parser(magic: Any) -> argparse.ArgumentParser:
    """What reads the options of a magic."""
    return _made(getattr(magic, "__func__", magic))


@cache
def _made(magic: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = construct_parser(magic)
    return made


def _manual(parser: argparse.ArgumentParser) -> str:
    """What a magic does, examples, one line for each option.

    IPython's own begins with all options in brackets, before a word is said of what they do.
    """
    said = inspect.cleandoc(parser.description or "").replace("::\n", ":\n")
    return "\n".join([said, "", "Options:", *map(_entry, parser._actions)])


def _entry(action: argparse.Action) -> str:
    """An option and what it means, in lines of 80 characters.

    >>> print(_entry(argparse.Action(["-k"], "k", metavar="N", help="how many passages")))
      -k N                      how many passages
    """
    import textwrap  # for the manual alone

    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    flags = f"  {', '.join(action.option_strings)}{value}"
    words = textwrap.wrap((action.help or "").replace("%%", "%"), 80 - _INDENT)
    if len(flags) < _INDENT - 1:
        flags = flags.ljust(_INDENT) + words.pop(0)
    return "\n".join([flags, *(" " * _INDENT + line for line in words)])


def options(magic: Any) -> list[str]:
    """Every option of a magic, as typed: `-m`, `--model`, ..."""
    return [flag for flag in parser(magic)._option_string_actions if flag not in ("-h", "--help")]


def takes_value(magic: Any, flag: str) -> bool:
    """Is `flag` an option whose value stands behind it?"""
    action = parser(magic)._option_string_actions.get(flag)
    return action is not None and action.nargs != 0


def _parse(parser: argparse.ArgumentParser, words: list[str], name: str) -> argparse.Namespace:
    try:
        return parser.parse_args(words)
    except UsageError as problem:
        raise BadOption(f"%{name}: {problem}", f"%{name}? tells more.") from None


def _unquoted(word: str) -> str:
    """A value without its quotes.

    >>> _unquoted('"be \\\\"very\\\\" brief"'), _unquoted("it's")
    ('be "very" brief', "it's")
    """
    if word[0] == '"':
        return re.sub(r'\\(["\\])', r"\1", word[1:-1])
    return word[1:-1] if word[0] == "'" else word


def _meant(flag: str, parser: argparse.ArgumentParser, name: str) -> str:
    import difflib  # for mistakes alone

    near = difflib.get_close_matches(flag, parser._option_string_actions, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return f"{hint}%{name}? lists the options; a text that begins like one goes after `--`."


# -- types of values, for argparse ---------------------------------------------------------


def thread_name(text: str) -> str:
    if not text.strip() or len(text.split()) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one word")
    return text


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def variable_name(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a variable's name")
    return text
