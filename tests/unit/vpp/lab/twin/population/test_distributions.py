"""Tables of charging habits."""

from vpp.lab.twin.population.distributions import HABITS, Kind


def test_tables_have_24_hours_and_falling_quantiles() -> None:
    assert set(HABITS) == set(Kind)
    for habits in HABITS.values():
        assert len(habits.workday) == len(habits.weekend) == len(habits.stay_shape) == 24
        assert list(habits.energy_kwh) == sorted(habits.energy_kwh, reverse=True)
        assert list(habits.stay_h) == sorted(habits.stay_h, reverse=True)
