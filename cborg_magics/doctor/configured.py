"""What is configured, and from where? The service, the key, the settings; no key is told."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib import metadata
from pathlib import Path

import cborg_magics
from cborg_magics import policy
from cborg_magics.doctor.case import Case
from cborg_magics.doctor.here import mode, open_to_others
from cborg_magics.doctor.keys import KEY_FILE, KEYS
from cborg_magics.doctor.report import LABEL, WIDTH, Found, Mend, Urgency, columns
from cborg_magics.settings import Credential, Settings

LEAST = 12  # characters of a setting
SERVICES = ("cborg", "litellm", "llmbase", "openai")  # the settings that hold a key
NEEDED = ("IPython", "openai")
FRONT_ENDS = {
    "JupyterLab": "jupyterlab",
    "Notebook": "notebook",
    "Jupyter console": "jupyter-console",
    "Voila": "voila",
}


def version(case: Case) -> Found:
    def version(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return ""

    python = ".".join(map(str, sys.version_info[:3]))
    needed = [f"{name} {version(name) or 'is missing'}" for name in NEEDED]
    ends = [f"{name} {version(dist)}" for name, dist in FRONT_ENDS.items() if version(dist)]
    yield ", ".join([cborg_magics.__version__, f"Python {python}", *needed, *ends])
    for name in NEEDED:
        if not version(name):
            yield Mend(Urgency.NOTHING_WORKS, f"{name} is missing: pip install {name}")


def service(case: Case) -> Found:
    for error in case.broken:
        yield Mend.of(error, Urgency.NOTHING_WORKS)
    if case.broken:
        yield "none is asked before the settings are mended"
        return
    if case.service is None:
        assert case.problem  # noqa: S101 - one of the two
        yield case.problem.what
        yield Mend.of(case.problem, Urgency.NOTHING_WORKS)
        return
    provider = case.service.provider
    why = _reason(case)
    where = "inside this process" if provider.here else f"at {case.service.root}"
    yield f"{provider.title} {where}, because {f'of {why}' if why else 'no key is set'}"
    yield from _half_set(case)


def _reason(case: Case) -> str:
    """The variable that has chosen the service; empty if none has."""
    if case.settings.provider:
        return "CBORG_PROVIDER"
    used = _used(case)
    if used is None or used.key:
        return _key_variable(case, used) if used else ""
    return used.key_variable.replace("API_KEY", "BASE_URL")


def _used(case: Case) -> Credential | None:
    """Whose key goes to the service."""
    service = case.service
    if service is None or service.provider.here:
        return None
    own = service.provider.credential(case.settings)
    return own if own and own.key == service.key else case.settings.cborg


def _key_variable(case: Case, credential: Credential) -> str:
    name = credential.key_variable
    return name if case.environ.get(name, "").strip() else KEY_FILE


def _half_set(case: Case) -> Found:
    """What was perhaps meant to choose a service, and does not."""
    if case.settings.provider or not (case.service and case.service.provider.here):
        return
    for credential in (case.settings.litellm, case.settings.openai):
        base = credential.key_variable.replace("API_KEY", "BASE_URL")
        pair = {credential.key_variable: credential.key, base: credential.base_url}
        if len(missing := [name for name, value in pair.items() if not value]) == 1:
            (there,) = pair.keys() - set(missing)
            words = f"{there} is set, {missing[0]} is not: no server is known by one of them"
            yield words
            if credential is case.settings.litellm:  # others use OpenAI's variables as well
                yield Mend(Urgency.NOTHING_WORKS, f"{words}. Set both.")
    if case.settings.llmbase.key:
        words = "LLMBASE_API_KEY is no API key of LLMBase; those begin with llmbase_"
        yield words
        yield Mend(Urgency.NOTHING_WORKS, f"{words}. Make one at its settings page.")


def key(case: Case) -> Found:
    used = _used(case)
    if used and used.key:
        yield from _one_key(case, used)
    elif case.service:
        yield "none is needed"
    others = [getattr(case.settings, name) for name in SERVICES]
    for other in (each for each in others if each.key and each != used):
        also = " as well" if case.service else ""
        yield f"{_key_variable(case, other)} is set{also}, and is not sent"
    if not case.service and not any(each.key for each in others):
        yield "none is set"


def _one_key(case: Case, used: Credential) -> Found:
    name = _key_variable(case, used)
    if name != KEY_FILE:
        yield f"{name}, from {case.origin(name)}"
        return
    path = Path(case.environ[KEY_FILE].strip()).expanduser()
    exposed = open_to_others(path)
    warning = ": others can read it" if exposed else ""
    yield f"{path}, mode {mode(path)}{warning}"
    yield f"named by {name}, from {case.origin(name)}"
    if exposed:
        yield Mend(Urgency.NOT_SAFE, f"Others can read your key: chmod 600 {path}")


def settings(case: Case) -> Found:
    rows = list(_changed(case))
    yield from columns(_fitting(rows)) if rows else ["all are the defaults"]
    for note in case.rules.notes:
        yield note
        yield Mend(Urgency.NOT_SAFE, f"{note} Your administrator can mend it.")
    yield from case.rules.ignored(os.environ)
    known = [*variables().values(), *KEYS, KEY_FILE, policy.LIST]
    known += [name.replace("API_KEY", "BASE_URL") for name in KEYS]
    for name in sorted(set(case.environ) - {*known, *case.rules.values}):
        if name.startswith("CBORG_") and (meant := difflib.get_close_matches(name, known, 1, 0.85)):
            yield f"{name} is read by nobody"
            yield Mend(Urgency.LESSER, f"{name} is read by nobody. Was {meant[0]} meant?")


def _fitting(rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The rows, with values that leave room for the rest of the line."""
    rest = max(len(name) for name, _, _ in rows) + max(len(origin) for _, _, origin in rows)
    room = max(WIDTH - LABEL - rest - 4, LEAST)
    return [
        (name, value if len(value) <= room else f"{value[: room - 1]}…", origin)
        for name, value, origin in rows
    ]


def _changed(case: Case) -> Iterator[tuple[str, str, str]]:
    """What is no default, or is locked: variable, value, origin."""
    default, names = Settings.read({}), variables()
    changed = {
        variable
        for name, variable in names.items()
        if getattr(case.settings, name) != getattr(default, name)
    }
    locked = [name for name in case.rules.values if name not in (*KEYS, *names.values())]
    for variable in (*names.values(), *locked):
        if variable in changed or variable in case.rules.values:
            value = " ".join(case.hide(case.environ.get(variable, "")).split())
            yield variable, value or "not set", case.origin(variable)


def variables() -> dict[str, str]:
    """The settings that one variable makes."""
    names = (f.name for f in fields(Settings) if f.name not in (*SERVICES, "locked"))
    return {name: f"CBORG_{name.upper()}" for name in names}
