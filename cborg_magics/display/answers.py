"""What does a reader see of the answers that are kept?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cborg_magics.display import tables, wording
from cborg_magics.display.notebook import quiet
from cborg_magics.display.tables import Column

if TYPE_CHECKING:
    from cborg_magics.answers.folder import Holding

COLUMNS = (
    *(Column("service"), Column("model"), Column("answers", right=True)),
    *(Column("cost when asked", right=True), Column("size", right=True)),
)


def holdings(found: Sequence[Holding], path: str) -> dict[str, Any]:
    """What is kept, and what it would cost to ask again."""
    if not found:
        words = f"No answers are kept in {path}."
        return {"text/html": quiet(words), "text/plain": words}
    rows = [
        [each.host, each.model, f"{each.count:,}", cost(each), wording.size(each.octets)]
        for each in found
    ]
    title = f"answers kept in {path}"
    return {
        "text/html": tables.html(COLUMNS, rows, title),
        "text/plain": tables.plain(COLUMNS, rows, title),
    }


def cost(holding: Holding) -> str:
    """What the answers of a model cost, and how that is known.

    >>> from decimal import Decimal
    >>> from cborg_magics.answers.folder import Holding
    >>> from cborg_magics.exchange import Cost, Source
    >>> cost(Holding("host", "model", 3, Cost(Decimal("0.0042"), Source.BILLED), 1, 900))
    '$0.00420 billed, 1 unknown'
    """
    told = [wording.cost(holding.cost)] if holding.unknown < holding.count else []
    return ", ".join([*told, *([f"{holding.unknown:,} unknown"] if holding.unknown else [])])
