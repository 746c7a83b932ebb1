"""Drivers as they are: numbers that differ from day to day, departures other than stated, silent ones."""

import numpy as np
import pytest

from vpp.lab.twin.environment.session_conduct import conducted_sessions
from vpp.lab.twin.environment.world_file import KIND_WORLD, Days, Spread, World, world
from vpp.lab.twin.local_time import is_rest
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions

FLEET = demo_fleet(scale=1.0)
DAY = 20_650


def test_the_kind_world_has_the_built_in_sessions() -> None:
    assert isinstance(conducted_sessions(None, KIND_WORLD, seed=1), BuiltinSessions)


def test_a_world_with_surges_alone_has_them() -> None:
    surging = World(title="surging", days=Days(surges=Spread(city=0.5)))
    usual = BuiltinSessions(1).day(FLEET, DAY)
    assert len(conducted_sessions(None, surging, seed=1).day(FLEET, DAY)) != len(usual)


def test_the_number_of_cars_differs_more_than_chance_would_have_it() -> None:
    usual, hostile = BuiltinSessions(1), conducted_sessions(None, world("hostile"), seed=1)
    days = [day for day in range(DAY, DAY + 80) if not is_rest(day)]
    before = np.array([len(usual.day(FLEET, day)) for day in days], dtype=float)
    found = np.array([len(hostile.day(FLEET, day)) for day in days], dtype=float)
    assert found.mean() == pytest.approx(before.mean(), rel=0.06)
    assert found.std() / found.mean() > 1.5 * before.std() / before.mean()


def test_sessions_of_a_file_all_come() -> None:
    own = BuiltinSessions(1)
    replayed = conducted_sessions(own, world("hostile"), seed=1)
    for day in range(DAY, DAY + 5):
        assert np.array_equal(replayed.day(FLEET, day).arrive_s, own.day(FLEET, day).arrive_s)


def test_departures_are_those_of_the_data() -> None:
    people = world("hostile").people
    parts = [conducted_sessions(None, world("hostile"), seed=1).day(FLEET, day) for day in range(DAY, DAY + 80)]
    late_s = np.concatenate([part.depart_s - part.stated_s for part in parts])
    stay_s = np.concatenate([part.depart_s - part.arrive_s for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    silent = np.bincount(rows, weights=np.isnan(late_s)) / np.maximum(np.bincount(rows), 1)
    assert set(silent) == {0.0, 1.0}, "a station has a way to say it, or has none"
    assert np.isnan(late_s).mean() == pytest.approx(people.silent_share, abs=0.06)
    long = np.isfinite(late_s) & (stay_s > 8 * 3600.0)
    assert np.median(late_s[long]) == pytest.approx(60.0 * 53.0, rel=0.25)
    assert (late_s[long] < -900.0).mean() == pytest.approx(0.22, abs=0.05)


def test_the_same_day_is_the_same() -> None:
    first, second = (conducted_sessions(None, world("hostile"), seed=4).day(FLEET, DAY) for _ in range(2))
    assert np.array_equal(first.stated_s, second.stated_s, equal_nan=True)
