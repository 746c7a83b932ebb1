"""Tasks of the backtest as data: what is read, when is issued, how far ahead, and what the challenger learns."""

from dataclasses import dataclass, field
from typing import Final

from forecasts.panel.grid import Columns
from forecasts.panel.plausibility import SENTINELS, Plausible
from forecasts.quantiles.boosted import BoostedOptions
from vpp.lab.backtest.rolling import IssuePlan, RollingPlan

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_LONGEST_SESSION_HOURS: Final = 72
_LARGEST_CHARGER_KW: Final = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelTask:
    """Forecast of series on a time grid.

    Attributes:
        name: As it is called on the command line.
        about: One line for people.
        file: Usual name of its data in a folder.
        columns: Columns of the data.
        step_s: Length of a step.
        plan: When is issued and learnt.
        options: Choices of the challenger.
        bounds: What is plausible, by column.
    """

    name: str
    about: str
    file: str
    columns: Columns
    step_s: int
    plan: RollingPlan
    options: BoostedOptions
    bounds: dict[str, Plausible] = field(default_factory=dict)


_DAY_AHEAD: Final = IssuePlan(every_s=_DAY_S, offsets=tuple(range(24)))
_OCCUPIED: Final = Plausible(low=0.0, high=2.0, per_capacity=True, stuck_after=4, stuck_whole_after=72)
_ARRIVALS: Final = Plausible(low=0.0, high=20.0, per_capacity=True)
_ENERGY: Final = Plausible(low=0.0, high=_LARGEST_CHARGER_KW, per_capacity=True, stuck_after=73, stuck_whole_after=73)
_IRRADIANCE: Final = Plausible(low=-20.0, high=2000.0, stuck_after=8, stuck_whole_after=16)
_COUNTED: Final = tuple(value for value in SENTINELS if value < 0.0 or value != round(value))

PANEL_TASKS: Final = {
    task.name: task
    for task in (
        PanelTask(
            name="ev_energy_day_ahead",
            about="energy of every hour of the day at charging sites, issued at midnight",
            file="ev_panel_hourly.parquet",
            columns=Columns(
                time="time",
                value="kwh",
                series=("city", "site"),
                zone="city",
                capacity="ports",
                live=("occ", "arrivals"),
                session_hours=_LONGEST_SESSION_HOURS,
                occupied="occ",
            ),
            step_s=_HOUR_S,
            plan=RollingPlan(issues=(_DAY_AHEAD,), refit_days=119, learn_days=540, most_issues=270),
            options=BoostedOptions(per_capacity=_LARGEST_CHARGER_KW),
            bounds={"kwh": _ENERGY, "occ": _OCCUPIED, "arrivals": _ARRIVALS},
        ),
        PanelTask(
            name="ev_occupancy",
            about="connectors with a car at charging sites, issued every three hours, at midnight for the whole day",
            file="ev_panel_hourly.parquet",
            columns=Columns(
                time="time",
                value="occ",
                series=("city", "site"),
                zone="city",
                capacity="ports",
                live=("arrivals",),
            ),
            step_s=_HOUR_S,
            plan=RollingPlan(
                issues=(_DAY_AHEAD, IssuePlan(every_s=3 * _HOUR_S, offsets=(0, 1, 2, 3, 5, 6, 11, 12))),
                refit_days=119,
                learn_days=540,
                most_issues=540,
            ),
            options=BoostedOptions(per_capacity=1.0, mean_anchor="shifted"),
            bounds={"occ": _OCCUPIED, "arrivals": _ARRIVALS},
        ),
        PanelTask(
            name="pv",
            about="power of photovoltaic plants up to four hours ahead, issued every hour",
            file="pv_stategrid_15min.parquet",
            columns=Columns(
                time="time",
                value="power_mw",
                series=("site",),
                capacity="cap_mw",
                live=("poa_or_total_wm2", "direct_wm2", "labelled_ghi_wm2", "temp_c"),
            ),
            step_s=900,
            plan=RollingPlan(
                issues=(IssuePlan(every_s=_HOUR_S, offsets=tuple(range(17))),),
                refit_days=91,
                learn_days=365,
                most_issues=2000,
            ),
            options=BoostedOptions(history_days=28, per_capacity=1.0, most_rows=100_000),
            bounds={
                "power_mw": Plausible(low=-0.05, high=1.2, per_capacity=True, stuck_after=8, stuck_whole_after=16),
                "poa_or_total_wm2": _IRRADIANCE,
                "direct_wm2": _IRRADIANCE,
                "labelled_ghi_wm2": _IRRADIANCE,
                "temp_c": Plausible(low=-60.0, high=70.0, stuck_after=12, stuck_whole_after=24),
            },
        ),
        PanelTask(
            name="load",
            about="load of a network, the 24 hours of a day issued at midnight",
            file="gefcom14_load.csv.gz",
            columns=Columns(time="time", value="load", averaged="w"),
            step_s=_HOUR_S,
            plan=RollingPlan(issues=(_DAY_AHEAD,), refit_days=14, learn_days=730, most_issues=730),
            options=BoostedOptions(anchor="profile", mean_anchor="profile", rounds=120, leaves=15),
            bounds={"load": Plausible(low=0.0, high=1e9, stuck_after=6, stuck_whole_after=12)},
        ),
        PanelTask(
            name="price",
            about="day-ahead price of the 24 hours of a day, issued at midnight before any of them is known",
            file="nl_dayahead_price.csv.gz",
            columns=Columns(time="time_utc", value="price_eur_mwh"),
            step_s=_HOUR_S,
            plan=RollingPlan(issues=(_DAY_AHEAD,), refit_days=119, learn_days=730, most_issues=540),
            options=BoostedOptions(anchor="profile", mean_anchor="profile", lower=float("-inf"), rounds=120),
            bounds={"price_eur_mwh": Plausible(low=-5000.0, high=20000.0, sentinels=(-9999.0, 9999.0, 99999.0))},
        ),
        PanelTask(
            name="city_busy",
            about="busy charging piles of a city up to four hours ahead, issued every five minutes",
            file="stevcdp_city_5min.csv.gz",
            columns=Columns(time="time", value="busy_piles"),
            step_s=300,
            plan=RollingPlan(
                issues=(IssuePlan(every_s=300, offsets=(0, 2, 3, 5, 6, 11, 12, 23, 24, 47, 48)),),
                refit_days=2,
                learn_days=28,
                most_issues=1500,
            ),
            options=BoostedOptions(history_days=28, anchor="shifted", mean_anchor="shifted", rounds=120, leaves=15),
            bounds={"busy_piles": Plausible(low=0.0, high=1e7, stuck_after=6, stuck_whole_after=6, sentinels=_COUNTED)},
        ),
    )
}
