"""Where the prepared world rejoins the actual one."""

from types import SimpleNamespace
from typing import Any

from vpp.domain.request import RequestState
from vpp.lab.simulate.worlds.rejoining import Rejoining

RAMPING, HOLDING, RELEASING = RequestState.RAMPING, RequestState.HOLDING, RequestState.RELEASING


class Twin:
    """A twin that counts how often its worlds rejoined."""

    times = 0

    def rejoin(self) -> None:
        """Count."""
        self.times += 1


def times(*cycles: dict[str, RequestState]) -> int:
    """Return how often the worlds rejoined in cycles with these requests in these states."""
    twin: Any = Twin()
    rejoining = Rejoining(twin)
    for requests in cycles:
        running: Any = [SimpleNamespace(id=name, state=state) for name, state in requests.items()]
        rejoining.follow(running)
    return int(twin.times)


def test_once_at_the_begin_of_each_call() -> None:
    assert times({"a": RequestState.SCHEDULED}) == 0
    assert times({"a": RAMPING}, {"a": HOLDING}, {"a": RELEASING}) == 1
    assert times({"a": HOLDING}, {}, {"b": RAMPING}, {"b": HOLDING}) == 2


def test_a_call_that_begins_while_another_is_released_is_judged_apart_and_one_within_its_hold_is_not() -> None:
    assert times({"a": HOLDING}, {"a": RELEASING, "b": RAMPING}) == 2
    assert times({"a": HOLDING}, {"a": HOLDING, "b": RAMPING}, {"a": RELEASING, "b": HOLDING}) == 1
