"""Errors of the twin beside those of the field, class by class and horizon by horizon."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from vpp.lab.bench.world import field_series, twin_series
from vpp.lab.bench.world.simple_forecast import Series, rmse_ratio
from vpp.lab.bench.world.twin_series import Advance, Stretch
from vpp.lab.twin.population.distributions import Kind

FITTED = 0.2
"""Greatest share by which the twin's error may differ where data of the very kind are at hand."""

_PV_H = (0.25, 1.0, 4.0, 24.0)
_HOURLY_H = (1.0, 4.0, 24.0)
_GROUPS = 40


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
    """

    name: str
    horizon_h: float
    twin: float
    data: float
    least: float
    most: float

    @property
    def within(self) -> bool:
        """The twin's error is accepted."""
        return self.least <= self.twin <= self.most


def compared(folder: Path, stretch: Stretch, advance: Advance) -> list[Row]:
    """Return every class at every horizon that the data have; raises InputError where a file is missing."""
    real = {
        "pv": field_series.photovoltaics(folder),
        **field_series.charging(folder),
        "ev_city": field_series.city_charging(folder),
    }
    transformers, utility = field_series.transformer_load(folder), field_series.utility_load(folder)
    twin = twin_series.metered(stretch, advance)
    rows = list(_fitted("pv", _PV_H, twin["pv"], real["pv"]))
    for name, kinds in (("ev_public", (Kind.PUBLIC, Kind.RAPID)), ("ev_work", (Kind.WORK,))):
        for number, series in enumerate(real[name]):
            like = _like(stretch, series, kinds)
            label = name if len(real[name]) == 1 else f"{name}_{field_series.COUNCILS[number]}"
            rows += _fitted(label, _HOURLY_H, like, [series])
    city = real["ev_city"][0]
    like = twin_series.occupied(stretch, (Kind.PUBLIC, Kind.RAPID), mean=city.scale, groups=1, per_day=96)
    rows += _fitted("ev_city", _PV_H, like, [city])
    rows += _ranged("site_load", _HOURLY_H, twin["site_load"], transformers)
    rows += _ranged("city_load", _HOURLY_H, twin["city_load"], utility, floor=0.25)
    return rows


def _like(stretch: Stretch, series: Series, kinds: tuple[Kind, ...]) -> list[Series]:
    """Return groups of the twin's stations with as many cars as a real series has."""
    return twin_series.occupied(stretch, kinds, mean=series.scale, groups=_GROUPS, per_day=series.values.shape[1])


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
