"""The fleet's state at one instant: all that is believed, one row a resource, read-only (a process image)."""

from dataclasses import dataclass, field

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray
from vpp.fleet.index import ADAPTERS, FleetIndex


def _no_troubles() -> IdArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All that is believed at one instant, one row a resource; arrays are read-only, shape ``(n_resources,)``.

    Attributes:
        at_s: Epoch seconds of the snapshot.
        cycle: Number of the snapshot, rising by one.
        power_kw: Last metered net power that can be believed, load positive, NaN before the first.
        power_at_s: When it was measured, NaN before the first.
        quality: ``Quality`` code of the last metered power; bad where ``power_kw`` is an older one in its place.
        energy_kwh: Register of energy taken in.
        soc: State of charge, 0-1.
        connected: The device's link is up.
        plugged: A car is plugged in.
        available_min_kw: Least power the device says it can take now; its nameplate until it says so.
        available_max_kw: Greatest power the device says it can take now; its nameplate until it says so.
        limit_kw: Limit or setpoint as read back, NaN where none was.
        need_kwh: Energy the plugged car still lacks to its promise, NaN where nothing was promised.
        departure_s: Epoch seconds of the promised departure, NaN where nothing was promised.
        sheddable: The session has a promise, its floor is reached, and its driver neither opted out nor boosts;
            always true for rows without cars.
        troubles: Bit mask of `vpp.domain.trouble.Trouble` that its link knows of; empty where nothing is known of any.
    """

    index: FleetIndex
    at_s: float
    cycle: int
    power_kw: FloatArray
    power_at_s: FloatArray
    quality: CodeArray
    energy_kwh: FloatArray
    soc: FloatArray
    connected: BoolArray
    plugged: BoolArray
    available_min_kw: FloatArray
    available_max_kw: FloatArray
    limit_kw: FloatArray
    need_kwh: FloatArray
    departure_s: FloatArray
    sheddable: BoolArray
    troubles: IdArray = field(default_factory=_no_troubles)

    def __len__(self) -> int:
        return len(self.index)

    def connected_by_adapter(self) -> IdArray:
        """Return the number of connected rows of each of ``ADAPTERS``, shape ``(n_adapters,)``."""
        codes = self.index.adapter_code
        return np.array([np.count_nonzero(self.connected & (codes == code)) for code in range(len(ADAPTERS))])

    def laxity_s(self, power_kw: FloatArray) -> FloatArray:
        """Return the time each car could wait before it needs ``power_kw`` without pause, shape ``(n_resources,)``.

        Laxity as in least-laxity-first scheduling (Dertouzos 1974): time to departure less time to charge. Infinite
        for rows without a promise.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            laxity = self.departure_s - self.at_s - 3600.0 * self.need_kwh / power_kw
        return np.where(np.isnan(laxity), np.inf, laxity)

    def laxity_of(self, rows: RowArray, power_kw: FloatArray) -> FloatArray:
        """Return ``laxity_s`` of some rows only, shape ``(len(rows),)``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            laxity = self.departure_s[rows] - self.at_s - 3600.0 * self.need_kwh[rows] / power_kw
        return np.where(np.isnan(laxity), np.inf, laxity)
