"""The process image: adapters write whenever they like, the loop swaps once a cycle.

A sample older than the one in place is dropped, so late and repeated telemetry cannot turn the image back.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.domain.plausible import believable_kw
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.telemetry import (
    BoolArray,
    CodeArray,
    FloatArray,
    IdArray,
    Quality,
    Quantity,
    RowArray,
    TelemetryBatch,
)
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.state_codec import StateTree
from vpp.state.sessions import Sessions

_UNKNOWN_AT_S = -np.inf
_POWER, _BAD = int(Quantity.POWER_KW), int(Quality.BAD)


class ImageColumns(NamedTuple):
    """What is known: by quantity and row, and each row's last believable power; changed in place.

    Attributes:
        value: Shape ``(n_quantities, n_resources)``, NaN where nothing is known.
        at_s: When each was measured, minus infinity where nothing is known.
        good_kw: Last power within the believable range, NaN before the first, shape ``(n_resources,)``.
        good_s: When it was measured.
    """

    value: FloatArray
    at_s: FloatArray
    good_kw: FloatArray
    good_s: FloatArray


class ProcessImage:
    """The write side of all that is believed; ``swap`` gives the read side.

    Args:
        index: Rows of the fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.index = index
        self.sessions = Sessions(len(index))
        self._value = np.full((len(Quantity), len(index)), np.nan)
        self._at_s = np.full((len(Quantity), len(index)), _UNKNOWN_AT_S)
        self._bounds_kw = believable_kw(index.nameplate.p_min_kw, index.nameplate.p_max_kw)
        self._good_kw = np.full(len(index), np.nan)
        self._good_s = np.full(len(index), np.nan)
        self._cycle = 0
        self._soc_start = np.full(len(index), np.nan)
        self._anchors: list[tuple[int, float]] = []

    def resize(self, index: FleetIndex) -> None:
        """Serve a fleet that has grown or changed; known rows keep their values."""
        more = len(index) - len(self.index)
        self.index = index
        self._bounds_kw = believable_kw(index.nameplate.p_min_kw, index.nameplate.p_max_kw)
        if not more:
            return
        self._value = np.append(self._value, np.full((len(Quantity), more), np.nan), axis=1)
        self._at_s = np.append(self._at_s, np.full((len(Quantity), more), _UNKNOWN_AT_S), axis=1)
        unknown = np.full(more, np.nan)
        self._soc_start = np.append(self._soc_start, unknown)
        self._good_kw, self._good_s = np.append(self._good_kw, unknown), np.append(self._good_s, unknown)
        self.sessions.resize(len(index))

    def vacate(self, rows: RowArray) -> None:
        """Forget all that is known of the devices in ``rows``: they are retired, or others have taken their places."""
        self._value[:, rows], self._at_s[:, rows] = np.nan, _UNKNOWN_AT_S
        for column in (self._good_kw, self._good_s, self._soc_start):
            column[rows] = np.nan

    def columns(self) -> ImageColumns:
        """Return what is known, to be changed in place by the gate; good until the fleet grows."""
        return ImageColumns(self._value, self._at_s, self._good_kw, self._good_s)

    def write(self, batch: TelemetryBatch) -> None:
        """Put samples in place as they were recorded, each unless a newer one of its row and quantity is there."""
        _put(
            self.columns(),
            *self._bounds_kw,
            batch.quantities,
            batch.rows,
            batch.values,
            batch.at_s,
        )

    def write_session(self, event: SessionEvent) -> None:
        """Apply a session event."""
        self.sessions.apply(event)

    def swap(self, at_s: float, quality: CodeArray) -> FleetState:
        """Return a read-only snapshot of ``at_s``; later writes do not show in it.

        A bad power is not shown: the last one that was not bad stands in its place, with the quality bad. Thus
        no sum anywhere is reckoned with what cannot be.
        """
        self._cycle += 1
        power_kw, power_at_s = _shown(
            self._value[Quantity.POWER_KW], self._at_s[Quantity.POWER_KW], self._good_kw, self._good_s, quality
        )
        energy_kwh = self._column(Quantity.ENERGY_KWH)
        delivered_kwh = self._delivered_kwh(energy_kwh)
        state = FleetState(
            index=self.index,
            at_s=at_s,
            cycle=self._cycle,
            power_kw=power_kw,
            power_at_s=power_at_s,
            quality=quality,
            energy_kwh=energy_kwh,
            soc=self._column(Quantity.SOC),
            connected=self._column(Quantity.CONNECTED) == 1.0,
            plugged=self._column(Quantity.PLUGGED) == 1.0,
            available_min_kw=self._within(Quantity.P_MIN_KW, self.index.nameplate.p_min_kw),
            available_max_kw=self._within(Quantity.P_MAX_KW, self.index.nameplate.p_max_kw),
            limit_kw=self._column(Quantity.LIMIT_KW),
            need_kwh=self.sessions.need_kwh(delivered_kwh),
            departure_s=self.sessions.departure_s(),
            sheddable=self._sheddable(delivered_kwh),
            troubles=np.nan_to_num(self._value[Quantity.TROUBLES]).astype(np.int64),
        )
        for name in FleetState.__slots__:
            column = getattr(state, name)
            if isinstance(column, np.ndarray):
                column.flags.writeable = False
        return state

    def take_anchors(self) -> list[tuple[int, float]]:
        """Return and forget the rows whose charge at plug-in has become known since the last call, and that charge."""
        taken, self._anchors = self._anchors, []
        return taken

    def anchor(self, row: int, soc: float) -> None:
        """Set the charge a car had when it was plugged in, as an earlier run of the service saw it."""
        self._soc_start[row] = soc

    def load_sessions(self, state: StateTree) -> None:
        """Take the sessions, and the charges at plug-in, that earlier runs of the service saw; values are copied.

        Args:
            state: ``sessions`` as ``Sessions.state`` returned them, ``soc_start`` in shape ``(n_resources,)`` or less.
        """
        self.sessions.load(state["sessions"])
        count = min(len(self._soc_start), len(state["soc_start"]))
        self._soc_start[:count] = state["soc_start"][:count]

    def power_kw(self) -> FloatArray:
        """Return the last metered powers, shape ``(n_resources,)``."""
        return self._column(Quantity.POWER_KW)

    def power_at_s(self) -> FloatArray:
        """Return when each was metered, NaN where never, shape ``(n_resources,)``."""
        at_s = self._at_s[Quantity.POWER_KW]
        return np.where(np.isinf(at_s), np.nan, at_s)

    def troubles(self) -> IdArray:
        """Return the troubles each row's link last reported, a mask of ``Trouble``, shape ``(n_resources,)``."""
        return np.asarray(np.nan_to_num(self._value[Quantity.TROUBLES]), dtype=np.int64)

    def _column(self, quantity: Quantity) -> FloatArray:
        return np.array(self._value[quantity])

    def _within(self, quantity: Quantity, nameplate: FloatArray) -> FloatArray:
        return _fitted(self._value[quantity], nameplate, self.index.nameplate.p_min_kw, self.index.nameplate.p_max_kw)

    def _delivered_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """Return energy into each car since plug-in, less what it gave back, shape ``(n_resources,)``.

        Registers count what is taken in only, so a car that also feeds in is followed by its state of charge.
        """
        delivered = self.sessions.delivered_kwh(energy_kwh)
        index, rows = self.index, self.index.rows_of(ResourceClass.V2G)
        soc, start = self._value[Quantity.SOC][rows], self._soc_start[rows]
        gain = index.nameplate.efficiency[rows] / np.maximum(index.nameplate.capacity_kwh[rows], 1e-9)
        two_way = ~np.isnan(delivered[rows]) & ~np.isnan(soc)
        # By session, not by register: after a restart a car's charge at plug-in is known before its meter is heard.
        start[~self.sessions.open()[rows]] = np.nan
        new = two_way & np.isnan(start)
        start[new] = soc[new] - delivered[rows[new]] * gain[new]
        self._anchors += list(zip(rows[new].tolist(), start[new].tolist(), strict=True))
        self._soc_start[rows] = start
        delivered[rows[two_way]] = ((soc - start) / gain)[two_way]
        return delivered

    def _sheddable(self, delivered_kwh: FloatArray) -> BoolArray:
        return self.sessions.sheddable(delivered_kwh) | ~self.index.is_class(*CHARGING)


@njit()
def _put(  # noqa: PLR0917 - a kernel takes arguments by position
    columns: ImageColumns,
    low_kw: FloatArray,
    high_kw: FloatArray,
    quantities: CodeArray,
    rows: RowArray,
    values: FloatArray,
    at_s: FloatArray,
) -> None:
    """Put each sample in its place unless a newer one is there; of equally old ones the last wins."""
    value, known_s, good_kw, good_s = columns
    for i in range(len(rows)):
        quantity, row = quantities[i], rows[i]
        if at_s[i] >= known_s[quantity, row]:
            value[quantity, row] = values[i]
            known_s[quantity, row] = at_s[i]
            if quantity == _POWER and low_kw[row] <= values[i] <= high_kw[row]:
                good_kw[row], good_s[row] = values[i], at_s[i]


@njit()
def _shown(
    value: FloatArray, known_s: FloatArray, good_kw: FloatArray, good_s: FloatArray, quality: CodeArray
) -> tuple[FloatArray, FloatArray]:
    """Return the powers to be shown and when they were measured: the last believable where the last one is bad."""
    power_kw, at_s = np.empty(len(value)), np.empty(len(value))
    for row in range(len(value)):
        bad = quality[row] == _BAD
        power_kw[row] = good_kw[row] if bad else value[row]
        at_s[row] = good_s[row] if bad else known_s[row]
    return power_kw, at_s


@njit()
def _fitted(reported: FloatArray, nameplate: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return what each device reported inside its range, its nameplate where it reported nothing."""
    fitted = np.empty_like(reported)
    for row in range(len(reported)):
        kw = reported[row]
        fitted[row] = nameplate[row] if np.isnan(kw) else min(max(kw, low[row]), high[row])
    return fitted
