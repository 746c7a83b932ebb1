"""The timing wheel: never early, in order, and one failing deadline stops no other."""

import math

from structlog.typing import EventDict

from adapters.kit.timing_wheel import SLOT_WALL_S, TimingWheel


class Timed:
    """Something that is due at fixed times."""

    def __init__(self, *dues: float) -> None:
        self.alarm = math.inf
        self.dues = list(dues)
        self.looks: list[float] = []

    def due(self, now: float) -> float:
        """Note the look and say when the next is wanted."""
        self.looks.append(now)
        self.dues = [at for at in self.dues if at > now]
        return self.dues[0] if self.dues else math.inf


def test_the_wheel_looks_when_something_is_due_and_never_early() -> None:
    wheel, one = TimingWheel(), Timed(1.0, 5.0)
    wheel.schedule(one, 1.0)
    for step in range(100):
        wheel.advance(step * SLOT_WALL_S)
    assert len(one.looks) == 2
    for look, due in zip(one.looks, (1.0, 5.0), strict=True):
        assert due <= look <= due + 2.5 * SLOT_WALL_S


def test_an_earlier_deadline_goes_before_a_later_one_and_the_later_is_not_forgotten() -> None:
    wheel, one = TimingWheel(), Timed(1.0, 3.0)
    wheel.schedule(one, 3.0)
    wheel.schedule(one, 1.0)
    wheel.schedule(one, 2.0)  # later than what is set: nothing to do
    for step in range(60):
        wheel.advance(step * SLOT_WALL_S)
    assert len(one.looks) == 2
    assert one.alarm == math.inf


class Failing(Timed):
    """Fails when it is due."""

    def due(self, now: float) -> float:
        """Fail."""
        super().due(now)
        raise RecursionError(now)

    def crashed(self, error: Exception) -> None:
        """Fail at that too."""
        raise ValueError(str(error))


def test_one_deadline_that_fails_stops_no_other(logs: list[EventDict]) -> None:
    wheel, one, other = TimingWheel(), Failing(1.0, 2.0), Timed(1.0, 2.0)
    wheel.schedule(one, 1.0)
    wheel.schedule(other, 1.0)
    for step in range(40):
        wheel.advance(step * SLOT_WALL_S)
    assert (len(one.looks), len(other.looks)) == (1, 2)
    assert len(logs) == 1
