"""Problems of one device, small enough to know the answer."""

import numpy as np

from optimizer.problem.problem import (
    Charging,
    Flexible,
    Network,
    Problem,
    Solar,
    Storing,
)

STEPS = 4
FREE = np.full(STEPS, np.inf)


def problem(**changes: object) -> Problem:
    wide = np.full((1, STEPS), 1000.0)
    values: dict[str, object] = {
        "step_h": 1.0,
        "price_cny_per_kwh": np.array([1.0, 0.2, 0.5, 2.0]),
        "peak_price_cny_per_kw": 0.0,
        "unserved_price_cny_per_kwh": 10.0,
        "fixed_kw": np.zeros(STEPS),
        "network": Network(parent=np.array([-1]), limit_kw=wide, export_limit_kw=wide, base_kw=0.0 * wide),
        "charging": Charging.none(),
        "storing": Storing.none(),
        "solar": Solar.none(STEPS),
        "flexible": Flexible.none(STEPS),
    }
    return Problem(**(values | changes))  # type: ignore[arg-type]  # a test table


def car(p_max_kw: float = 7.0, need_kwh: float = 10.0) -> Charging:
    return Charging(
        transformer=np.array([0]),
        arrive=np.array([0]),
        depart=np.array([STEPS]),
        p_max_kw=np.array([p_max_kw]),
        need_kwh=np.array([need_kwh]),
    )


def battery(**changes: object) -> Storing:
    values: dict[str, object] = {
        "transformer": np.array([0]),
        "arrive": np.array([0]),
        "depart": np.array([STEPS]),
        "p_min_kw": np.array([-10.0]),
        "p_max_kw": np.array([10.0]),
        "capacity_kwh": np.array([20.0]),
        "soc_start": np.array([0.5]),
        "soc_min": np.array([0.0]),
        "soc_max": np.array([1.0]),
        "soc_end": np.array([0.0]),
        "efficiency": np.array([0.8]),
        "wear_price_cny_per_kwh": np.array([0.0]),
        "reserving": np.array([True]),
    }
    return Storing(**(values | changes))  # type: ignore[arg-type]  # a test table


def load(**changes: object) -> Flexible:
    values: dict[str, object] = {
        "transformer": np.array([0]),
        "baseline_kw": np.full((1, STEPS), 50.0),
        "max_cut_kw": np.full((1, STEPS), 20.0),
        "max_cut_kwh": np.array([30.0]),
        "price_cny_per_kwh": np.array([0.1]),
    }
    return Flexible(**(values | changes))  # type: ignore[arg-type]  # a test table
