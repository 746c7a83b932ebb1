"""State estimation between two readings: commands since, how a row has answered before, and how sure that is."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import CARS, EV_KW, T0_S, seen, small_fleet, usual_kw
from vpp.dispatch.regulation.power_estimate import EstimatedPower, PowerEstimator
from vpp.dispatch.rows.command_columns import CommandColumns, blank_commands
from vpp.dispatch.rows.row_columns import repeated, views
from vpp.domain.telemetry import Quality

INDEX = small_fleet()
COUNT = len(INDEX)
USUAL_KW = usual_kw(INDEX)
BATTERY, CAR = CARS, 0


class Watched:
    """A fleet whose rows are commanded and read by hand."""

    def __init__(self) -> None:
        self.estimator = PowerEstimator(INDEX)
        self.commands: CommandColumns = repeated(blank_commands(), COUNT)
        self.power_kw, self.read_s = USUAL_KW.copy(), np.full(COUNT, T0_S)
        self.now_s = T0_S
        self.quality = np.full(COUNT, Quality.GOOD, dtype=np.uint8)

    def command(self, row: int, power_kw: float) -> None:
        """Let a row accept a command now."""
        self.commands.in_force.dispatch_kw[row] = power_kw
        self.commands.in_force.since_kw[row], self.commands.in_force.since_s[row] = power_kw, self.now_s

    def release(self, row: int) -> None:
        """Send a row its release now."""
        self.commands.in_force.dispatch_kw[row], self.commands.in_force.released_s[row] = np.nan, self.now_s

    def read(self, row: int, power_kw: float) -> None:
        """Read a row's meter now."""
        self.power_kw[row], self.read_s[row] = power_kw, self.now_s

    def look(self, seconds: float = 4.0) -> EstimatedPower:
        """Estimate; then let time pass."""
        state = replace(
            seen(INDEX, self.power_kw.copy(), self.now_s), power_at_s=self.read_s.copy(), quality=self.quality
        )
        found = self.estimator.update(state, views(self.commands), USUAL_KW)
        self.now_s += seconds
        return found


def test_a_row_without_a_command_is_where_its_meter_showed_it() -> None:
    watched = Watched()
    first, later = watched.look(60.0), watched.look()
    assert not first.ahead_kw.any()
    assert not later.ahead_kw.any()
    assert not later.variance.any(), "no command, nothing to doubt"


def test_an_accepted_command_counts_before_any_meter_shows_it_and_its_doubt_with_it() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.now_s += 4.0
    found = watched.look()
    assert found.ahead_kw[BATTERY] + watched.power_kw[BATTERY] == pytest.approx(80.0, rel=0.05)
    assert np.sqrt(found.variance[BATTERY]) > 10.0
    watched.now_s += 4.0
    watched.read(BATTERY, 79.0)
    found = watched.look()
    assert found.ahead_kw[BATTERY] + watched.power_kw[BATTERY] == pytest.approx(79.0)
    assert np.sqrt(found.variance[BATTERY]) < 3.0


def test_a_car_takes_no_more_than_it_would() -> None:
    watched = Watched()
    watched.look()
    watched.command(CAR, 2.0 * EV_KW)
    watched.now_s += 4.0
    assert watched.look().ahead_kw[CAR] + watched.power_kw[CAR] == pytest.approx(EV_KW)


def test_a_row_that_does_not_answer_is_silent_with_the_first_reading_that_shows_it() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    assert not watched.look(12.0).silent.any()
    watched.read(BATTERY, 0.0)
    found = watched.look()
    assert np.flatnonzero(found.silent).tolist() == [BATTERY]
    assert found.ahead_kw[BATTERY] + watched.power_kw[BATTERY] == 0.0


def test_a_row_that_goes_most_of_the_way_is_not_silent_however_often_it_is_read_there() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look(8.0)
    for _ in range(20):
        watched.read(BATTERY, 56.0)
        found = watched.look(15.0)
        assert not found.silent[BATTERY]
        assert found.ahead_kw[BATTERY] == 0.0
    watched.command(BATTERY, -80.0)
    watched.look(8.0)
    watched.read(BATTERY, 56.0)
    assert watched.look().silent[BATTERY], "it does not answer the next one"


def test_a_row_that_has_answered_and_then_fails_is_silent() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look(8.0)
    watched.read(BATTERY, 80.0)
    assert not watched.look(15.0).silent[BATTERY]
    for _ in range(4):
        watched.read(BATTERY, 0.0)
        found = watched.look(15.0)
    assert found.silent[BATTERY]


def test_a_reading_from_before_the_command_took_effect_says_nothing_of_the_answer() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.read(BATTERY, 0.5)
    assert not watched.look(8.0).silent.any()
    assert watched.look().ahead_kw[BATTERY] + watched.power_kw[BATTERY] == pytest.approx(80.0, rel=0.05)


def test_what_a_row_did_once_is_forgotten_in_time() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look(12.0)
    watched.read(BATTERY, 0.0)
    assert watched.look().silent[BATTERY]
    for _ in range(300):
        found = watched.look()
    assert not found.silent[BATTERY]


def test_a_meter_that_cannot_be_believed_is_not_estimated_on() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.quality[BATTERY] = Quality.STALE
    watched.now_s += 8.0
    found = watched.look()
    assert found.ahead_kw[BATTERY] + watched.power_kw[BATTERY] == 0.0
    assert not found.silent[BATTERY]


def test_a_release_that_is_taken_late_is_not_held_against_the_next_command() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look(12.0)
    watched.read(BATTERY, 80.0)
    watched.look()
    watched.release(BATTERY)
    for _ in range(3):
        watched.now_s += 6.0
        watched.read(BATTERY, 80.0)
        watched.look()
    watched.read(BATTERY, 0.0)
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look()
    found = watched.look()
    assert not found.silent[BATTERY]
    assert found.ahead_kw[BATTERY] + watched.power_kw[BATTERY] == pytest.approx(80.0, rel=0.05)


def test_the_doubt_in_a_row_is_known_again_once_its_meter_can_be_believed_again() -> None:
    watched = Watched()
    watched.command(BATTERY, 80.0)
    watched.now_s += 8.0
    watched.read(BATTERY, 80.0)
    watched.look()
    watched.quality[BATTERY] = Quality.STALE
    watched.look()
    watched.quality[BATTERY] = Quality.GOOD
    watched.read(BATTERY, 80.0)
    assert 0.0 < watched.look().variance[BATTERY] < 10.0


def test_a_row_that_is_held_is_known_less_surely_the_older_its_reading() -> None:
    watched = Watched()
    watched.look()
    watched.command(BATTERY, 80.0)
    watched.look(12.0)
    watched.read(BATTERY, 80.0)
    now, later = watched.look(60.0), watched.look()
    assert later.variance[BATTERY] > now.variance[BATTERY] > 0.0
