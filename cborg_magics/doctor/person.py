"""Is it set up right for me? The table of what is looked at, in the order of the screen."""

from __future__ import annotations

import os
from functools import partial

from cborg_magics.doctor import answers, configured, here
from cborg_magics.doctor.case import case
from cborg_magics.doctor.report import show


def examine(ask: bool = False) -> int:
    """Show all of it; 1 if something is to be mended."""
    found = case(os.environ, ask)
    found.connect()
    return show([(label, partial(check, found)) for label, check in CHECKS], found.hide)


CHECKS = (
    ("version", configured.version),
    ("service", configured.service),
    ("key", configured.key),
    ("settings", configured.settings),
    ("models", answers.models),
    ("answer", answers.answer),
    ("budget", answers.budget),
    ("caps", answers.caps),
    ("spent", answers.spent),
    ("home", here.home),
    ("embedded", here.embedded),
    ("extras", here.extras),
)
