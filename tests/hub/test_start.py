"""A kernel with the extension starts as quickly as one without it, to within a twentieth."""

from __future__ import annotations

from statistics import median

from tests.hub.start import shares

MOST = 0.05
ROUNDS = 5


def test_a_kernel_starts_within_five_percent_of_one_without_it() -> None:
    assert median(shares(ROUNDS)) < MOST
