"""The chance of being plugged in, by what followed like states."""

import numpy as np

from forecasts.sessions.plugged_state import STATES, PluggedState, states_of
from forecasts.sessions.timeline import Timeline

ONE = np.zeros(1, dtype=np.int64)


def state(since_h: float, *, plugged: bool, stated_h: float = np.nan, horizon_h: float = 2.0) -> int:
    made = Timeline(
        plugged=np.array([[plugged]]),
        since_h=np.array([[since_h]]),
        stated_h=np.array([[stated_h]]),
        seen=np.array([[True]]),
    )
    return int(states_of(made, horizon_h)[0, 0])


def chance(table: PluggedState, code: int, *, port: int = 0) -> float:
    return float(table.chance(np.array([code]), ONE + 9, ONE, np.array([port]))[0])


def learn(table: PluggedState, code: int, outcomes: list[float], *, port: int = 0) -> None:
    n = len(outcomes)
    same = np.ones(n, dtype=np.int64)
    table.learn(code * same, 9 * same, 0 * same, port * same, np.array(outcomes))


def test_states_differ_by_stay_idleness_and_statement() -> None:
    codes = {
        state(0.1, plugged=False),
        state(np.inf, plugged=False),
        state(0.1, plugged=True),
        state(99.0, plugged=True),
        state(0.1, plugged=True, stated_h=1.0),
        state(0.1, plugged=True, stated_h=9.0),
    }
    assert len(codes) == 6
    assert max(codes) < STATES


def test_nothing_known_is_a_half_and_many_cases_are_their_share() -> None:
    table = PluggedState(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64))
    code = state(1.2, plugged=True)
    assert chance(table, code) == 0.5
    learn(table, code, [1.0] * 900 + [0.0] * 100)
    assert abs(chance(table, code) - 0.9) < 0.01


def test_a_connector_without_cases_of_its_own_has_those_of_its_site() -> None:
    table = PluggedState(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64))
    code = state(1.2, plugged=True)
    learn(table, code, [1.0] * 200)
    assert chance(table, code, port=1) > 0.95


def test_what_was_counted_long_ago_fades() -> None:
    table = PluggedState(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    code = state(1.2, plugged=True)
    learn(table, code, [0.0] * 50)
    table.age(900.0)
    learn(table, code, [1.0] * 50)
    assert chance(table, code) > 0.8
