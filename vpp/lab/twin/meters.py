"""Energy registers, sampled power and metered intervals of the simulated fleet."""

import numpy as np

from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.revenue_meters import MeterHistory
from vpp.lab.twin.worlds import ACTUAL, WORLDS


class Meters:
    """Meters of all rows: registers without error, samples and interval means with noise.

    Args:
        count: Number of rows.
        stores: Number of stores.
        start_s: Epoch seconds at which the model begins.
        samples: Stream of the noise of single samples.
        intervals: Stream of the noise of interval means.

    Attributes:
        net_kwh: Net energy since the begin in both worlds, shape ``(2, n)``.
        ordinary_kwh: The same of the stores in the ordinary world, shape ``(s,)``.
        register_kwh: Energy taken in in the actual world; never falls. Shape ``(n,)``.
        factor: What every meter shows of the true value, shape ``(n,)``.
        history: Metered quarters of an hour of the actual world.
    """

    def __init__(
        self,
        count: int,
        start_s: float,
        *,
        samples: np.random.Generator,
        intervals: np.random.Generator,
        stores: int = 0,
    ) -> None:
        self.net_kwh: FloatArray = np.zeros((WORLDS, count))
        self.ordinary_kwh: FloatArray = np.zeros(stores)
        self.register_kwh: FloatArray = np.zeros(count)
        self.factor: FloatArray = np.ones(count)
        self._wrong = False
        self.history = MeterHistory(count, start_s, noise=intervals)
        self._samples = samples

    def count(self, power_kw: FloatArray, ordinary_kw: FloatArray, step_s: float) -> None:
        """Add one step's energy: ``power_kw`` has shape ``(2, n)``, that of the ordinary world's stores ``(s,)``."""
        self.ordinary_kwh += ordinary_kw * (step_s / SECONDS_PER_HOUR)
        kernels.register(power_kw, step_s / SECONDS_PER_HOUR, self.net_kwh, self.register_kwh)

    def close_interval(self, now_s: float, noise_ratio: float) -> None:
        """Finish the running quarter of an hour at ``now_s``."""
        self.history.close(now_s, self.net_kwh[ACTUAL] * self.factor, noise_ratio)

    @property
    def registers_kwh(self) -> FloatArray:
        """What all registers show, shape ``(n,)``; not to be written to."""
        return self.factor * self.register_kwh if self._wrong else self.register_kwh

    def misread(self, factor: FloatArray) -> None:
        """Let meters show these factors of the true values, shape ``(n,)``, from the begin on."""
        self.factor, self._wrong = factor, True

    def shown_kwh(self, rows: RowArray) -> FloatArray:
        """Return what the registers of ``rows`` show."""
        return self.factor[rows] * self.register_kwh[rows]

    def sample_kw(self, power_kw: FloatArray, noise_ratio: float) -> FloatArray:
        """Return one sample of ``power_kw``, shape ``(m,)``: Gaussian noise in proportion to the value."""
        return np.asarray(power_kw * (1.0 + noise_ratio * self._samples.standard_normal(len(power_kw))))
