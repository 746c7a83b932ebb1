"""Mean power by integration: a power holds over a stretch of time, and counts as known for as long.

The one rule by which energy becomes a mean, for samples, snapshots and models alike; each caller decides which stretch
a power may hold for. Energy is in kW times seconds, so that no sum is rounded by a unit.
"""

import numpy as np

from numerics.arrays import FloatArray, IntArray
from numerics.jit import njit


@njit()
def credit(energy_kws: FloatArray, known_s: FloatArray, place: int, power_kw: float, elapsed_s: float) -> None:
    """Let a power hold for ``elapsed_s`` at one place; both sums change in place."""
    energy_kws[place] += power_kw * elapsed_s
    known_s[place] += elapsed_s


@njit()
def hold(power_kw: FloatArray, energy_kws: FloatArray, known_s: FloatArray, elapsed_s: float) -> None:
    """Let every power that is not NaN hold for ``elapsed_s``; shape ``(n,)`` each, both sums change in place."""
    for place in range(len(power_kw)):
        if not np.isnan(power_kw[place]):
            credit(energy_kws, known_s, place, power_kw[place], elapsed_s)


@njit()
def credit_together(
    energy_kws: FloatArray, known_s: FloatArray, places: IntArray, power_kw: FloatArray, elapsed_s: FloatArray
) -> None:
    """Let several powers that are known together hold over stretches, one stretch after the other.

    Args:
        energy_kws: Energy of every power, changed in place, shape ``(k, m)``.
        known_s: Time all of them are known, changed in place, shape ``(m,)``.
        places: Place of every stretch, shape ``(n,)``.
        power_kw: Powers over every stretch, shape ``(k, n)``.
        elapsed_s: Length of every stretch, shape ``(n,)``.
    """
    for stretch in range(len(places)):
        place, seconds = places[stretch], elapsed_s[stretch]
        for which in range(len(power_kw)):
            energy_kws[which, place] += power_kw[which, stretch] * seconds
        known_s[place] += seconds


def mean_kw(energy_kws: FloatArray, known_s: FloatArray, *, unknown: float = np.nan) -> FloatArray:
    """Return the mean power over what is known, ``unknown`` where nothing is, shape as ``energy_kws``."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known_s > 0.0, energy_kws / known_s, unknown), dtype=np.float64)
