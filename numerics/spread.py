"""Numbers that are spread without a generator: the same in every process, restart and replay."""

import numpy as np
import numpy.typing as npt

GOLDEN_RATIO = 0.6180339887498949
"""The parts of its multiples beyond the point fill [0, 1) evenly, in an order that repeats nothing."""
GOLDEN_WORD = np.uint64(0x9E3779B97F4A7C15)
"""The same for words of 64 bits, by which SplitMix64 steps."""
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return each word so mixed that equal distances leave no trace; SplitMix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in _MIX:
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words ^ (words >> np.uint64(31))
