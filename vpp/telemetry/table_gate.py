"""Plausibility gate for whole tables: metered history passes by the rules that live samples pass by.

Nothing is ever rescaled: a value that cannot be is named with its nameplate and the unit it was probably given in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.index import FleetIndex
from vpp.telemetry.verdict import Verdict

MEAN_FACTOR: Final = 1.5
"""Multiple of its nameplate that a device may have taken on average over an interval; nameplates are rounded."""
WRONG_SIGN_RATIO: Final = 0.05
"""Share of its nameplate a one-way device may show against its direction: standby of an inverter, error of a meter."""
SLACK_KW: Final = 0.5
"""And this much in any case, for devices of a few kilowatts."""
RUNNING_S: Final = 60.0
"""Seconds before its end at which an interval may be handed over, for the clocks of two systems."""
MOST_NAMED: Final = 100
"""Greatest number of refused values that are named."""
_UNITS = ((1e-3, "watts?"), (1e-6, "milliwatts?"))
_LEAST_RATIO = 0.005
"""Share of the nameplate below which a power in another unit would not have been worth reporting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One value of a table that is not believed.

    Attributes:
        verdict: Why.
        row: Row of the fleet.
        at_s: Start of its interval, epoch seconds.
        value_kw: What was given.
        nameplate_kw: Greatest power in either direction by the nameplate.
    """

    verdict: Verdict
    row: int
    at_s: float
    value_kw: float
    nameplate_kw: float


def mean_bounds_kw(p_min_kw: FloatArray, p_max_kw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return least and greatest believable mean power of every device, shape ``(n,)`` each, load positive."""
    slack_kw = WRONG_SIGN_RATIO * np.maximum(np.abs(p_min_kw), np.abs(p_max_kw)) + SLACK_KW
    least = MEAN_FACTOR * np.minimum(p_min_kw, 0.0) - slack_kw
    return least, MEAN_FACTOR * np.maximum(p_max_kw, 0.0) + slack_kw


class RefusedMeansError(InputError):
    """A table of means that is refused as a whole.

    Args:
        refused: Each value that cannot be, up to a bound, and what would have been accepted in its place.
        count: How many there are in all.
        index: The fleet.
    """

    def __init__(self, refused: Sequence[tuple[Refused, str]], count: int, index: FleetIndex) -> None:
        first, accepted = refused[0]
        resource = index.resources[first.row]
        super().__init__(
            f"{resource.id} at {instant(first.at_s).isoformat()}" + (f" and {count - 1} more" if count > 1 else ""),
            f"{first.value_kw:,.6g} kW, nameplate {first.nameplate_kw:,g} kW{_guess(first, resource.p_min_kw)}",
            accepted,
        )
        self.refused = tuple(refused)
        self.resource_ids = tuple(index.resources[fault.row].id for fault, _ in refused)


def judge_means(
    index: FleetIndex, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray, *, now_s: float
) -> tuple[list[Refused], dict[Verdict, int]]:
    """Return values that are not believed, up to ``MOST_NAMED``, and how many are not for each reason.

    Args:
        index: The fleet.
        grid: Intervals of the table.
        rows: Row of every line, shape ``(n,)``.
        mean_kw: Means, load positive, NaN where the table has no value, shape ``(n, grid.count)``.
        now_s: Epoch seconds of the clock.
    """
    given = ~np.isnan(mean_kw)
    infinite = np.isinf(mean_kw)
    ahead = given & (grid.starts_s() + grid.step_s > now_s + RUNNING_S)
    least, most = mean_bounds_kw(index.nameplate.p_min_kw[rows], index.nameplate.p_max_kw[rows])
    outside = given & ~infinite & ((mean_kw < least[:, None]) | (mean_kw > most[:, None]))
    faults: dict[Verdict, BoolArray] = {
        Verdict.NOT_A_NUMBER: infinite,
        Verdict.FUTURE: ahead & ~infinite,
        Verdict.RANGE: outside & ~ahead,
    }
    counts = {verdict: int(np.count_nonzero(found)) for verdict, found in faults.items() if found.any()}
    starts_s = grid.starts_s()
    refused = [
        Refused(
            verdict=verdict,
            row=int(rows[line]),
            at_s=float(starts_s[step]),
            value_kw=float(mean_kw[line, step]),
            nameplate_kw=nameplate_kw(
                float(index.nameplate.p_min_kw[rows[line]]), float(index.nameplate.p_max_kw[rows[line]])
            ),
        )
        for verdict in counts
        for step, line in np.argwhere(faults[verdict].T)[:MOST_NAMED].tolist()
    ]
    return refused[:MOST_NAMED], counts


def check_means(index: FleetIndex, grid: TimeGrid, rows: RowArray, mean_kw: FloatArray, *, now_s: float) -> None:
    """Refuse a table of metered means as a whole where one of them cannot be; arguments as of `judge_means`.

    Raises:
        RefusedMeansError: Names resource, interval, value, nameplate and the unit that was probably meant.
    """
    refused, counts = judge_means(index, grid, rows, mean_kw, now_s=now_s)
    if refused:
        named = [(fault, _accepted(fault, index)) for fault in refused]
        raise RefusedMeansError(named, sum(counts.values()), index)


def nameplate_kw(p_min_kw: float, p_max_kw: float) -> float:
    """Return the greatest power in either direction."""
    return max(abs(p_min_kw), abs(p_max_kw))


def likely_unit(value_kw: float, nameplate_kw: float) -> str:
    """Return the unit in which an impossible power would be possible, as a question; empty where none is."""
    least_kw, most_kw = _LEAST_RATIO * nameplate_kw, MEAN_FACTOR * nameplate_kw + SLACK_KW
    return next((unit for factor, unit in _UNITS if least_kw <= abs(value_kw) * factor <= most_kw), "")


def _guess(refused: Refused, p_min_kw: float) -> str:
    if refused.verdict is not Verdict.RANGE:
        return ""
    if abs(refused.value_kw) <= MEAN_FACTOR * refused.nameplate_kw + SLACK_KW:
        return ": the other sign?" if refused.value_kw < 0.0 <= p_min_kw or refused.value_kw > 0.0 else ""
    unit = likely_unit(refused.value_kw, refused.nameplate_kw)
    return f": {unit}" if unit else ""


def _accepted(refused: Refused, index: FleetIndex) -> str:
    if refused.verdict is Verdict.NOT_A_NUMBER:
        return "a finite number of kW, or an empty field"
    if refused.verdict is Verdict.FUTURE:
        return "an interval that has ended"
    rows = np.array([refused.row], dtype=np.int32)
    least, most = mean_bounds_kw(index.nameplate.p_min_kw[rows], index.nameplate.p_max_kw[rows])
    guess = _guess(refused, index.resources[refused.row].p_min_kw).removeprefix(": ")
    hint = f" ({guess})" if guess else ""
    return f"kW, load positive, from {least[0]:g} to {most[0]:g}{hint}"
