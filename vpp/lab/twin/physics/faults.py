"""Device faults at documented default rates, and response times by protocol."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.device import DeviceResponse
from vpp.domain.resource import Adapter
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """Rates of device faults; the defaults are assumptions.

    Attributes:
        refuse_ratio: Share of commands answered no. Drawn per command: a refusal in the field is mostly a passing
            state (a session just ended, a controller busy), so the next command to that device may succeed.
        ignore_ratio: Share of devices that answer yes and do nothing. Drawn once per device: the cause (a car that
            disregards the pilot signal, firmware that stores profiles without applying them) does not go away.
        dropouts_per_hour: Rate at which each device loses its link by itself.
        away_minutes: Shortest and longest duration of such an outage, uniform.
        meter_noise_ratio: Standard deviation of a meter sample, as a share of its value.
    """

    refuse_ratio: float = 0.03
    ignore_ratio: float = 0.02
    dropouts_per_hour: float = 0.01
    away_minutes: tuple[float, float] = (5.0, 20.0)
    meter_noise_ratio: float = 0.01

    @classmethod
    def none(cls) -> "FaultRates":
        """Return rates of a world without faults."""
        return cls(refuse_ratio=0.0, ignore_ratio=0.0, dropouts_per_hour=0.0, meter_noise_ratio=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseBatch:
    """Responses of devices to one command each, as `vpp.domain.device.DeviceResponse`; shape ``(n,)`` each."""

    latency_s: FloatArray
    refused: BoolArray
    ignored: BoolArray


LATENCY_S = {Adapter.OCPP: (0.3, 3.0), Adapter.MODBUS: (0.05, 0.5), Adapter.MQTT: (0.5, 5.0)}
"""Least and greatest time to answer: cellular stations, polled wired devices, site gateways behind a broker."""

_LATENCY_SPREAD = 0.6
"""Standard deviation of the logarithm of latency; the median is the geometric mean of the bounds."""


class DeviceFaults:
    """Refusals, ignored commands and link outages of the devices of a fleet.

    Draws come from streams of their own, so that commands never change the exogenous world.

    Args:
        index: The fleet.
        rates: Fault rates; may be replaced at any time.
        flags: Stream of lasting faults of a device.
        draws: Stream of single responses.
        losses: Stream of link outages.
    """

    def __init__(
        self,
        index: FleetIndex,
        rates: FaultRates,
        *,
        flags: np.random.Generator,
        draws: np.random.Generator,
        losses: np.random.Generator,
    ) -> None:
        self.rates = rates
        self._inclination = flags.random(len(index))
        self._draws = draws
        self._losses = losses
        self._offline_until_s = np.full(len(index), -np.inf)
        self._ignores, self._refuses = np.ones(len(index)), np.ones(len(index))
        bounds = np.array([LATENCY_S[r.adapter] for r in index.resources], dtype=np.float64).reshape(-1, 2)
        self._least_s, self._most_s = bounds[:, 0], bounds[:, 1]

    @property
    def ignorers(self) -> BoolArray:
        """Devices that accept commands and ignore them at the present rate, shape ``(n,)``."""
        return np.asarray(self._inclination < self.rates.ignore_ratio * self._ignores)

    def worsen(self, *, ignores: FloatArray, refuses: FloatArray, latency: float) -> None:
        """Let devices differ: factors on the shares of ignored and refused commands, ``(n,)``, and on all latencies."""
        self._ignores, self._refuses = ignores, refuses
        self._least_s, self._most_s = latency * self._least_s, latency * self._most_s

    def response(self, row: int) -> DeviceResponse:
        """Draw the response of the device in ``row`` to one command."""
        refused = bool(self._draws.random() < self.rates.refuse_ratio * self._refuses[row])
        least_s, most_s = float(self._least_s[row]), float(self._most_s[row])
        latency_s = (least_s * most_s) ** 0.5 * float(np.exp(_LATENCY_SPREAD * self._draws.standard_normal()))
        return DeviceResponse(
            latency_s=min(max(latency_s, least_s), most_s),
            refused=refused,
            ignored=not refused and bool(self._inclination[row] < self.rates.ignore_ratio * self._ignores[row]),
        )

    def responses(self, rows: RowArray) -> ResponseBatch:
        """Draw the responses of the devices in ``rows`` to one command each."""
        refused = self._draws.random(len(rows)) < self.rates.refuse_ratio * self._refuses[rows]
        least_s, most_s = self._least_s[rows], self._most_s[rows]
        latency_s = np.sqrt(least_s * most_s) * np.exp(_LATENCY_SPREAD * self._draws.standard_normal(len(rows)))
        return ResponseBatch(
            latency_s=np.clip(latency_s, least_s, most_s),
            refused=refused,
            ignored=~refused & (self._inclination[rows] < self.rates.ignore_ratio * self._ignores[rows]),
        )

    def advance(self, now_s: float, step_s: float) -> None:
        """Draw the link outages of one step; their number is Poisson distributed."""
        count = len(self._offline_until_s)
        expected = self.rates.dropouts_per_hour * count * step_s / SECONDS_PER_HOUR
        lost = int(self._losses.poisson(expected)) if expected > 0.0 else 0
        if lost == 0:
            return
        rows = self._losses.integers(0, count, lost)
        back_s = now_s + 60.0 * self._losses.uniform(*self.rates.away_minutes, lost)
        self._offline_until_s[rows] = np.maximum(self._offline_until_s[rows], back_s)

    def cut(self, rows: RowArray, until_s: float) -> None:
        """Cut the links of ``rows`` until ``until_s``, or for as long as they are cut already."""
        self._offline_until_s[rows] = np.maximum(self._offline_until_s[rows], until_s)

    def drop(self, rows: RowArray) -> None:
        """Cut the links of ``rows`` until they are restored."""
        self._offline_until_s[rows] = np.inf

    def restore(self, rows: RowArray) -> None:
        """Restore the links of ``rows``."""
        self._offline_until_s[rows] = -np.inf

    def online(self, now_s: float) -> BoolArray:
        """Return which devices have their link, shape ``(n,)``."""
        return np.asarray(self._offline_until_s <= now_s)
