"""Errors of the twin beside those of the field, class by class and horizon by horizon."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from vpp.lab.bench.world import field_series, twin_series
from vpp.lab.bench.world.simple_forecast import Series, rmse_ratio
from vpp.lab.bench.world.twin_charging import Town, TwinStations
from vpp.lab.bench.world.twin_series import Advance, Stretch
from vpp.lab.twin.population.distributions import Kind

FITTED = 0.2
"""Greatest share by which the twin's error may differ where data of the very kind are at hand."""

_PV_H = (0.25, 1.0, 4.0, 24.0)
_HOURLY_H = (1.0, 4.0, 24.0)
_CAMPUS = "caltech"
_PUBLIC = (Kind.PUBLIC, Kind.RAPID)
_CITY_STAY_H = 1.5
"""Mean stay at the piles of Shenzhen, which are mostly rapid; an assumption, for their series has no sessions."""

_AGGREGATE = 0.25
"""Least error of all buildings and plants together, as a share of a utility's: they have no homes among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One class at one horizon.

    Attributes:
        name: The class.
        horizon_h: Hours ahead.
        twin: Root mean square error of the twin's series as a share of their mean, of the rating for roofs.
        data: The same of the real series.
        least: Least that is accepted of the twin.
        most: Greatest that is accepted.
        judged: The bounds are a bar; a single town is shown, and judged with the others of its panel.
    """

    name: str
    horizon_h: float
    twin: float
    data: float
    least: float
    most: float
    judged: bool = True

    @property
    def within(self) -> bool:
        """The twin's error is accepted."""
        return self.least <= self.twin <= self.most


def compared(folder: Path, stretch: Stretch, stations: Stretch, advance: Advance) -> list[Row]:
    """Return every class at every horizon that the data have.

    Args:
        folder: The data.
        stretch: Days of a small city, for power.
        stations: The same days of a fleet of charging stations alone.
        advance: Told after every day.

    Raises:
        InputError: A file is missing.
    """
    roofs, towns, city = (
        field_series.photovoltaics(folder),
        field_series.charging(folder),
        field_series.city_charging(folder)[0],
    )
    transformers, utility = field_series.transformer_load(folder), field_series.utility_load(folder)
    twin, cars = twin_series.metered(stretch, advance), TwinStations(stations)
    rows, single = list(_fitted("pv", _PV_H, twin["pv"], roofs)), list[Row]()
    for town, (series, stay_h) in towns.items():
        kinds = (Kind.WORK,) if town == _CAMPUS else _PUBLIC
        like = cars.like(Town(cars=series.scale, stay_h=stay_h), kinds, per_day=series.values.shape[1])
        single += _fitted(f"ev_{town}", _HOURLY_H, like, [series])
    rows += _panel(single)
    rows += [replace(row, judged=False) for row in single]
    whole = Town(cars=city.scale, stay_h=_CITY_STAY_H, whole_city=True)
    rows += _fitted("ev_city", _PV_H, cars.like(whole, _PUBLIC, per_day=city.values.shape[1]), [city])
    rows += _ranged("site_load", _HOURLY_H, twin["site_load"], transformers)
    rows += _ranged("city_load", _HOURLY_H, twin["city_load"], utility, floor=_AGGREGATE)
    return rows


def _mean(series: Sequence[Series], horizon_h: float) -> float:
    return fmean(rmse_ratio(one, horizon_h) for one in series)


def _fitted(name: str, horizons_h: Sequence[float], twin: Sequence[Series], data: Sequence[Series]) -> Iterator[Row]:
    for horizon_h in horizons_h:
        real = _mean(data, horizon_h)
        yield Row(
            name=name,
            horizon_h=horizon_h,
            twin=_mean(twin, horizon_h),
            data=real,
            least=(1.0 - FITTED) * real,
            most=(1.0 + FITTED) * real,
        )


def _panel(towns: Sequence[Row]) -> Iterator[Row]:
    """Yield the mean over all towns at each horizon."""
    for horizon_h in sorted({row.horizon_h for row in towns}):
        own = [row for row in towns if row.horizon_h == horizon_h]
        twin, data = fmean(row.twin for row in own), fmean(row.data for row in own)
        bounds = ((1.0 - FITTED) * data, (1.0 + FITTED) * data)
        yield Row(name="ev_panel", horizon_h=horizon_h, twin=twin, data=data, least=bounds[0], most=bounds[1])


def _ranged(
    name: str, horizons_h: Sequence[float], twin: Sequence[Series], data: Sequence[Series], *, floor: float = 1.0
) -> Iterator[Row]:
    """Yield rows of a class without data of its own: inside what like series show, from ``floor`` of the least on."""
    for horizon_h in horizons_h:
        real = [rmse_ratio(one, horizon_h) for one in data]
        yield Row(
            name=name,
            horizon_h=horizon_h,
            twin=_mean(twin, horizon_h),
            data=fmean(real),
            least=floor * min(real),
            most=max(real),
        )
