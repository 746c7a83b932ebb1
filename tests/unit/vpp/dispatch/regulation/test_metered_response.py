"""The metered response: each row's readings at their own times, summed at the instants of the cycles."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import T0_S, seen, small_fleet
from vpp.dispatch.regulation.metered_response import MeteredResponse
from vpp.domain.regulation import MeteredLoad
from vpp.domain.telemetry import Quality

INDEX = small_fleet()
COUNT = len(INDEX)
EVERY = np.ones(COUNT, dtype=np.bool_)
NEVER = ~EVERY
BASE_KW = np.full(COUNT, 100.0)


class Played:
    """Rows whose change is a function of time, read once a period at phases of their own, looked at every 4 s."""

    def __init__(self, period_s: float, *, within_s: float = 90.0) -> None:
        self.response = MeteredResponse(COUNT, within_s=within_s)
        self.period_s, self.phase_s = period_s, np.arange(COUNT) / COUNT * period_s
        self.found: list[MeteredLoad] = []

    def play(self, seconds: float, change_kw) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a function of time
        """Look every 4 s; ``change_kw`` gives what one row has changed by at an instant."""
        for now_s in np.arange(0.0, seconds, 4.0):
            read_s = np.floor((now_s - self.phase_s) / self.period_s) * self.period_s + self.phase_s
            power_kw = BASE_KW - change_kw(read_s)
            state = replace(seen(INDEX, power_kw, T0_S + now_s), power_at_s=T0_S + read_s)
            self.response.open(state.at_s, float(BASE_KW.sum()))
            self.found.append(self.response.read(state, EVERY, BASE_KW, NEVER))

    @property
    def change(self) -> tuple[np.ndarray, np.ndarray]:
        """Instants since the begin, and the change at each."""
        at_s = np.concatenate([one.at_s for one in self.found]) - T0_S
        return at_s, np.concatenate([one.baseline_kw - one.measured_kw for one in self.found])


def test_a_steady_climb_is_seen_without_delay_however_seldom_it_is_read() -> None:
    played = Played(60.0)
    played.play(400.0, lambda at_s: np.maximum(at_s, 0.0))
    at_s, change_kw = played.change
    later = at_s > 60.0
    assert later.sum() > 50
    assert change_kw[later] == pytest.approx(COUNT * at_s[later])


def test_every_instant_is_told_once_in_order_and_not_before_its_time() -> None:
    played = Played(15.0)
    played.play(200.0, np.zeros_like)
    at_s, change_kw = played.change
    assert at_s.tolist() == np.arange(0.0, 108.0, 4.0).tolist()
    assert change_kw == pytest.approx(0.0)


def test_a_row_that_is_read_more_seldom_than_is_waited_for_holds_its_last_change() -> None:
    response = MeteredResponse(COUNT, within_s=10.0)
    for now_s in (0.0, 4.0, 8.0, 12.0, 16.0):
        state = replace(seen(INDEX, BASE_KW - 5.0, T0_S + now_s), power_at_s=np.full(COUNT, T0_S))
        response.open(state.at_s, float(BASE_KW.sum()))
        found = response.read(state, EVERY, BASE_KW, NEVER)
    assert found.at_s.tolist() == [T0_S + 4.0]
    assert float(found.baseline_kw[0] - found.measured_kw[0]) == pytest.approx(5.0 * COUNT)


def test_a_row_that_is_lost_or_cannot_be_believed_claims_nothing() -> None:
    response = MeteredResponse(COUNT, within_s=0.0)
    state = seen(INDEX, BASE_KW - 5.0, T0_S)
    lost = replace(
        state,
        connected=np.arange(COUNT) != 0,
        quality=np.where(np.arange(COUNT) == 1, Quality.BAD, Quality.GOOD).astype(np.uint8),
    )
    response.open(state.at_s, float(BASE_KW.sum()))
    found = response.read(lost, EVERY, BASE_KW, NEVER)
    assert float(found.baseline_kw[0] - found.measured_kw[0]) == pytest.approx(5.0 * (COUNT - 2))


def test_rows_that_do_not_count_and_bases_not_known_add_nothing() -> None:
    response = MeteredResponse(COUNT, within_s=0.0)
    response.open(T0_S, 1000.0)
    unknown = np.where(np.arange(COUNT) < 3, np.nan, BASE_KW)
    found = response.read(seen(INDEX, BASE_KW - 5.0, T0_S), np.arange(COUNT) < 5, unknown, NEVER)
    assert found.measured_kw.tolist() == pytest.approx([1000.0 - 10.0])


def test_readings_made_before_a_plan_steps_are_compared_with_the_base_before_it() -> None:
    response = MeteredResponse(COUNT, within_s=0.0)
    response.open(T0_S, 0.0)
    response.read(seen(INDEX, BASE_KW, T0_S), EVERY, BASE_KW, EVERY)
    response.open(T0_S + 4.0, 0.0)
    found = response.read(seen(INDEX, BASE_KW, T0_S + 4.0), EVERY, BASE_KW + 50.0, EVERY)
    assert found.measured_kw.tolist() == pytest.approx([0.0])


def test_a_fleet_that_grows_goes_on() -> None:
    response = MeteredResponse(COUNT - 2, within_s=0.0)
    response.grow(COUNT)
    response.open(T0_S, 0.0)
    found = response.read(seen(INDEX, BASE_KW - 5.0, T0_S), EVERY, BASE_KW, NEVER)
    assert found.measured_kw.tolist() == pytest.approx([-5.0 * COUNT])
    assert response.complete
