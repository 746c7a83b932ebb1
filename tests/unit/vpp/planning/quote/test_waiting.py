"""Cost of waiting: the best trade that stores leave out before a request begins."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpp.planning.city_parts import basis, now
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.timegrid import instant
from vpp.planning.flexibility.flexibility_basis import STORAGE
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.quote.waiting import best_trade, waiting_of
from vpp.planning.tariff import Tariff


def trade(*prices: float, hold: int = 1, round_trip: float = 1.0, wear: float = 0.0, up: bool = True) -> float:
    return best_trade(np.array(prices), hold_steps=hold, step_h=1.0, round_trip=round_trip, wear=wear, up=up).cny_per_kw


def test_charge_kept_for_a_cut_is_not_sold_dear_and_bought_back_cheap() -> None:
    assert trade(0.5, 1.5, 0.5) == pytest.approx(1.0)
    assert trade(0.5, 1.5) == 0.0, "there is no time to win it back"
    assert trade(1.5, 0.5, 1.5, 0.5) == pytest.approx(2.0), "twice"
    assert trade(1.5, 0.5, round_trip=0.8, wear=0.1) == pytest.approx(1.5 - 0.1 - 0.5 / 0.8)
    assert trade(0.6, 0.5, round_trip=0.8) == 0.0, "losses take more than the prices give"


def test_room_kept_for_a_raise_is_not_filled_cheap_and_emptied_dear() -> None:
    assert trade(0.5, 1.5, up=False) == pytest.approx(1.0)
    assert trade(1.5, 0.5, up=False) == 0.0


def test_no_more_is_traded_than_the_hold_needs_and_power_allows() -> None:
    falling = (2.0, 2.0, 1.0, 1.0)
    assert trade(*falling, hold=1) == pytest.approx(1.0)
    assert trade(*falling, hold=2) == pytest.approx(2.0)
    assert trade(*falling, hold=9) == pytest.approx(2.0)


def test_waiting_is_free_until_the_trade_would_begin() -> None:
    found = best_trade(np.array([1.0, 1.0, 2.0, 0.5]), hold_steps=1, step_h=1.0, round_trip=1.0, wear=0.0, up=True)
    assert found.first == 2
    none = best_trade(np.ones(4), hold_steps=1, step_h=1.0, round_trip=0.9, wear=0.0, up=True)
    assert (none.cny_per_kw, none.first) == (0.0, 4)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=12), st.integers(1, 5), st.sampled_from(Direction))
def test_waiting_longer_never_costs_less_and_losses_never_cost_more(
    prices: list[float], hold: int, direction: Direction
) -> None:
    up = direction is Direction.UP
    whole = trade(*prices, hold=hold, up=up)
    assert whole >= trade(*prices[:-1], hold=hold, up=up) - 1e-9
    assert trade(*prices, hold=hold, up=up, round_trip=0.9) <= whole + 1e-9
    assert whole >= 0.0


def test_a_quote_pays_for_the_part_that_stores_give_and_for_each_hour() -> None:
    grid = basis().inputs.grid
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=1e4,
        area="city",
        start_at=instant(grid.start_s) + timedelta(hours=20),
        end_at=instant(grid.start_s) + timedelta(hours=21),
        notice_class=NoticeClass.DAY_AHEAD,
    )
    window = Window(first=80, last=84)
    class_kw = np.zeros(6)
    class_kw[STORAGE] = 100.0

    def cost(kw: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return waiting_of(basis(), draft, window, class_kw=kw, tariff=Tariff(), now_s=now().at_s).cny_per_mw_h

    alone = cost(class_kw)
    shared = class_kw.copy()
    shared[(STORAGE + 1) % 6] = 100.0
    assert alone > 0.0, "twenty hours hold a peak and a valley after it"
    assert cost(shared) == pytest.approx(alone / 2.0)
    assert cost(np.zeros(6)) == 0.0
    soon = waiting_of(
        basis(),
        replace(draft, start_at=instant(grid.start_s)),
        Window(first=0, last=4),
        class_kw=class_kw,
        tariff=Tariff(),
        now_s=now().at_s,
    )
    assert soon.cny_per_mw_h == 0.0
