"""Revenue meters: metered 15-minute means of every row."""

from collections.abc import Iterator

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, STEP_S

SAMPLES = 60
"""Independent samples a meter averages in 15 minutes; the noise of a mean is that of a sample over its square root."""


class MeterHistory:
    """Metered means of finished quarters of an hour.

    Args:
        count: Number of rows.
        start_s: Begin of the simulation; a quarter that began before it is left out.
        noise: Stream of meter noise.
        keep_days: Days for which quarters are kept.
    """

    def __init__(self, count: int, start_s: float, *, noise: np.random.Generator, keep_days: float = 21.0) -> None:
        self._count = count
        self._noise = noise
        self._keep_s = keep_days * SECONDS_PER_DAY
        self._opened_s = start_s
        self._opened_kwh = np.zeros(count)
        self._means: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}

    @property
    def next_s(self) -> float:
        """End of the quarter that is running."""
        return floor_s(self._opened_s, STEP_S) + STEP_S

    def close(self, now_s: float, net_kwh: FloatArray, noise_ratio: float) -> None:
        """Finish the running quarter at ``now_s`` with the net energy so far, shape ``(n,)``."""
        if now_s - self._opened_s == STEP_S:
            mean_kw = (net_kwh - self._opened_kwh) * (SECONDS_PER_HOUR / STEP_S)
            error = noise_ratio / SAMPLES**0.5 * self._noise.standard_normal(self._count)
            self._means[round(self._opened_s)] = (mean_kw * (1.0 + error)).astype(np.float32)
            self._means.pop(round(now_s - self._keep_s), None)
        self._opened_s = now_s
        self._opened_kwh = net_kwh.copy()

    def drain(self) -> Iterator[tuple[float, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
        """Iterate start (epoch seconds) and means, shape ``(n,)``, of finished quarters, oldest first; forget each."""
        for start_s in sorted(self._means):
            yield float(start_s), self._means.pop(start_s)

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, NaN where unknown, shape ``(n, grid.count)``.

        Raises:
            InputError: The grid's step is not the settlement step.
        """
        if grid.step_s != STEP_S:
            raise InputError("grid.step_s", grid.step_s, f"{STEP_S}, the step of the meters")
        table = np.full((self._count, grid.count), np.nan)
        for column, start_s in enumerate(grid.starts_s()):
            mean_kw = self._means.get(round(float(start_s)))
            if mean_kw is not None:
                table[:, column] = mean_kw
        return table


def history_grid(*, days: int, until_s: float) -> TimeGrid:
    """Return the grid of the ``days`` whole days of quarters that end at or before ``until_s``."""
    end_s = floor_s(until_s, STEP_S)
    count = round(days * SECONDS_PER_DAY / STEP_S)
    return TimeGrid(start_at=instant(end_s - count * STEP_S), step_s=STEP_S, count=count)
