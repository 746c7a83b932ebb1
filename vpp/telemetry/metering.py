"""Metered means of quarters of an hour: energy between samples that followed one another in time, and nothing else.

A last value is not a measurement. A power holds until the next sample of its device, and that stretch counts only if
the sample came about when it had to: within three usual periods of the device, and where a report was missed only if
the power is still the same. A power that is derived from an energy register is a mean up to its reading and counts
for the stretch before it. The period is learnt; two long gaps in a row make a device one that reports seldom. What
follows the last sample of a device that fell silent is not metered, nor what lies around a lost link or an impossible
value.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.mean_power import credit, mean_kw
from numerics.views import read_only
from vpp.domain.plausible import believable_kw
from vpp.domain.telemetry import CodeArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.domain.timegrid import floor_s
from vpp.domain.trouble import Trouble
from vpp.domain.units import STEP_S
from vpp.fleet.index import FleetIndex

Frame = tuple[float, FloatArray, FloatArray]
"""Start of an interval (epoch seconds), means (NaN where nothing was metered) and metered share, shape ``(n,)``."""

LONGEST_GAP_S = 960.0
"""A device that reports by the quarter of an hour, a minute late: what reports less often does not meter quarters."""
_PERIODS = 3.0
"""A device is stale after three missed reports (domain rule)."""
_LEAST_GAP_S = 90.0
"""Gap that the network may cause, however often a device reports."""
_MISSED = 1.75
"""A gap of more usual periods than this misses a report."""
_SAME_RATIO, _SAME_KW = 0.05, 0.1
"""Powers that differ by less are the same."""
_LEARNING = 0.2
_WAY_S = 30.0
"""A sample may be that long on its way."""
_OPEN = 3
"""Intervals that samples can still reach: the running one and what `LONGEST_GAP_S` may hold open before it."""
_POWER, _CONNECTED, _TROUBLES = int(Quantity.POWER_KW), int(Quantity.CONNECTED), int(Quantity.TROUBLES)
_FROM_REGISTER = int(Trouble.POWER_FROM_REGISTER)


class _Memory(NamedTuple):
    """Last sample of every row, shape ``(n,)`` each; NaN where there was none since it counts.

    Attributes:
        last_s: When it was measured.
        last_kw: Its power.
        gap_s: Seconds between it and the one before.
        usual_s: Usual seconds between two samples.
        heard_s: When the last sample was heard: later than it was measured where a device's clock is slow.
        derived: 1 where powers are derived from the energy register.
    """

    last_s: FloatArray
    last_kw: FloatArray
    gap_s: FloatArray
    usual_s: FloatArray
    heard_s: FloatArray
    derived: FloatArray


class MeteredMeans:
    """Mean power of every row over quarters of an hour, from measurements within them alone.

    An interval is given out twice: as it ends, with what is known by then, and once more when no sample can reach it
    any longer. The same samples always give the same figures.

    Args:
        index: The fleet; what its nameplates exclude is not metered.
        start_s: Epoch seconds from which on samples come.
        stale_s: Age at which a value is stale, as long as a device's own period is not known.
    """

    def __init__(self, index: FleetIndex, start_s: float, stale_s: float) -> None:
        count = len(index)
        self._stale_s = stale_s
        self.begin(start_s)
        self._memory = _Memory(*(np.full(count, np.nan) for _ in _Memory._fields))
        self._energy_kws = np.zeros((_OPEN, count))
        self._known_s = np.zeros((_OPEN, count))
        self._bounds = believable_kw(index.nameplate.p_min_kw, index.nameplate.p_max_kw)

    def begin(self, start_s: float) -> None:
        """State epoch seconds from which on samples come; before the first of them."""
        self._first_s = floor_s(start_s, STEP_S)
        self._issued_s = self._first_s

    @property
    def final_until_s(self) -> float:
        """Epoch seconds until which every interval is final."""
        return self._first_s

    @property
    def usual_s(self) -> FloatArray:
        """Usual seconds between two samples of every row, NaN where not known; read-only, shape ``(n_resources,)``."""
        return read_only(self._memory.usual_s)

    def resize(self, index: FleetIndex) -> None:
        """Serve a fleet that has grown or changed; rows that joined begin unknown."""
        more = len(index) - len(self._memory.last_s)
        self._bounds = believable_kw(index.nameplate.p_min_kw, index.nameplate.p_max_kw)
        if not more:
            return
        self._memory = _Memory(*(np.append(column, np.full(more, np.nan)) for column in self._memory))
        self._energy_kws = np.append(self._energy_kws, np.zeros((_OPEN, more)), axis=1)
        self._known_s = np.append(self._known_s, np.zeros((_OPEN, more)), axis=1)

    def take(self, batch: TelemetryBatch, now_s: float) -> list[Frame]:
        """Take the samples of one cycle in the order they were heard.

        Args:
            batch: Samples of any quantity; a connection that is lost ends what is metered, one that is NaN is that of a
                device that has left, of which the next one in its row learns nothing.
            now_s: Epoch seconds, not before the last call's; a sample stamped later counts as of now.

        Returns:
            The intervals that ended since the last call, and those that became final.
        """
        frames = self._closed(now_s, late=True)
        _take(
            (batch.rows, batch.quantities, batch.values, batch.at_s),
            now_s,
            self._memory,
            self._bounds,
            self._stale_s,
            self._first_s,
            self._energy_kws,
            self._known_s,
        )
        return frames + self._closed(now_s, late=False)

    def _closed(self, now_s: float, *, late: bool) -> list[Frame]:
        frames: list[Frame] = []
        while now_s >= self._first_s + STEP_S:
            end_s = self._first_s + STEP_S
            if now_s < end_s + LONGEST_GAP_S and (late or self._expects(end_s, now_s)):
                break
            frames += self._frame(0)
            self._roll()
        return frames if late else frames + self._provisional(now_s)

    def _expects(self, end_s: float, now_s: float) -> bool:
        """Return whether a sample that reaches back before ``end_s`` may still come."""
        return bool(_expects(self._memory, self._stale_s, end_s, now_s))

    def _provisional(self, now_s: float) -> list[Frame]:
        """Return the intervals that ended since the last was issued, as far as they are known."""
        frames: list[Frame] = []
        self._issued_s = max(self._issued_s, self._first_s)
        while now_s >= self._issued_s + STEP_S:
            frames += self._frame(round((self._issued_s - self._first_s) / STEP_S))
            self._issued_s += STEP_S
        return frames

    def _frame(self, slot: int) -> list[Frame]:
        """Return an interval as it stands, none where nothing was metered at all."""
        if not self._known_s[slot].any():
            return []
        means = mean_kw(self._energy_kws[slot], self._known_s[slot])
        return [(self._first_s + slot * STEP_S, means, np.minimum(self._known_s[slot] / STEP_S, 1.0))]

    def _roll(self) -> None:
        for table in (self._energy_kws, self._known_s):
            table[:-1] = table[1:]
            table[-1] = 0.0
        self._first_s += STEP_S


@njit()
def _allowed_s(usual_s: float, stale_s: float) -> float:
    """Return the longest gap that counts as metered after a row's last sample."""
    if np.isnan(usual_s):
        return stale_s
    return min(max(_PERIODS * usual_s, _LEAST_GAP_S), LONGEST_GAP_S)


@njit()
def _expects(memory: _Memory, stale_s: float, end_s: float, now_s: float) -> bool:
    last_s, usual_s, heard_s = memory.last_s, memory.usual_s, memory.heard_s
    for row in range(len(last_s)):
        if last_s[row] < end_s and heard_s[row] + _allowed_s(usual_s[row], stale_s) + _WAY_S > now_s:
            return True
    return False


@njit()
def _take(  # noqa: PLR0917 - a kernel takes arguments by position
    samples: tuple[RowArray, CodeArray, FloatArray, FloatArray],
    now_s: float,
    memory: _Memory,
    bounds: tuple[FloatArray, FloatArray],
    stale_s: float,
    first_s: float,
    energy_kws: FloatArray,
    known_s: FloatArray,
) -> None:
    """Credit the stretch that each power sample ends, and begin the next."""
    rows, quantities, values, stamps = samples
    last_s, last_kw, gap_s, usual_s, heard_s, derived = memory
    least, most = bounds
    for i in range(len(rows)):
        row = rows[i]
        if quantities[i] == _CONNECTED and values[i] != 1.0:
            last_s[row] = np.nan
            if np.isnan(values[i]):
                last_kw[row] = gap_s[row] = usual_s[row] = heard_s[row] = derived[row] = np.nan
        if quantities[i] == _TROUBLES:
            derived[row] = float((np.int64(values[i]) >> _FROM_REGISTER) & 1)
        if quantities[i] != _POWER:
            continue
        at_s, before_s = min(stamps[i], now_s), last_s[row]
        if at_s < before_s:
            continue
        if not least[row] <= values[i] <= most[row]:
            last_s[row] = np.nan
            continue
        gap = at_s - before_s
        if gap > 0.0:
            usual, allowed = usual_s[row], _allowed_s(usual_s[row], stale_s)
            held = values[i] if derived[row] == 1.0 else last_kw[row]
            if gap <= allowed and not (gap > _MISSED * usual and _differ(held, values[i])):
                _credit(row, before_s, at_s, held, first_s, energy_kws, known_s)
            usual_s[row], gap_s[row] = _learnt_s(usual, gap, gap_s[row], allowed), gap
        last_s[row], last_kw[row], heard_s[row] = at_s, values[i], now_s


@njit()
def _learnt_s(usual_s: float, gap_s: float, before_s: float, allowed_s: float) -> float:
    """Return the usual period after another gap; each counts by its length, so that bursts of readings do not.

    A silence teaches nothing, unless the gap before it was as long: then the device reports seldom.
    """
    if gap_s > allowed_s:
        return min(gap_s, before_s) if before_s > allowed_s else usual_s
    if np.isnan(usual_s):
        return gap_s
    return usual_s + _LEARNING * min(gap_s / usual_s, 1.0) * (gap_s - usual_s)


@njit()
def _differ(one_kw: float, other_kw: float) -> bool:
    return abs(one_kw - other_kw) > _SAME_RATIO * max(abs(one_kw), abs(other_kw)) + _SAME_KW


@njit()
def _credit(  # noqa: PLR0917 - a kernel takes arguments by position
    row: int, from_s: float, until_s: float, kw: float, first_s: float, energy_kws: FloatArray, known_s: FloatArray
) -> None:
    """Let a power hold over a stretch; what lies before the first open interval is final already."""
    for slot in range(_OPEN):
        begin_s = first_s + slot * STEP_S
        overlap_s = min(until_s, begin_s + STEP_S) - max(from_s, begin_s)
        if overlap_s > 0.0:
            credit(energy_kws[slot], known_s[slot], row, kw, overlap_s)
