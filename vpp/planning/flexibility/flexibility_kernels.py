"""Kernels of flexibility: the movement of every row in each interval of many windows, summed into groups.

One pass over the rows serves all windows, and nothing of size rows x windows x intervals is ever held. All kernels
share their outputs, see ``Sums``. Powers kW, energies kWh, load positive; a movement is at or above 0 where it helps.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerics.arrays import FloatArray, IntArray
from numerics.jit import njit

Flags = npt.NDArray[np.bool_]
Reference = npt.NDArray[np.float32]
CarColumns = tuple[
    IntArray, IntArray, FloatArray, FloatArray, FloatArray, IntArray, FloatArray, FloatArray, Flags, FloatArray
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums that kernels add to; ``C`` groups, ``W`` windows sorted by their begin, ``J`` intervals of the longest.

    Attributes:
        potential_kw: What can be moved, shape ``(C, W, J)``.
        mean_kw: The same times the delivery ratio, shape ``(C, W, J)``.
        variance: Of the sum of independent rows, kW squared, shape ``(C, W, J)``.
        ramp_kw_per_min: Joint ramp, shape ``(C, W)``.
        first: First step of every window, shape ``(W,)``.
        length: Number of its steps, shape ``(W,)``.
    """

    potential_kw: FloatArray
    mean_kw: FloatArray
    variance: FloatArray
    ramp_kw_per_min: FloatArray
    first: IntArray
    length: IntArray

    @classmethod
    def empty(cls, groups: int, first: IntArray, length: IntArray) -> "Sums":
        """Return sums over nothing."""
        shape = (groups, len(first), int(length.max(initial=0)))
        return cls(
            potential_kw=np.zeros(shape),
            mean_kw=np.zeros(shape),
            variance=np.zeros(shape),
            ramp_kw_per_min=np.zeros(shape[:2]),
            first=first,
            length=length,
        )

    @property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Potential, mean and variance, as kernels take them."""
        return self.potential_kw, self.mean_kw, self.variance


@njit()
def _add(  # noqa: PLR0917 - a kernel takes arguments by position
    moved_kw: float,
    spread_kw: float,
    ratio: float,
    sums: tuple[FloatArray, FloatArray, FloatArray],
    group: int,
    window: int,
    step: int,
) -> None:
    """Add one row's movement: Bernoulli delivery and the forecast's spread, as far as the movement goes."""
    potential, mean, variance = sums
    spread = min(spread_kw, abs(moved_kw)) * ratio
    potential[group, window, step] += moved_kw
    mean[group, window, step] += moved_kw * ratio
    variance[group, window, step] += moved_kw * moved_kw * ratio * (1.0 - ratio) + spread * spread


@njit()
def _planned_h(left_h: float, recovery: float, margin_h: float) -> float:
    """Return the hours before departure that may be planned for catching up: a share of them, less the margin."""
    return max(min(left_h * recovery, left_h - margin_h), 0.0)


@njit()
def shed_cars(  # noqa: C901, PLR0917 - a kernel: one pass, arguments by position
    reference: Reference,
    cars: CarColumns,
    ramp_row: FloatArray,
    hours: tuple[float, float],
    windows: tuple[IntArray, IntArray],
    sums: tuple[FloatArray, FloatArray, FloatArray],
    ramp: FloatArray,
    lost: FloatArray,
    average: FloatArray,
) -> None:
    """Plugged-in cars go down to their floor, as far as they can still catch up before they leave.

    Args:
        reference: Expected power, shape ``(n_resources, steps)``.
        cars: Row, group, greatest power, floor, need, number of whole steps until departure, hours from the grid's
            begin to departure, hours before it that are not planned with, whether the driver takes part, delivery
            ratio; shape ``(k,)`` each.
        ramp_row: Ramp of every car, shape ``(k,)``.
        hours: Length of a step; share of the time left that may be planned for catching up.
        windows: First step and length, sorted by first.
        sums: See ``Sums.arrays``.
        ramp: See ``Sums``.
        lost: What deadlines and drivers keep back, by group, shape as the sums; ``(0, 0, 0)`` where not asked for.
        average: Mean delivered power by car and window, shape ``(k, W)``.
    """
    rows, groups, most, floor, need_now, inside, leaves_h, margin_h, willing, ratio = cars
    step_h, recovery = hours
    first, length = windows
    for i in range(len(rows)):
        row, group = rows[i], groups[i]
        last = -1
        for t in range(inside[i]):
            if reference[row, t] > 0.0:
                last = t
        before, done = 0.0, 0
        for w in range(len(first)):
            a, count = first[w], length[w]
            if a > last:
                break
            while done < a:
                before += reference[row, done] * step_h
                done += 1
            need = max(need_now[i] - before, 0.0)
            here = min(count, inside[i] - a)
            shed, held_sum = 0.0, 0.0
            for j in range(here):
                held = min(floor[i], max(need / step_h - floor[i] * j, 0.0))
                held_sum += held
                shed += reference[row, a + j] - held
            left_h = _planned_h(leaves_h[i] - (a + count) * step_h, recovery, margin_h[i])
            excess = need - held_sum * step_h - most[i] * left_h
            share = 0.0
            if willing[i] and shed > 0.0:
                share = min(max(1.0 - excess / (shed * step_h), 0.0), 1.0)
            total = 0.0
            for j in range(here):
                held = min(floor[i], max(need / step_h - floor[i] * j, 0.0))
                moved = (reference[row, a + j] - held) * share
                _add(moved, 0.0, ratio[i], sums, group, w, j)
                total += moved
                if len(lost):
                    lost[group, w, j] += max(reference[row, a + j] - floor[i], 0.0) * (1.0 - share)
            average[i, w] = total * ratio[i] / count
            ramp[group, w] += min(ramp_row[i], max(average[i, w], 0.0))


@njit()
def raise_cars(  # noqa: PLR0917 - a kernel takes arguments by position
    reference: Reference,
    cars: CarColumns,
    ramp_row: FloatArray,
    hours: tuple[float, float],
    windows: tuple[IntArray, IntArray],
    sums: tuple[FloatArray, FloatArray, FloatArray],
    ramp: FloatArray,
    lost: FloatArray,
    average: FloatArray,
) -> None:
    """Cars that the reference holds back take what they still need earlier; arguments as ``shed_cars``."""
    rows, groups, most, _, need_now, inside, _, _, willing, ratio = cars
    step_h = hours[0]
    first, length = windows
    for i in range(len(rows)):
        row, group = rows[i], groups[i]
        before, done = 0.0, 0
        for w in range(len(first)):
            a, count = first[w], length[w]
            if a >= inside[i]:
                break
            while done < a:
                before += reference[row, done] * step_h
                done += 1
            need = max(need_now[i] - before, 0.0)
            if not willing[i] or (need <= 0.0 and not len(lost)):
                continue
            here = min(count, inside[i] - a)
            share, used, taken = 1.0, 0.0, 0.0
            for j in range(here):
                used += max(most[i] - reference[row, a + j], 0.0) * step_h
                taken += reference[row, a + j] * step_h
                if used > 0.0:
                    share = min(share, max(need - taken, 0.0) / used)
            share = max(share, 0.0)
            total = 0.0
            for j in range(here):
                more = max(most[i] - reference[row, a + j], 0.0)
                _add(more * share, 0.0, ratio[i], sums, group, w, j)
                total += more * share
                if len(lost):
                    lost[group, w, j] += more * (1.0 - share)
            average[i, w] = total * ratio[i] / count
            ramp[group, w] += min(ramp_row[i], average[i, w])


@njit()
def move_stores(  # noqa: C901, PLR0917 - a kernel: one pass, arguments by position
    powers: tuple[FloatArray, FloatArray, FloatArray],
    stores: tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray, IntArray, FloatArray],
    floors: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    ramp_row: FloatArray,
    hours: tuple[float, float],
    windows: tuple[IntArray, IntArray],
    ahead: int,
    weight: FloatArray,
    spare_kwh: FloatArray,
    sums: tuple[FloatArray, FloatArray, FloatArray],
    ramp: FloatArray,
    lost: FloatArray,
    average: FloatArray,
    up: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    """Batteries go from their schedule towards their end, as far as charge or space lasts over the whole window.

    Args:
        powers: Scheduled power, its spread, energy stored at the end of every step; shape ``(k, steps)`` each.
        stores: Group, end that can be reached (least power up, greatest down), floor or ceiling of the energy, one-way
            efficiency, capacity, number of whole steps it is there, delivery ratio; shape ``(k,)`` each.
        floors: For a car hours from the grid's begin to departure (infinite for the rest), hours before it that are
            not planned with, the energy due then, the power it charges with, whether it is a car; shape ``(k,)`` each.
        ramp_row: Ramp of every battery, shape ``(k,)``.
        hours: Length of a step; share of the time left that may be planned for catching up.
        windows: First step and length.
        ahead: Steps after a window in which the schedule must still be kept with what is left.
        weight: How far of the way they go in each interval when energy does not bind, 0 to 1, shape ``(W, J)``.
        spare_kwh: Energy at the meter that they may spend at most in each window, shape ``(k, W)``; ``(0, 0)`` where
            nothing bounds it.
        sums: See ``Sums.arrays``.
        ramp: See ``Sums``.
        lost: What energy or space keeps back, by group, shape as the sums; ``(0, 0, 0)`` where not asked for.
        average: Mean delivered power by battery and window, shape ``(k, W)``.
        up: Whether net load is cut.
    """
    reference, spread, stored = powers
    groups, end_kw, bound_kwh, efficiency, capacity, inside, ratio = stores
    leaves_h, margin_h, due_kwh, charge_kw, car = floors
    step_h, recovery = hours
    first, length = windows
    for i in range(len(groups)):
        group = groups[i]
        for w in range(len(first)):
            a, count = first[w], length[w]
            here = min(count, inside[i] - a)
            if here <= 0:
                continue
            bound = bound_kwh[i]
            if up and car[i] > 0.0:
                left_h = _planned_h(leaves_h[i] - (a + count) * step_h, recovery, margin_h[i])
                bound = max(bound, min(due_kwh[i], capacity[i]) - charge_kw[i] * left_h * efficiency[i])
            share, used = 1.0, 0.0
            for j in range(min(count + ahead, inside[i] - a) if ahead else count):
                if j < here:
                    used += _gap(reference[i, a + j], end_kw[i], up) * weight[w, j] * step_h
                if up:
                    budget = max(stored[i, a + j] - bound, 0.0) * efficiency[i]
                else:
                    budget = max(bound - stored[i, a + j], 0.0) / efficiency[i]
                if len(spare_kwh):
                    budget = min(budget, spare_kwh[i, w])
                if used > 0.0:
                    share = min(share, budget / used)
            total = 0.0
            for j in range(here):
                most = _gap(reference[i, a + j], end_kw[i], up)
                more = most * weight[w, j] * share
                _add(more, spread[i, a + j], ratio[i], sums, group, w, j)
                total += more
                if len(lost):
                    lost[group, w, j] += most - more
            average[i, w] = total * ratio[i] / count
            ramp[group, w] += min(ramp_row[i], average[i, w])


@njit()
def _gap(reference_kw: float, end_kw: float, up: bool) -> float:  # noqa: FBT001 - a kernel takes arguments by position
    return max(reference_kw - end_kw, 0.0) if up else max(end_kw - reference_kw, 0.0)


@njit()
def move_loads(  # noqa: PLR0917 - a kernel takes arguments by position
    forecast: tuple[Reference, Reference],
    loads: tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    ramp_row: FloatArray,
    step_h: float,
    windows: tuple[IntArray, IntArray],
    sums: tuple[FloatArray, FloatArray, FloatArray],
    ramp: FloatArray,
    lost: FloatArray,
    average: FloatArray,
    up: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    """Buildings and plants move within contract and present ability; beyond their sustain time the average falls.

    Present ability is a share of present load, and keeps that share as the load changes over the day.

    Args:
        forecast: Expected power and its spread, shape ``(n_resources, steps)`` each.
        loads: Row, group, present power (NaN if none), power at the end that can be reached, contract, hours it can
            be held, delivery ratio; shape ``(k,)`` each.
        ramp_row: Ramp of every row, shape ``(k,)``.
        step_h: Length of a step.
        windows: First step and length.
        sums: See ``Sums.arrays``.
        ramp: See ``Sums``.
        lost: What the sustain time keeps back, by group, shape as the sums; ``(0, 0, 0)`` where not asked for.
        average: Mean delivered power by row and window, shape ``(k, W)``.
        up: Whether net load is cut.
    """
    reference, spread = forecast
    rows, groups, present, end_kw, contract, holds_h, ratio = loads
    first, length = windows
    for i in range(len(rows)):
        row, group = rows[i], groups[i]
        for w in range(len(first)):
            a, count = first[w], length[w]
            share = min(holds_h[i] / (count * step_h), 1.0)
            total = 0.0
            for j in range(count):
                now = reference[row, a + j]
                if up:
                    scale = 1.0 if np.isnan(present[i]) else min(max(now / present[i], 0.5), 2.0)
                    able = now - end_kw[i] * scale
                else:
                    able = end_kw[i] - now
                more = 0.0 if np.isnan(able) else min(max(able, 0.0), contract[i])
                _add(more * share, spread[row, a + j], ratio[i], sums, group, w, j)
                total += more * share
                if len(lost):
                    lost[group, w, j] += more * (1.0 - share)
            average[i, w] = total * ratio[i] / count
            ramp[group, w] += min(ramp_row[i], average[i, w])


@njit()
def sum_rows(  # noqa: PLR0917 - a kernel takes arguments by position
    forecast: tuple[Reference, Reference],
    group: npt.NDArray[np.int32],
    flags: tuple[Flags, Flags],
    newcomers_from: IntArray,
    ratio: FloatArray,
    share: float,
    sums: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    """Sum what does not depend on a window, in one pass over the rows.

    Args:
        forecast: Expected power and its spread, shape ``(n_resources, steps)`` each; NaN counts as nothing.
        group: Group of every row.
        flags: Whether a row is usable, and whether its power counts (a scheduled battery's is added by its schedule).
        newcomers_from: First step in which a row serves a car that has not come yet; beyond the last step for none.
        ratio: Delivery ratio of every row.
        share: Share of the load of cars still to come that can be cut.
        sums: By group and step: net power; its magnitude row by row; that of rows that are not usable; how far cars
            still to come can be cut; the variance of that.
    """
    reference, spread = forecast
    usable, counted = flags
    power, magnitude, unusable, newcomers, variance = sums
    steps = reference.shape[1]
    for row in range(reference.shape[0]):
        c = group[row]
        if counted[row]:
            for t in range(steps):
                value = reference[row, t]
                if not np.isnan(value):
                    power[c, t] += value
                    magnitude[c, t] += abs(value)
                    if not usable[row]:
                        unusable[c, t] += abs(value)
        r = ratio[row]
        for t in range(newcomers_from[row], steps):
            more = reference[row, t] * share
            if more > 0.0:
                newcomers[c, t] += more
                wide = spread[row, t] * share * r
                variance[c, t] += more * more * r * (1.0 - r) + wide * wide
