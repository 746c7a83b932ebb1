"""Devices as they are: makes that do not respond, outages of many at once, meters that read wrong, sleeping cars."""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.environment.world_file import Devices, Make

_ASLEEP_AFTER_S = 60.0
"""Pause after which a car that sleeps does not draw again."""


def make_factors(
    index: FleetIndex, makes: tuple[Make, ...], random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return factors on the shares of ignored and refused commands by the make of every device, shape ``(n,)`` each.

    All devices of one site and class are of one make, as they were bought together.
    """
    groups: dict[tuple[str, str], int] = {}
    group = np.array(
        [groups.setdefault((r.site_id, r.resource_class), len(groups)) for r in index.resources], dtype=np.int64
    )
    shares = np.array([make.share for make in makes])
    drawn = random.choice(len(makes), size=max(len(groups), 1), p=shares / shares.sum())
    make = drawn[group] if len(group) else np.zeros(0, dtype=np.int64)
    return np.array([m.ignores for m in makes])[make], np.array([m.refuses for m in makes])[make]


def meter_factors(index: FleetIndex, devices: Devices, random: np.random.Generator) -> FloatArray:
    """Return what every meter shows of the true value, shape ``(n,)``."""
    return 1.0 + random.uniform(-devices.meter_bias, devices.meter_bias, len(index))


class GroupOutages:
    """Hours in which all devices of an operator, or of an area, lose their links.

    Args:
        index: The fleet.
        devices: Rates.
        random: Stream of all draws.
    """

    def __init__(self, index: FleetIndex, devices: Devices, random: np.random.Generator) -> None:
        self._random, self._hours = random, devices.outage_hours
        operators = {operator.id: i for i, operator in enumerate(index.operators)}
        sites = {site.id: operators[site.operator_id] for site in index.sites}
        operator = np.array([sites[r.site_id] for r in index.resources], dtype=np.int64)
        self._groups: list[RowArray] = [
            np.flatnonzero(code == i).astype(np.int32)
            for code, count in ((operator, len(operators)), (index.area_code, len(index.areas)))
            for i in range(count)
        ]
        self._per_day = np.repeat(
            [devices.operator_outages_per_day, devices.area_outages_per_day], [len(operators), len(index.areas)]
        )

    def step(self, now_s: float, step_s: float) -> list[tuple[RowArray, float]]:
        """Return the rows that lose their links in this step, with the instant at which each group is back."""
        struck = np.flatnonzero(self._random.random(len(self._per_day)) < self._per_day * step_s / SECONDS_PER_DAY)
        return [
            (self._groups[i], now_s + SECONDS_PER_HOUR * float(self._random.uniform(*self._hours)))
            for i in struck.tolist()
            if len(self._groups[i])
        ]


class SleepingCars:
    """Cars that do not draw again once their station has paused them.

    Args:
        index: The fleet.
        share: Of all cars.
        random: Stream of all draws.
    """

    def __init__(self, index: FleetIndex, share: float, random: np.random.Generator) -> None:
        self._share, self._random = share, random
        self._least_kw = np.where(index.is_class(ResourceClass.EV), 0.99 * index.nameplate.floor_kw, -np.inf)
        self._sleeper: BoolArray = random.random(len(index)) < share
        self._paused_s = np.zeros(len(index))

    def plug(self, rows: RowArray) -> None:
        """Take the cars that were just plugged in at ``rows``; all awake."""
        self._sleeper[rows] = self._random.random(len(rows)) < self._share
        self._paused_s[rows] = 0.0

    def step(self, asked_kw: FloatArray, step_s: float) -> None:
        """Let a step pass; those asleep are asked for nothing in ``asked_kw``, shape ``(n,)``, which is changed."""
        awake = self._paused_s <= _ASLEEP_AFTER_S
        paused = np.flatnonzero(self._sleeper & awake & (asked_kw < self._least_kw))
        self._paused_s[paused] += step_s
        asked_kw[~awake] = 0.0
