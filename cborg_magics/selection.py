"""Which models are wanted, and in what order? What `%models` and its controls ask of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cborg_magics.catalogue import Kind, Model
from cborg_magics.exchange import Location

MILLION = 1_000_000
NEAR = (Location.ON_PREMISES, Location.HERE)  # proved, both


@dataclass(frozen=True)
class Wanted:
    """What a model must be to be listed; what is not told of it counts as no.

    `words` are parts of its name, or of what stands behind it. `max_price` is in US dollars per
    million tokens in, `context` the least number of tokens that it takes. `sort` is one of
    `SORTS`; "" leaves the service's order.
    """

    words: tuple[str, ...] = ()
    vision: bool = False
    tools: bool = False
    embed: bool = False
    cached: bool = False
    free: bool = False
    on_prem: bool = False
    max_price: Decimal | None = None
    context: int | None = None
    sort: str = ""

    def of(self, models: Iterable[Model]) -> list[Model]:
        """The models that are wanted, in the order that is wanted."""
        found = [model for model in models if self._wants(model)]
        return sorted(found, key=SORTS[self.sort]) if self.sort else found

    def __str__(self) -> str:
        """What a model must be, in words; empty if nothing is asked.

        >>> str(Wanted(("claude",), vision=True, max_price=Decimal(5), sort="price"))
        'claude, vision, at most $5/M in, by price'
        """
        said = {
            "vision": self.vision,
            "tools": self.tools,
            "embed": self.embed,
            "cached": self.cached,
            "free": self.free,
            "on-premises": self.on_prem,
            f"at most ${self.max_price}/M in": self.max_price is not None,
            f"{self.context or 0:,} tokens": self.context is not None,
            f"by {self.sort}": self.sort,
        }
        return ", ".join([*self.words, *(words for words, wanted in said.items() if wanted)])

    def _wants(self, model: Model) -> bool:
        names = f"{model.name} {model.underlying or ''}".lower()
        price = model.prices.prompt
        return (
            all(word.lower() in names for word in self.words)
            and not (self.vision and not model.vision)
            and not (self.tools and not model.tools)
            and not (self.embed and model.kind is not Kind.EMBEDDING)
            and not (self.cached and not keeps(model))
            and not (self.free and not model.prices.free)
            and not (self.on_prem and model.location not in NEAR)
            and (self.max_price is None or (price is not None and self._affords(price)))
            and (self.context is None or (model.max_input_tokens or 0) >= self.context)
        )

    def _affords(self, price: Decimal) -> bool:
        # Services write 0.000005 as 4.9999999999999996e-06, and the other way round.
        return self.max_price is not None and round(price * MILLION, 6) <= self.max_price


def keeps(model: Model) -> bool:
    """Can a prompt be kept by the service, and read again for less?"""
    return bool(model.caching) or model.prices.cached is not None


def _by_price(model: Model) -> tuple[bool, Decimal, Decimal]:
    """Free ones first; those that tell no price last."""
    prompt, completion = model.prices.prompt, model.prices.completion
    return prompt is None, prompt or Decimal(0), completion or Decimal(0)


def _by_context(model: Model) -> int:
    return -(model.max_input_tokens or 0)


def _by_name(model: Model) -> str:
    return model.name.lower()


SORTS: dict[str, Callable[[Model], Any]] = {
    "price": _by_price,
    "context": _by_context,
    "name": _by_name,
}
