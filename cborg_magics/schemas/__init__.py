"""What shape must an answer have, and has it? `Shape` is all that the rest needs."""

from cborg_magics.schemas.shape import Shape

__all__ = ["Shape"]
