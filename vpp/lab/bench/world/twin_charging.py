"""Occupied stations of the twin, in groups like a town of the field: as many cars, with as long stays."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.telemetry import FloatArray, IdArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import day_start_s
from vpp.lab.bench.world.simple_forecast import Series
from vpp.lab.bench.world.twin_series import Stretch
from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.population.distributions import Kind
from vpp.lab.twin.population.sessions import Arrivals, ChargingPoints, joined

CHARGING_PLACES = ("public", "rapid", "work")
"""Kinds of site whose stations are compared."""

_LEAD_DAYS = 3
"""Days before the first of which cars may still be there."""

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What a group of stations is to be like.

    Attributes:
        cars: Occupied stations on average.
        stay_h: Mean stay.
        whole_city: It is not one town but all districts together.
    """

    cars: float
    stay_h: float
    whole_city: bool = False


class TwinStations:
    """Sessions of a stretch of days, and what groups of stations have of them.

    Args:
        stretch: The days, the world, and a fleet of charging stations.
    """

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._begin_s, self._end_s = (day_start_s(stretch.first_day + day) for day in (0, stretch.days))
        self._visits = _visits(stretch)
        points = ChargingPoints(stretch.fleet)
        self._rows = {kind: points.rows[points.of(kind)] for kind in Kind}

    def like(self, town: Town, kinds: tuple[Kind, ...], *, per_day: int, groups: int = 48) -> list[Series]:
        """Return how many stations are occupied in groups like ``town``, none of which is in two districts.

        Args:
            town: What they are to be like.
            kinds: Uses of stations; of two, as many of each as give the stay, as far as they can.
            per_day: Steps a day.
            groups: Most groups.
        """
        sizes = self._sizes(town, kinds)
        found: list[Series] = []
        for rows in self._towns(sizes, whole_city=town.whole_city):
            busy = self._busy(self._visits_of(rows), per_day=per_day)
            found.append(Series.of(busy, self._stretch.rest, per_day=per_day))
            if len(found) == groups:
                break
        return found

    def _sizes(self, town: Town, kinds: tuple[Kind, ...]) -> dict[Kind, int]:
        """Return the number of stations of each kind that gives a town's cars, and its stay as far as can be."""
        rate = {kind: self._per_station(kind) for kind in kinds}
        if len(kinds) == 1:
            (kind,) = kinds
            return {kind: max(round(town.cars / rate[kind][1]), 1)}
        (arrive_a, busy_a), (arrive_b, busy_b) = (rate[kind] for kind in kinds)
        arrivals = town.cars / town.stay_h
        wanted = np.linalg.solve(np.array([[busy_a, busy_b], [arrive_a, arrive_b]]), np.array([town.cars, arrivals]))
        if wanted.min() >= 0.0:
            return {kind: max(round(float(n)), 1) for kind, n in zip(kinds, wanted, strict=True)}
        nearest = kinds[int(np.argmax(wanted))]
        return {nearest: max(round(town.cars / rate[nearest][1]), 1)}

    def _per_station(self, kind: Kind) -> tuple[float, float]:
        """Return arrivals an hour and occupied stations for each station of a kind."""
        visits = self._visits_of(self._rows[kind])
        stay_s = np.minimum(visits.depart_s, self._end_s) - np.maximum(visits.arrive_s, self._begin_s)
        hours, count = (self._end_s - self._begin_s) / _HOUR_S, len(self._rows[kind])
        inside = np.count_nonzero(visits.arrive_s >= self._begin_s)
        return inside / hours / count, float(np.maximum(stay_s, 0.0).sum()) / _HOUR_S / hours / count

    def _visits_of(self, rows: RowArray) -> Arrivals:
        mine = np.zeros(len(self._stretch.fleet), dtype=np.bool_)
        mine[rows] = True
        return self._visits.take(mine[self._visits.rows])

    def _towns(self, sizes: dict[Kind, int], *, whole_city: bool) -> list[RowArray]:
        """Return the rows of as many towns of these sizes as there are stations for."""
        index = self._stretch.fleet
        area = np.zeros(len(index), dtype=np.int64) if whole_city else index.area_code
        random = np.random.default_rng(self._stretch.seed)
        found: list[RowArray] = []
        for code in range(int(area.max(initial=0)) + 1):
            here = {kind: random.permutation(self._rows[kind][area[self._rows[kind]] == code]) for kind in sizes}
            if whole_city:
                found.append(np.concatenate([here[kind][:size] for kind, size in sizes.items()]))
                continue
            count = min(len(here[kind]) // size for kind, size in sizes.items())
            found += [
                np.concatenate([here[kind][i * size : (i + 1) * size] for kind, size in sizes.items()])
                for i in range(count)
            ]
        return [found[i] for i in random.permutation(len(found))]

    def _busy(self, visits: Arrivals, *, per_day: int) -> FloatArray:
        """Return the mean number of cars on every step, shape ``(days * per_day,)``."""
        steps = self._stretch.days * per_day
        change = np.zeros(steps + 1)
        for at_s, sign in ((visits.arrive_s, 1.0), (visits.depart_s, -1.0)):
            place = np.clip((at_s - self._begin_s) * (per_day / SECONDS_PER_DAY), 0.0, steps)
            low: IdArray = np.minimum(place.astype(np.int64), steps - 1)
            share = place - low
            change += np.bincount(low, weights=sign * (1.0 - share), minlength=len(change))
            change += np.bincount(low + 1, weights=sign * share, minlength=len(change))
        return np.asarray(np.cumsum(change)[:-1])


def _visits(stretch: Stretch) -> Arrivals:
    """Return the sessions that find their station free, some days before the stretch included."""
    source = conducted_sessions(None, stretch.world, seed=stretch.seed)
    free_from_s = np.full(len(stretch.fleet), -np.inf)
    days = range(stretch.first_day - _LEAD_DAYS, stretch.first_day + stretch.days)
    return joined([source.day(stretch.fleet, day).without_collisions(free_from_s) for day in days])
