"""A list of models is quiet, escaped, and says only what is known."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from cborg_magics.catalogue import Kind, Model, Prices
from cborg_magics.checking import Checked
from cborg_magics.display import model_list
from cborg_magics.display.model_list import Listing
from cborg_magics.exchange import Cost, Source
from cborg_magics.pricing import FREE

HOSTILE = "<img src=x onerror=alert(1)>' onmouseover='x\x1b[31m\u202e\n"


def listing(*models: Model, **more: object) -> Listing:
    made = Listing(
        "a <b>service</b>", models, len(models), "", "", datetime.now(timezone.utc), timedelta()
    )
    return replace(made, **more)  # type: ignore[arg-type]


def tags(html: str) -> set[str]:
    return set(re.findall(r"<(/?[a-z]+)", html))


def test_nothing_of_a_server_is_markup() -> None:
    model = Model(HOSTILE, underlying=HOSTILE)
    found = [Checked(HOSTILE, False, HOSTILE, 0.1, FREE)]
    outputs = [
        model_list.table(listing(model, notes=(HOSTILE,))),
        model_list.card(model, [HOSTILE], [HOSTILE]),
        model_list.checked(found, 2, 1.0),
    ]
    for output in outputs:
        inner = tags(output["text/html"])
        assert {tag.lstrip("/") for tag in inner} <= {
            *("table", "caption", "thead", "tbody", "tr", "th", "td", "div", "span")
        }
        assert not re.search(r"<[^>]*onmouseover", output["text/html"])
        assert not re.search("[\x1b\u202e]", output["text/html"] + output["text/plain"])


@pytest.mark.parametrize(
    ("prices", "kind", "cells"),
    [
        (Prices(Decimal("3e-6"), Decimal("15e-6")), Kind.CHAT, ("3.00", "15.00")),
        (Prices(Decimal(0), Decimal(0)), Kind.CHAT, ("free", "free")),
        (Prices(), Kind.CHAT, ("no price told", "")),
        (Prices(Decimal("2e-8"), Decimal(0)), Kind.EMBEDDING, ("0.02", "")),
        (Prices(None, Decimal(0)), Kind.EMBEDDING, ("no price told", "")),
        (Prices(Decimal(0), Decimal(0)), Kind.EMBEDDING, ("free", "")),
        (Prices(Decimal(0), Decimal("1e-6")), Kind.CHAT, ("0", "1.00")),
        (Prices(Decimal("1e-6"), None), Kind.CHAT, ("1.00", "not told")),
    ],
)
def test_free_is_not_unpriced(prices: Prices, kind: Kind, cells: tuple[str, str]) -> None:
    assert model_list.prices(Model("m", kind, prices=prices)) == cells


def test_a_check_sums_up_what_is_known() -> None:
    billed = Cost(Decimal("0.002"), Source.BILLED)
    found = [
        Checked("a", True, "yes", 1.2, billed),
        Checked("b", True, "yes", 0.4, Cost(None, Source.UNKNOWN)),
        Checked("c", False, "no such model", 0.1, FREE),
    ]
    assert model_list.checks(found, 5, 3.0) == (
        "2 of 3 models answer · 2 not asked yet · $0.00200 · cost unknown of 1 · 3.0 s"
    )
    lines = model_list.checked(found, 3, 3.0)["text/plain"].splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["c", "a", "b"]


def test_an_empty_list_has_no_table() -> None:
    output = model_list.table(listing(notes=("Nothing.",)))
    assert "<table" not in output["text/html"]
    assert output["text/plain"].endswith("\nNothing.")
