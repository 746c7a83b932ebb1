"""Who plugs in, when and for how much: the exogenous visits, from built-in distributions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.physics.weather import CHINA_OFFSET_S
from vpp.lab.twin.population.distributions import HABITS, QUANTILES, Habits, Kind

RAPID_KW = 20.0
"""Stations of at least this nameplate are used like rapid chargers."""

OPTED_OUT_SHARE = 0.10
"""Drivers who take no part; an assumption."""

BOOST_SHARE = 0.03
"""Drivers who press the button for full power; an assumption."""

_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}
_SATURDAY = 5
_EPOCH_WEEKDAY = 3


@dataclass(frozen=True, kw_only=True)
class Visits:
    """Cars that come, in order of arrival; shape ``(n_visits,)`` each.

    Attributes:
        rows: Fleet rows.
        arrive_s: Epoch seconds of plugging in.
        depart_s: Epoch seconds of unplugging, which is also what the driver says.
        need_kwh: Energy the car would take if it had time, at the plug.
        power_kw: Greatest power the car takes.
        opted_out: Its driver takes no part.
        boost: Its driver asks for full power.
    """

    rows: RowArray
    arrive_s: FloatArray
    depart_s: FloatArray
    need_kwh: FloatArray
    power_kw: FloatArray
    opted_out: BoolArray
    boost: BoolArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: BoolArray | RowArray) -> "Visits":
        """Return the visits at positions ``chosen``."""
        return Visits(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def in_order(self) -> "Visits":
        """Return the visits by arrival, rows breaking ties."""
        return self.take(np.lexsort((self.rows, self.arrive_s)).astype(np.int32))

    def without_collisions(self, free_from_s: FloatArray) -> "Visits":
        """Return the visits that find their station free; a car that finds it taken drives on.

        Args:
            free_from_s: When each row is free again, shape ``(n_resources,)``; moved on in place.
        """
        kept = kernels.without_collisions(self.rows, self.arrive_s, self.depart_s, CHANGEOVER_S, free_from_s)
        return self.take(kept)


CHANGEOVER_S = 120.0
"""Least time between two cars at one station."""


class SessionSource(Protocol):
    """Where visits come from; the same day always gives the same visits."""

    def day(self, index: FleetIndex, day: int) -> Visits:
        """Return the visits that begin on local day number ``day`` (days since 1970-01-01 in Asia/Shanghai)."""
        ...


def local_day(at_s: float) -> int:
    """Return the number of the Shanghai day that holds ``at_s``."""
    return int((at_s + CHINA_OFFSET_S) // SECONDS_PER_DAY)


def day_start_s(day: int) -> float:
    """Return the epoch second at which Shanghai day number ``day`` begins."""
    return day * SECONDS_PER_DAY - CHINA_OFFSET_S


def weekday(day: int) -> int:
    """Return the weekday of day number ``day``, Monday being 0."""
    return (day + _EPOCH_WEEKDAY) % 7


class Stations:
    """The charging rows of a fleet and what each is for.

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
    """Visits drawn from the tables in ``distributions``.

    Args:
        seed: Seed of all visits; each day has a stream of its own.
        scale: Factor on the number of visits.
    """

    def __init__(self, seed: int, *, scale: float = 1.0) -> None:
        self._seed = seed
        self._scale = scale
        self._stations: tuple[FleetIndex, Stations] | None = None

    def day(self, index: FleetIndex, day: int) -> Visits:
        """Return the visits that begin on local day number ``day``."""
        if self._stations is None or self._stations[0] is not index:
            self._stations = (index, Stations(index))
        stations = self._stations[1]
        random = np.random.default_rng([self._seed, day])
        parts = [self._of_kind(stations, kind, day, random) for kind in Kind]
        return joined(parts).in_order()

    def _of_kind(self, stations: Stations, kind: Kind, day: int, random: np.random.Generator) -> Visits:
        habits = HABITS[kind]
        rest = weekday(day) >= _SATURDAY
        here = stations.of(kind)
        which = np.repeat(here, random.poisson(self._scale * habits.visits[rest], len(here)))
        shape = np.array(habits.weekend if rest else habits.workday, dtype=np.float64)
        hour = random.choice(24, size=len(which), p=shape / shape.sum())
        arrive_s = day_start_s(day) + (hour + random.random(len(which))) * SECONDS_PER_HOUR
        stay_h = np.maximum(_drawn(habits.stay_h, random, len(which)) * np.array(habits.stay_shape)[hour], 0.1)
        nameplate_kw = stations.power_kw[which]
        return Visits(
            rows=stations.rows[which],
            arrive_s=arrive_s,
            depart_s=arrive_s + stay_h * SECONDS_PER_HOUR,
            need_kwh=_drawn(habits.energy_kwh, random, len(which)),
            power_kw=_car_power_kw(habits, nameplate_kw, random),
            **wishes(random, len(which)),
        )


def wishes(random: np.random.Generator, count: int) -> dict[str, BoolArray]:
    """Draw who opts out and who boosts."""
    mood = random.random(count)
    return {"opted_out": mood < OPTED_OUT_SHARE, "boost": mood > 1.0 - BOOST_SHARE}


def joined(parts: Sequence[Visits]) -> Visits:
    """Return the visits of all parts."""
    return Visits(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Visits)})


def _drawn(table: tuple[float, ...], random: np.random.Generator, count: int) -> FloatArray:
    return np.asarray(np.interp(random.random(count), QUANTILES, table))


def _car_power_kw(habits: Habits, nameplate_kw: FloatArray, random: np.random.Generator) -> FloatArray:
    slow = random.random(len(nameplate_kw)) < habits.slow_share
    return np.where(slow, np.maximum(0.5 * nameplate_kw, np.minimum(3.5, nameplate_kw)), nameplate_kw)
