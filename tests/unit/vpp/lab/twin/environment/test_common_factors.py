"""Factors that a city, its districts and its kinds share."""

import numpy as np
import pytest

from vpp.lab.twin.environment.common_factors import DayFactors, HourFactors, Members
from vpp.lab.twin.environment.world_file import Spread

COUNT = 400
MEMBERS = Members(
    (np.arange(COUNT) % 4).astype(np.int32), (np.arange(COUNT) % 2).astype(np.int32), districts=4, kinds=2
)


def days(spread: Spread, memory: float = 0.0) -> np.ndarray:
    factors = DayFactors(MEMBERS, spread, memory=memory, seed=3)
    return np.array([factors.of(day) for day in range(20_000, 20_400)])


def test_a_day_is_the_same_whenever_it_is_asked_for() -> None:
    spread = Spread(city=0.05, own=0.1)
    first, second = (DayFactors(MEMBERS, spread, memory=0.6, seed=3) for _ in range(2))
    second.of(20_009)
    assert np.array_equal(first.of(20_005), second.of(20_005))
    assert not np.array_equal(first.of(20_005), first.of(20_006))


def test_each_part_is_shared_by_those_it_belongs_to() -> None:
    city = days(Spread(city=0.05))
    assert city.std() == pytest.approx(0.05, rel=0.1)
    assert np.ptp(city, axis=1).max() == 0.0
    district = days(Spread(district=0.05))
    assert np.array_equal(district[:, 0], district[:, 4])
    assert not np.array_equal(district[:, 0], district[:, 1])
    own = days(Spread(own=0.05))
    assert own.mean(axis=1).std() == pytest.approx(0.05 / COUNT**0.5, rel=0.2)


def test_memory_makes_neighbouring_days_alike_and_keeps_the_spread() -> None:
    city = days(Spread(city=0.05), memory=0.6)[:, 0] - 1.0
    assert city.std() == pytest.approx(0.05, rel=0.15)
    assert np.corrcoef(city[1:], city[:-1])[0, 1] == pytest.approx(0.6, abs=0.12)


def test_factors_pass_from_noon_to_noon_without_a_step() -> None:
    factors = DayFactors(MEMBERS, Spread(city=0.05), memory=0.0, seed=3)
    midnight_s = 20_001 * 86_400.0 - 8 * 3600.0
    assert factors.at(midnight_s + 43_200.0) == pytest.approx(factors.of(20_001))
    assert factors.at(midnight_s - 1.0) == pytest.approx(factors.at(midnight_s + 1.0), abs=1e-5)


def test_within_a_day_they_wander_the_same_for_any_length_of_steps() -> None:
    spread = Spread(city=0.1)
    fine = HourFactors(MEMBERS, spread, time_s=3600.0, random=np.random.default_rng(1))
    found = np.array([fine.step(60.0)[0] for _ in range(60 * 400)]) - 1.0
    assert found.std() == pytest.approx(0.1, rel=0.15)
    assert np.corrcoef(found[60:], found[:-60])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.1)
    coarse = HourFactors(MEMBERS, spread, time_s=3600.0, random=np.random.default_rng(1))
    found = np.array([coarse.step(3600.0)[0] for _ in range(2000)]) - 1.0
    assert np.corrcoef(found[1:], found[:-1])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.1)
