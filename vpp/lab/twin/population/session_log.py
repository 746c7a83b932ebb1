"""Record of every charging session of a simulation: wanted, promised and delivered energy in both worlds."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.lab.twin.population.sessions import Arrivals
from vpp.lab.twin.worlds import WORLDS


@dataclass(kw_only=True)
class _Columns:
    """Columns of the log, with room to grow; see ``SessionLog``."""

    rows: RowArray
    arrive_s: FloatArray
    depart_s: FloatArray
    stated_s: FloatArray
    need_kwh: FloatArray
    promised_kwh: FloatArray
    car_kw: FloatArray
    delivered_kwh: FloatArray
    finished: FloatArray


class SessionLog:
    """Energy wanted, promised and delivered in both worlds, session by session. Its number is its position."""

    def __init__(self) -> None:
        self._count = 0
        self._columns = _allocated(256)

    def __len__(self) -> int:
        return self._count

    def open(self, arrivals: Arrivals, promised_kwh: FloatArray, now_s: float) -> RowArray:
        """Add arrivals; return their numbers."""
        numbers = np.arange(self._count, self._count + len(arrivals), dtype=np.int32)
        self._count += len(arrivals)
        while self._count > len(self._columns.rows):
            self._grow()
        columns = self._columns
        columns.rows[numbers] = arrivals.rows
        columns.arrive_s[numbers] = np.minimum(arrivals.arrive_s, now_s)
        columns.depart_s[numbers] = arrivals.depart_s
        columns.stated_s[numbers] = arrivals.stated_s
        columns.need_kwh[numbers] = arrivals.need_kwh
        columns.promised_kwh[numbers] = promised_kwh
        columns.car_kw[numbers] = arrivals.power_kw
        return numbers

    def close(self, numbers: RowArray, delivered_kwh: FloatArray) -> None:
        """Record the energy of cars that leave, shape ``(2, len(numbers))``."""
        self._columns.delivered_kwh[:, numbers] = delivered_kwh
        self._columns.finished[numbers] = 1.0

    def update(self, numbers: RowArray, delivered_kwh: FloatArray) -> None:
        """Record the energy delivered so far, shape ``(2, len(numbers))``."""
        self._columns.delivered_kwh[:, numbers] = delivered_kwh

    def column(self, name: str) -> FloatArray:
        """Return a column by name, up to the last session; ``delivered_kwh`` has shape ``(2, n_sessions)``."""
        return np.array(getattr(self._columns, name)[..., : self._count])

    def _grow(self) -> None:
        old, self._columns = self._columns, _allocated(2 * len(self._columns.rows))
        kept = len(old.rows)
        for name in vars(old):
            getattr(self._columns, name)[..., :kept] = getattr(old, name)


def _allocated(count: int) -> _Columns:
    return _Columns(
        rows=np.zeros(count, dtype=np.int32),
        arrive_s=np.zeros(count),
        depart_s=np.zeros(count),
        stated_s=np.zeros(count),
        need_kwh=np.zeros(count),
        promised_kwh=np.zeros(count),
        car_kw=np.zeros(count),
        delivered_kwh=np.zeros((WORLDS, count)),
        finished=np.zeros(count),
    )
