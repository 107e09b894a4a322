"""Whose vectors are these? Only those of one model, at one service, can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from cborg_magics.errors import DifferentModel

# Models whose vectors share one space, as their makers declare.
SPACES = ({"nomic-embed-text", "nomic-embed-vision"},)

HERE = "local"  # the embedded encoder's service


@dataclass(frozen=True)
class Origin:
    """Where vectors come from: a `model` of a `service` (its name, or its host's)."""

    service: str
    model: str

    @property
    def space(self) -> tuple[str, str]:
        """What must be equal for two vectors to be compared."""
        # CBorg lists its own models with and without lbl/: they are the same.
        name = self.model.removeprefix("lbl/")
        shared = next((sorted(models)[0] for models in SPACES if name in models), name)
        return self.service, shared

    def must_match(self, other: Origin) -> None:
        """Raises `DifferentModel` if vectors from here and from there cannot be compared."""
        if self.space != other.space:
            raise DifferentModel(
                f"vectors of {self} and of {other} cannot be compared",
                "Embed both with one model of one service.",
            )

    def __str__(self) -> str:
        return f"{self.model} {'on this machine' if self.service == HERE else f'at {self.service}'}"
