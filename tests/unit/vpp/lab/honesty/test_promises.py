"""Promises: what counts as kept, how much each weighs, and how sure a share is."""

import numpy as np
import pytest

from tests.unit.vpp.lab.honesty.windows import MONDAY_S, windows
from vpp.domain.request import CITY, Direction
from vpp.lab.honesty.promises import Promises
from vpp.lab.honesty.true_calls import TrueCall


def call(*, accepted_kw: float, least_kw: float, area: str = CITY) -> TrueCall:
    return TrueCall(
        seed=1,
        submit_s=MONDAY_S + 3600.0,
        start_s=MONDAY_S + 7200.0,
        end_s=MONDAY_S + 10_800.0,
        area=area,
        direction=Direction.DOWN,
        accepted_kw=accepted_kw,
        least_kw=least_kw,
        accuracy_true_ratio=0.97,
        worst_true_ratio=0.9,
        accuracy_settled_ratio=0.98,
    )


def test_a_quantile_is_kept_from_99_per_cent_of_it_on() -> None:
    kept = Promises.of_windows(windows([89.0, 89.1, 99.0, 108.8, 108.9])).kept
    assert kept.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]]


def test_all_areas_of_one_time_weigh_as_much_as_the_city() -> None:
    area = np.array([CITY, "a", "b", "a", "b", "c"])
    start_s = MONDAY_S + np.array([0.0, 0.0, 0.0, 900.0, 900.0, 900.0])
    weight = Promises.of_windows(windows(np.ones(6), area=area, start_s=start_s)).weight
    assert weight == pytest.approx([1.0, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3])


def test_a_call_tells_of_its_p10_alone() -> None:
    made = Promises.of_calls([call(accepted_kw=100.0, least_kw=99.0), call(accepted_kw=100.0, least_kw=98.9)])
    assert made.kept[:, 0].tolist() == [1.0, 0.0]
    assert np.isnan(made.kept[:, 1:]).all()
    assert (made.direction[0], made.notice[0], made.block[0]) == (1, 1, 0)
    assert np.isnan(Promises.of_calls([]).kept_ratio(0).ratio)


def test_days_that_err_as_one_make_a_share_less_sure_than_as_many_windows_that_do_not() -> None:
    start_s = MONDAY_S + 900.0 * np.arange(96 * 20)
    by_day = np.where(np.arange(96 * 20) // 96 % 2 == 0, 80.0, 95.0)
    mixed = np.where(np.arange(96 * 20) % 2 == 0, 80.0, 95.0)
    clustered, spread = (
        Promises.of_windows(windows(values, start_s=start_s)).kept_ratio(0) for values in (by_day, mixed)
    )
    assert clustered.ratio == spread.ratio == pytest.approx(0.5)
    assert clustered.high - clustered.low > 0.2
    assert spread.high - spread.low < 0.02
    assert clustered.low < 0.5 < clustered.high


def test_the_same_day_of_two_seeds_is_two_days() -> None:
    made = Promises.of_windows(windows([95.0, 95.0], seed=np.array([1, 2]), start_s=np.full(2, MONDAY_S)))
    assert len(np.unique(made.day)) == 2
    assert made.weight.tolist() == [1.0, 1.0]
