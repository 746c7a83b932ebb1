"""The process image: adapters write whenever they like, the loop swaps once a cycle.

A sample older than the one in place is dropped, so late and repeated telemetry cannot turn the picture back.
"""

import numpy as np

from vpp.domain.fleet import FleetIndex, FleetState
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quantity, TelemetryBatch
from vpp.state.sessions import Sessions

_UNKNOWN_AT_S = -np.inf


class ProcessImage:
    """The write side of all that is believed; ``swap`` gives the read side.

    Args:
        index: Who stands in which row.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.index = index
        self.sessions = Sessions(len(index))
        self._value = np.full((len(Quantity), len(index)), np.nan)
        self._at_s = np.full((len(Quantity), len(index)), _UNKNOWN_AT_S)
        self._cycle = 0
        self._soc_start = np.full(len(index), np.nan)
        self._anchors: list[tuple[int, float]] = []

    def resize(self, index: FleetIndex) -> None:
        """Serve a larger fleet; known rows keep their values."""
        more = len(index) - len(self.index)
        self.index = index
        self._value = np.append(self._value, np.full((len(Quantity), more), np.nan), axis=1)
        self._at_s = np.append(self._at_s, np.full((len(Quantity), more), _UNKNOWN_AT_S), axis=1)
        self._soc_start = np.append(self._soc_start, np.full(more, np.nan))
        self.sessions.resize(len(index))

    def write(self, batch: TelemetryBatch) -> None:
        """Put samples in place, each unless a newer one of its row and quantity is there already."""
        order = np.argsort(batch.at_s, kind="stable")
        quantities, rows = batch.quantities[order], batch.rows[order]
        at_s = batch.at_s[order]
        fresh = at_s >= self._at_s[quantities, rows]
        where = (quantities[fresh], rows[fresh])
        self._value[where] = batch.values[order][fresh]
        self._at_s[where] = at_s[fresh]

    def write_session(self, event: SessionEvent) -> None:
        """Take news of a car."""
        self.sessions.apply(event)

    def swap(self, at_s: float, quality: CodeArray) -> FleetState:
        """Return a read-only picture of ``at_s``; later writes do not show in it."""
        self._cycle += 1
        energy_kwh = self._column(Quantity.ENERGY_KWH)
        delivered_kwh = self._delivered_kwh(energy_kwh)
        state = FleetState(
            index=self.index,
            at_s=at_s,
            cycle=self._cycle,
            power_kw=self._column(Quantity.POWER_KW),
            power_at_s=self.power_at_s(),
            quality=quality,
            energy_kwh=energy_kwh,
            soc=self._column(Quantity.SOC),
            connected=self._column(Quantity.CONNECTED) == 1.0,
            plugged=self._column(Quantity.PLUGGED) == 1.0,
            available_min_kw=self._within(Quantity.P_MIN_KW, self.index.p_min_kw),
            available_max_kw=self._within(Quantity.P_MAX_KW, self.index.p_max_kw),
            limit_kw=self._column(Quantity.LIMIT_KW),
            need_kwh=self.sessions.need_kwh(delivered_kwh),
            departure_s=self.sessions.departure_s(),
            sheddable=self._sheddable(delivered_kwh),
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

    def power_kw(self) -> FloatArray:
        """Return the last metered powers, shape ``(n_resources,)``."""
        return self._column(Quantity.POWER_KW)

    def power_at_s(self) -> FloatArray:
        """Return when each was metered, NaN where never, shape ``(n_resources,)``."""
        at_s = self._at_s[Quantity.POWER_KW]
        return np.where(np.isinf(at_s), np.nan, at_s)

    def _column(self, quantity: Quantity) -> FloatArray:
        return np.array(self._value[quantity])

    def _within(self, quantity: Quantity, nameplate: FloatArray) -> FloatArray:
        reported = self._value[quantity]
        return np.where(np.isnan(reported), nameplate, np.clip(reported, self.index.p_min_kw, self.index.p_max_kw))

    def _delivered_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """Return energy into each car since plug-in, less what it gave back, shape ``(n_resources,)``.

        Registers count what is taken in only, so a car that also feeds in is followed by its state of charge.
        """
        taken_in = self.sessions.delivered_kwh(energy_kwh)
        soc, gain = self._value[Quantity.SOC], self.index.efficiency / np.maximum(self.index.capacity_kwh, 1e-9)
        two_way = self.index.is_class(ResourceClass.V2G) & ~np.isnan(taken_in) & ~np.isnan(soc)
        # By session, not by register: after a restart a car's charge at plug-in is known before its meter is heard.
        self._soc_start[~self.sessions.open()] = np.nan
        new = np.flatnonzero(two_way & np.isnan(self._soc_start))
        self._soc_start[new] = soc[new] - taken_in[new] * gain[new]
        self._anchors += [(int(row), float(self._soc_start[row])) for row in new]
        return np.where(two_way, (soc - self._soc_start) / gain, taken_in)

    def _sheddable(self, delivered_kwh: FloatArray) -> BoolArray:
        return np.where(self.index.is_class(*CHARGING), self.sessions.sheddable(delivered_kwh), True)  # noqa: FBT003
