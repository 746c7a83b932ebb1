"""Spread numbers, against the published generator."""

import numpy as np

from numerics.spread import GOLDEN_WORD, mixed


def test_words_are_those_of_the_published_generator() -> None:
    with np.errstate(over="ignore"):
        words = mixed(np.arange(1, 4, dtype=np.uint64) * GOLDEN_WORD + np.uint64(1234567))
    # Of the reference implementation in C by Vigna, seeded with 1234567.
    assert words.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
