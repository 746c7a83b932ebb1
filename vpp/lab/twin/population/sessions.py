"""Exogenous charging sessions: arrivals, stays and energy needs from built-in distributions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import is_rest
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.population.distributions import HABITS, QUANTILES, Habits, Kind

RAPID_KW = 20.0
"""Stations of at least this nameplate are used like rapid chargers."""

OPTED_OUT_SHARE = 0.10
"""Share of drivers who opt out; an assumption."""

BOOST_SHARE = 0.03
"""Share of drivers who ask for full power; an assumption."""

_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Cars that arrive, in order of arrival; shape ``(k,)`` each.

    Attributes:
        rows: Fleet rows.
        arrive_s: Epoch seconds of plugging in.
        depart_s: Epoch seconds of unplugging.
        need_kwh: Energy at the plug that the car takes if the stay is long enough.
        power_kw: Greatest power the car takes.
        opted_out: The driver takes no part.
        boost: The driver asks for full power.
        stated_s: Epoch seconds of unplugging as the driver states it, NaN where nothing is stated; ``depart_s`` unless
            given.
    """

    rows: RowArray
    arrive_s: FloatArray
    depart_s: FloatArray
    need_kwh: FloatArray
    power_kw: FloatArray
    opted_out: BoolArray
    boost: BoolArray
    stated_s: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if len(self.stated_s) != len(self.rows):
            object.__setattr__(self, "stated_s", self.depart_s)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: BoolArray | RowArray) -> "Arrivals":
        """Return the arrivals at positions ``chosen``."""
        return Arrivals(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def in_order(self) -> "Arrivals":
        """Return the arrivals by time, rows breaking ties."""
        return self.take(np.lexsort((self.rows, self.arrive_s)).astype(np.int32))

    def without_collisions(self, free_from_s: FloatArray) -> "Arrivals":
        """Return the cars that find their station free; a car that finds it occupied drives on.

        Args:
            free_from_s: Epoch seconds from which each row is free again, shape ``(n_resources,)``; updated in place.
        """
        kept = kernels.without_collisions(self.rows, self.arrive_s, self.depart_s, CHANGEOVER_S, free_from_s)
        return self.take(kept)


CHANGEOVER_S = 120.0
"""Least time between two cars at one station."""


class SessionSource(Protocol):
    """Source of charging sessions; the same day always gives the same sessions."""

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the sessions that begin on local day number ``day`` (days since 1970-01-01 in Asia/Shanghai)."""
        ...


class ChargingPoints:
    """The charging rows of a fleet and the use of each.

    The kind follows the site's id (``home-``, ``work-``, ``public-``, ``rapid-``); elsewhere the nameplate decides.
    """

    def __init__(self, index: FleetIndex) -> None:
        chosen = index.is_class(ResourceClass.EV, ResourceClass.V2G)
        self.rows: RowArray = np.flatnonzero(chosen).astype(np.int32)
        self.power_kw: FloatArray = index.nameplate.p_max_kw[self.rows]
        self._site_ids = [index.resources[row].site_id for row in self.rows]

    @cached_property
    def kinds(self) -> Sequence[Kind]:
        """Kind of every charging row."""
        return [self._kind(i) for i in range(len(self.rows))]

    @cached_property
    def _by_kind(self) -> Mapping[Kind, RowArray]:
        codes = {kind: code for code, kind in enumerate(Kind)}
        code = np.array([codes[kind] for kind in self.kinds], dtype=np.int32)
        return {kind: np.flatnonzero(code == codes[kind]).astype(np.int32) for kind in Kind}

    def of(self, kind: Kind) -> RowArray:
        """Return positions in ``rows`` of one kind."""
        return self._by_kind[kind]

    def _kind(self, i: int) -> Kind:
        head = self._site_ids[i].split("-", 1)[0]
        if head in _KINDS:
            return _KINDS[head]
        return Kind.RAPID if self.power_kw[i] >= RAPID_KW else Kind.PUBLIC


class BuiltinSessions:
    """Arrivals drawn from the tables in ``distributions``.

    Args:
        seed: Seed of all sessions; each day has a stream of its own.
        scale: Factor on the number of sessions.
    """

    def __init__(self, seed: int, *, scale: float = 1.0) -> None:
        self._seed = seed
        self._scale = scale
        self._points: tuple[FleetIndex, ChargingPoints] | None = None

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the sessions that begin on local day number ``day``."""
        if self._points is None or self._points[0] is not index:
            self._points = (index, ChargingPoints(index))
        points = self._points[1]
        random = np.random.default_rng([self._seed, day])
        parts = [self._of_kind(points, kind, day, random) for kind in Kind]
        return joined(parts).in_order()

    def _of_kind(self, points: ChargingPoints, kind: Kind, day: int, random: np.random.Generator) -> Arrivals:
        habits = HABITS[kind]
        rest = is_rest(day)
        here = points.of(kind)
        which = np.repeat(here, random.poisson(self._scale * habits.sessions[rest], len(here)))
        shape = np.array(habits.weekend if rest else habits.workday, dtype=np.float64)
        hour = random.choice(24, size=len(which), p=shape / shape.sum())
        arrive_s = day_start_s(day) + (hour + random.random(len(which))) * SECONDS_PER_HOUR
        stay_h = np.maximum(_drawn(habits.stay_h, random, len(which)) * np.array(habits.stay_shape)[hour], 0.1)
        nameplate_kw = points.power_kw[which]
        return Arrivals(
            rows=points.rows[which],
            arrive_s=arrive_s,
            depart_s=arrive_s + stay_h * SECONDS_PER_HOUR,
            need_kwh=_drawn(habits.energy_kwh, random, len(which)),
            power_kw=_car_power_kw(habits, nameplate_kw, random),
            **driver_choices(random, len(which)),
        )


def driver_choices(random: np.random.Generator, count: int) -> dict[str, Any]:
    """Draw which drivers opt out and which ask for full power."""
    draw = random.random(count)
    return {"opted_out": draw < OPTED_OUT_SHARE, "boost": draw > 1.0 - BOOST_SHARE}


def joined(parts: Sequence[Arrivals]) -> Arrivals:
    """Return the arrivals of all parts."""
    return Arrivals(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Arrivals)})


def _drawn(table: tuple[float, ...], random: np.random.Generator, count: int) -> FloatArray:
    return np.asarray(np.interp(random.random(count), QUANTILES, table))


def _car_power_kw(habits: Habits, nameplate_kw: FloatArray, random: np.random.Generator) -> FloatArray:
    slow = random.random(len(nameplate_kw)) < habits.slow_share
    return np.where(slow, np.maximum(0.5 * nameplate_kw, np.minimum(3.5, nameplate_kw)), nameplate_kw)
