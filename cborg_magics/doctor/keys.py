"""What must not be shown? Every key that is set, its end, and a password in an address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from cborg_magics.errors import without_keys

KEYS = ("CBORG_API_KEY", "LITELLM_API_KEY", "LLMBASE_API_KEY", "OPENAI_API_KEY")
KEY_FILE = "CBORG_API_KEY_FILE"
LEAST = 8  # characters; "none" and "ollama", for servers that want any key, are words


def secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """Every key that is set, also one that is malformed, the longest first."""
    texts = [environ.get(name, "") for name in KEYS]
    with suppress(KeyError, OSError, ValueError, RuntimeError):
        texts.append(Path(environ[KEY_FILE].strip()).expanduser().read_text(encoding="utf-8"))
    words = {word for text in texts for word in (text.strip(), *text.split())}
    yield from sorted((word for word in words if len(word) >= LEAST), key=len, reverse=True)


def hide(text: str, known: Iterable[str]) -> str:
    """`text` without the keys that are `known`, and without what looks like one.

    >>> hide("Received sk-...1234 from https://me:pass@host, hunter2hunter2", ["hunter2hunter2"])
    'Received [key] from https://[key]@host, [key]'
    >>> hide("Received sk-...1234", ["sk-abcdef1234"])
    'Received [key]'
    """
    known = list(known)
    text = re.sub(r"(?<=://)[^/@\s]+(?=@)", "[key]", text)
    for end in {secret[-4:] for secret in known}:  # LiteLLM tells the last four characters
        text = re.sub(rf"[\w-]*(\.{{2,}}|…|\*+){re.escape(end)}(?!\w)", "[key]", text)
    return without_keys(text, *known)
