"""Plausibility gate for live samples: every sample of every adapter passes here on its way into the process image.

A single value that cannot be is refused, and the last good one ages. A value that stands is believed in the end: a
power that is out of range three times in a row is kept as bad, and a register or a state of charge that agrees with
itself for five minutes is taken as a new beginning, for meters are replaced. What is a hair off is repaired.

Nothing here is remembered over a restart: the first value is taken if it is within range. The record holds what was
taken, as it was taken, so that a replay needs no gate.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.plausible import MARGIN_KW, MARGIN_RATIO
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quantity, RowArray, TelemetryBatch
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.state.image import ImageColumns
from vpp.telemetry.verdict import HEALINGS, Healing, Verdict

FUTURE_S: Final = 600.0
"""Seconds ahead of the clock that a sample may be stamped; further is a broken clock at the device."""
AGE_S: Final = 86_400.0
"""Age beyond which a sample does not describe the present."""
REFUSED_FACTOR: Final = 2.0
"""Beyond this many times its nameplate a power is refused; up to there it is kept, and graded bad."""
OFFER_FACTOR: Final = 10.0
"""Beyond this many times its nameplate what a device offers to take is refused; up to there it is clipped."""
STANDING: Final = 3
"""Readings in a row that make a value stand."""
STANDING_S: Final = 300.0
"""And how long a register or a state of charge must agree with itself until it is a new beginning."""

_RATE_FACTOR = 1.5
_SLACK_KWH = 1.0
"""Registers may count whole kilowatt-hours."""
_FALL_KWH = 0.05
_SLACK_SOC = 0.05
_LEAST_KWH = 10.0
"""The smallest battery a state of charge can belong to."""
_MOST_KWH = 1e9
_JITTER_S = 10.0
"""Up to there a stamp ahead of the clock is the way of two clocks, not a repair."""
_MOST_MASK = 2.0**53
_NONE = 255
_POWER, _ENERGY, _SOC, _TROUBLES = (
    int(q) for q in (Quantity.POWER_KW, Quantity.ENERGY_KWH, Quantity.SOC, Quantity.TROUBLES)
)
_CONNECTED, _PLUGGED, _P_MIN, _P_MAX = (
    int(q) for q in (Quantity.CONNECTED, Quantity.PLUGGED, Quantity.P_MIN_KW, Quantity.P_MAX_KW)
)
_QUANTITIES = len(Quantity)
_UNKNOWN_ROW, _UNKNOWN_QUANTITY, _NOT_A_NUMBER, _FUTURE, _RANGE, _RATE, _AGE, _ORDER, _DUPLICATE = map(int, Verdict)
_TAKEN = -1
_CLIPPED, _CLOCK_AHEAD, _NEW_BEGINNING = map(int, Healing)
_FOLLOWED, _FLAGS, _OFFERS, _NO_OR_YES = (_ENERGY, _SOC), (_CONNECTED, _PLUGGED), (_P_MIN, _P_MAX), (0.0, 1.0)
_OF_NO_ROW = (_UNKNOWN_ROW, _UNKNOWN_QUANTITY)
_OF_THE_NETWORK = (_ORDER, _DUPLICATE)
"""Verdicts caused by the network rather than the device: counted, and no doubt about the value."""


class Bounds(NamedTuple):
    """What each device can do by its nameplate; shape ``(n_resources,)`` each.

    Attributes:
        low_kw: Least power that is believed.
        high_kw: Greatest.
        least_kw: Least power that is not refused at once.
        most_kw: Greatest.
        span_kw: Greatest power in either direction.
        capacity_kwh: Energy that a state of charge is a share of, never less than the smallest battery's.
    """

    low_kw: FloatArray
    high_kw: FloatArray
    least_kw: FloatArray
    most_kw: FloatArray
    span_kw: FloatArray
    capacity_kwh: FloatArray


class Memory(NamedTuple):
    """What the gate remembers of every row; changed in place, shape ``(n_resources,)`` or ``(2, n_resources)`` each.

    Attributes:
        wild: Powers refused in a row.
        value: A register and a state of charge that were refused and may be a new beginning.
        since_s: Since when they have agreed with themselves.
        seen_s: When they were last heard.
        times: How often.
        anew: The next register and state of charge begin anew, for a car has come or gone.
        quantity: Of what was last refused, 255 for nothing.
        verdict: Why.
        refused: Its value.
        stamp_s: Its stamp.
        heard_s: When it was heard.
    """

    wild: CodeArray
    value: FloatArray
    since_s: FloatArray
    seen_s: FloatArray
    times: CodeArray
    anew: BoolArray
    quantity: CodeArray
    verdict: CodeArray
    refused: FloatArray
    stamp_s: FloatArray
    heard_s: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRefused:
    """What was last refused of one device.

    Attributes:
        value: As it was sent.
        age_s: How long ago it was heard.
        ahead_s: How far its stamp was ahead of the clock then, negative behind.
    """

    quantity: Quantity
    verdict: Verdict
    value: float
    age_s: float
    ahead_s: float


class SampleGate:
    """Judges batches and writes the samples it takes into the columns of the process image.

    Args:
        index: The fleet.

    Attributes:
        refused: Samples refused so far, by ``Verdict``.
        healed: Samples repaired so far, by ``Healing``.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.refused: IdArray = np.zeros(len(Verdict), dtype=np.int64)
        self.healed: IdArray = np.zeros(len(HEALINGS), dtype=np.int64)
        self._index = index
        self._bounds = bounds_of(index)
        self._memory = _forgotten(len(index))

    def serve(self, index: FleetIndex) -> None:
        """Serve a fleet that may have grown; known rows keep what is remembered of them."""
        if index is self._index:
            return
        self._index = index
        more = _forgotten(len(index) - len(self._memory.wild))
        both: Any = zip(self._memory, more, strict=True)
        self._memory = Memory(*(np.concatenate((old, new), axis=-1) for old, new in both))
        self._bounds = bounds_of(index)

    def take(self, batch: TelemetryBatch, columns: ImageColumns, now_s: float) -> TelemetryBatch:
        """Put what is believed into ``columns``; return it as it was taken, which is ``batch`` if all of it was.

        Args:
            batch: Samples.
            columns: What is known, changed in place.
            now_s: Epoch seconds at which they were heard.
        """
        # Compiled anew for every combination of types: all columns come as read-only views.
        taken, whole, rows, quantities, values, at_s = _judged(
            read_only(batch.rows),
            read_only(batch.quantities),
            read_only(batch.values),
            read_only(batch.at_s),
            columns,
            self._bounds,
            self._memory,
            self.refused,
            self.healed,
            now_s,
        )
        if whole:
            return batch
        return TelemetryBatch(
            rows=rows[:taken], quantities=quantities[:taken], values=values[:taken], at_s=at_s[:taken]
        )

    def begin_anew(self, row: int) -> None:
        """Take the next register and state of charge of ``row`` whatever they are: a car has come or gone."""
        self._memory.anew[:, row] = True

    def vacate(self, rows: RowArray) -> None:
        """Forget what is remembered of the devices in ``rows``: they are retired, or others have taken their places."""
        for column, blank in cast("Any", zip(self._memory, _forgotten(1), strict=True)):
            column[..., rows] = blank

    def last_refused(self, row: int, now_s: float) -> LastRefused | None:
        """Return what was last refused of the device in ``row``, ``None`` where nothing was."""
        m = self._memory
        if row >= len(m.quantity) or m.quantity[row] == _NONE:
            return None
        return LastRefused(
            quantity=Quantity(int(m.quantity[row])),
            verdict=Verdict(int(m.verdict[row])),
            value=float(m.refused[row]),
            age_s=now_s - float(m.heard_s[row]),
            ahead_s=float(m.stamp_s[row] - m.heard_s[row]),
        )

    def refused_since(self, at_s: float, *verdicts: Verdict) -> BoolArray:
        """Return the rows of which something was last refused after ``at_s`` for one of ``verdicts``."""
        m = self._memory
        recent = m.heard_s > at_s  # NaN, never, is not
        if recent.any():
            recent &= np.isin(m.verdict, verdicts)
        return np.asarray(recent)


def bounds_of(index: FleetIndex) -> Bounds:
    """Return what each device can do by its nameplate."""
    span_kw = np.maximum(np.abs(index.nameplate.p_min_kw), np.abs(index.nameplate.p_max_kw))
    margin_kw = MARGIN_RATIO * span_kw + MARGIN_KW
    return Bounds(
        low_kw=index.nameplate.p_min_kw - margin_kw,
        high_kw=index.nameplate.p_max_kw + margin_kw,
        least_kw=REFUSED_FACTOR * np.minimum(index.nameplate.p_min_kw, 0.0) - margin_kw,
        most_kw=REFUSED_FACTOR * np.maximum(index.nameplate.p_max_kw, 0.0) + margin_kw,
        span_kw=span_kw,
        capacity_kwh=np.maximum(index.nameplate.capacity_kwh * index.nameplate.efficiency, _LEAST_KWH),
    )


def _forgotten(count: int) -> Memory:
    unknown = np.full((2, count), np.nan)
    return Memory(
        wild=np.zeros(count, dtype=np.uint8),
        value=unknown,
        since_s=unknown.copy(),
        seen_s=unknown.copy(),
        times=np.zeros((2, count), dtype=np.uint8),
        anew=np.zeros((2, count), dtype=np.bool_),
        quantity=np.full(count, _NONE, dtype=np.uint8),
        verdict=np.zeros(count, dtype=np.uint8),
        refused=np.full(count, np.nan),
        stamp_s=np.full(count, np.nan),
        heard_s=np.full(count, np.nan),
    )


@njit()
def _judged(  # noqa: PLR0917 - a kernel takes arguments by position
    rows: RowArray,
    quantities: CodeArray,
    values: FloatArray,
    at_s: FloatArray,
    columns: ImageColumns,
    bounds: Bounds,
    memory: Memory,
    refused: IdArray,
    healed: IdArray,
    now_s: float,
) -> tuple[int, bool, RowArray, CodeArray, FloatArray, FloatArray]:
    """Return how many samples were taken, whether that is the batch as it came, and the four columns of those."""
    # Columns as variables of their own; handing arrays on costs more than judging, and is left to what is rare.
    value, known_s, good_kw, good_s = columns
    low_kw, high_kw, least_kw, most_kw, span_kw, capacity_kwh = bounds
    wild, times, anew = memory.wild, memory.times, memory.anew
    count, taken = len(rows), 0
    kept_rows, kept_quantities = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.uint8)
    kept_values, kept_at, whole = np.empty(count), np.empty(count), True
    for i in range(count):
        row, quantity, new, at = rows[i], quantities[i], values[i], at_s[i]
        verdict = _placed(row, quantity, value.shape[1])
        known, before_s = (value[quantity, row], known_s[quantity, row]) if verdict == _TAKEN else (np.nan, 0.0)
        verdict = _stamped(new, at, before_s, known, now_s) if verdict == _TAKEN else verdict
        if verdict == _TAKEN:
            new, at = _repaired(quantity, new), min(at, now_s)
            verdict = _in_range(quantity, new, least_kw[row], most_kw[row], span_kw[row])
        if verdict == _TAKEN and quantity in _FOLLOWED:
            which, whole_kwh = (0, 1.0) if quantity == _ENERGY else (1, capacity_kwh[row])
            if (
                np.isnan(known)
                or anew[which, row]
                or _follows(which, new - known, at - before_s, span_kw[row], whole_kwh)
            ):
                anew[which, row], times[which, row] = False, 0
            else:
                verdict = _begun_anew(memory, which, row, new, at, span_kw[row], whole_kwh)
                healed[_NEW_BEGINNING] += verdict == _TAKEN
        healed[_CLOCK_AHEAD] += verdict == _TAKEN and at_s[i] > now_s + _JITTER_S
        healed[_CLIPPED] += verdict == _TAKEN and new != values[i]
        whole &= verdict == _TAKEN and new == values[i] and at == at_s[i]
        if verdict != _TAKEN:
            refused[verdict] += 1
            if verdict in _OF_THE_NETWORK or not _stands(
                memory, row, quantity, verdict, values[i], at_s[i], now_s, low_kw[row] <= known <= high_kw[row]
            ):
                continue
        value[quantity, row], known_s[quantity, row] = new, at
        if quantity == _POWER and low_kw[row] <= new <= high_kw[row]:
            good_kw[row], good_s[row], wild[row] = new, at, 0
        kept_rows[taken], kept_quantities[taken], kept_values[taken], kept_at[taken] = row, quantity, new, at
        taken += 1
    return taken, whole, kept_rows, kept_quantities, kept_values, kept_at


@njit()
def _placed(row: int, quantity: int, n_rows: int) -> int:
    """Return the verdict on a sample's row and quantity."""
    if row < 0 or row >= n_rows:
        return _UNKNOWN_ROW
    return _UNKNOWN_QUANTITY if quantity >= _QUANTITIES else _TAKEN


@njit()
def _stamped(new: float, at_s: float, known_s: float, known: float, now_s: float) -> int:
    """Return the verdict on a sample's stamp and on repetition."""
    if not np.isfinite(new) or not np.isfinite(at_s):
        return _NOT_A_NUMBER
    if at_s > now_s + FUTURE_S:
        return _FUTURE
    if at_s < now_s - AGE_S:
        return _AGE
    if at_s < known_s:
        return _ORDER
    return _DUPLICATE if at_s == known_s and new == known else _TAKEN


@njit()
def _repaired(quantity: int, new: float) -> float:
    """Return a value without what is a hair beyond full or empty."""
    off = quantity == _SOC and not 0.0 <= new <= 1.0 and -_SLACK_SOC <= new <= 1.0 + _SLACK_SOC
    return min(max(new, 0.0), 1.0) if off else new


@njit()
def _in_range(quantity: int, new: float, least_kw: float, most_kw: float, span_kw: float) -> int:
    """Return the verdict on a value by its range alone."""
    possible = True
    if quantity == _POWER:
        possible = least_kw <= new <= most_kw
    elif quantity in _FLAGS:
        possible = new in _NO_OR_YES
    elif quantity == _ENERGY:
        possible = 0.0 <= new <= _MOST_KWH
    elif quantity == _SOC:
        possible = 0.0 <= new <= 1.0
    elif quantity in _OFFERS:
        possible = abs(new) <= OFFER_FACTOR * span_kw + MARGIN_KW
    elif quantity == _TROUBLES:
        possible = 0.0 <= new < _MOST_MASK and new == np.floor(new)
    return _TAKEN if possible else _RANGE


@njit()
def _follows(which: int, change: float, elapsed_s: float, span_kw: float, whole_kwh: float) -> bool:
    """Return whether a register (0) or a state of charge (1) can have changed by so much in that time."""
    reach = (_RATE_FACTOR * span_kw + MARGIN_KW) * elapsed_s / SECONDS_PER_HOUR / whole_kwh
    if which == 0:
        return bool(-_FALL_KWH <= change <= _SLACK_KWH + reach)
    return bool(abs(change) <= _SLACK_SOC + reach)


@njit()
def _begun_anew(  # noqa: PLR0917 - a kernel takes arguments by position
    memory: Memory, which: int, row: int, new: float, at_s: float, span_kw: float, whole_kwh: float
) -> int:
    """Return whether a value that cannot follow from the one before has stood: then it is a new beginning."""
    value, since_s, seen_s, times = memory.value, memory.since_s, memory.seen_s, memory.times
    agrees = _follows(which, new - value[which, row], at_s - seen_s[which, row], span_kw, whole_kwh)
    if times[which, row] == 0 or not agrees:
        since_s[which, row], times[which, row] = at_s, 0
    value[which, row], seen_s[which, row] = new, at_s
    times[which, row] = min(times[which, row] + 1, STANDING)
    if times[which, row] < STANDING or at_s - since_s[which, row] < STANDING_S:
        return _RATE
    times[which, row] = 0
    return _TAKEN


@njit()
def _stands(  # noqa: PLR0917 - a kernel takes arguments by position
    memory: Memory,
    row: int,
    quantity: int,
    verdict: int,
    value: float,
    stamp_s: float,
    now_s: float,
    was_good: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> bool:
    """Remember what was refused; return whether it is a power that has stood, to be kept, once, as what is bad."""
    if verdict in _OF_NO_ROW:
        return False
    memory.quantity[row], memory.verdict[row] = quantity, verdict
    memory.refused[row], memory.stamp_s[row], memory.heard_s[row] = value, stamp_s, now_s
    if quantity != _POWER or verdict != _RANGE:
        return False
    memory.wild[row] = min(memory.wild[row] + 1, STANDING)
    return bool(was_good and memory.wild[row] >= STANDING)
