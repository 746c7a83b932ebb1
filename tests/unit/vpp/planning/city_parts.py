"""A small synthetic city, its forecast, its plan and the basis of its quotes."""

from functools import cache

import numpy as np

from vpp.domain.request import CITY, Direction, NoticeClass, Product, RequestDraft
from vpp.domain.telemetry import BoolArray
from vpp.domain.timegrid import instant
from vpp.fleet.fleet_state import FleetState
from vpp.lab.bench.synthetic_city import NOW_S, City, CityMeter, city, plan_of, snapshot
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory

ROWS = 3_000
DAY = 86_400.0


@cache
def made() -> City:
    return city(ROWS)


@cache
def now() -> FleetState:
    return snapshot(made(), seed=1)


@cache
def expected() -> Forecast:
    return forecast(now(), CityMeter(made=made()), load_history=LoadHistory(days=3))


@cache
def basis() -> FlexibilityBasis:
    return basis_among(None)


def basis_among(eligible: BoolArray | None, state: FleetState | None = None) -> FlexibilityBasis:
    plan = plan_of(now(), expected())
    seen = FlexibilityInputs.of(state or now(), forecast=expected(), schedule=plan, eligible=eligible)
    return FlexibilityBasis.of(seen, np.full(len(now()), 0.95))


def city_draft(**changes: object) -> RequestDraft:
    values: dict[str, object] = {
        "product": Product.PEAK_SHAVING,
        "direction": Direction.UP,
        "target_kw": 2_000.0,
        "area": CITY,
        "start_at": instant(NOW_S + 5_400.0),
        "end_at": instant(NOW_S + 12_600.0),
        "notice_class": NoticeClass.INTRADAY,
    }
    return RequestDraft(**(values | changes))  # type: ignore[arg-type]  # a test table
