"""Set-up after a boot: at a rate, the longest waiting first, and never during a rush."""

from types import SimpleNamespace
from typing import Any, cast

from adapters.kit.admission import RushDetector
from adapters.ocpp.central_system import setup_queue
from adapters.ocpp.central_system.session import Session
from adapters.ocpp.central_system.setup_queue import SetupQueue


class Station:
    """Stands for a session; notes what was begun."""

    def __init__(self, name: str) -> None:
        self.station = name
        self.begun: list[str] = []
        self.pumped = 0
        self.dialect = SimpleNamespace(setup=lambda station: f"setup of {station}")

    def add(self, script: str) -> None:
        """Note a script."""
        self.begun.append(script)

    def pump_safely(self) -> None:
        """Count."""
        self.pumped += 1


def stations(count: int) -> list[Any]:
    """Return stand-ins for sessions."""
    return [cast("Session", Station(f"CP{number}")) for number in range(count)]


def test_set_ups_begin_in_order_at_their_rate(monkeypatch: Any) -> None:  # noqa: ANN401 - pytest's
    monkeypatch.setattr(setup_queue, "SETUPS_AT_ONCE", 2)
    queue, waiting = SetupQueue(1.0), stations(4)
    for session in (*waiting, waiting[0]):
        queue.add(session)
    assert len(queue) == 4
    queue.tick(100.0)
    assert [session.begun for session in waiting] == [["setup of CP0"], ["setup of CP1"], [], []]
    assert waiting[2] in queue
    queue.tick(100.5)
    assert len(queue) == 2
    queue.tick(101.0)
    assert waiting[2].begun
    assert [session.pumped for session in waiting] == [1, 1, 1, 0]


def test_a_station_that_is_speaking_pumps_by_itself() -> None:
    queue, (one,) = SetupQueue(1.0), stations(1)
    queue.add(one)
    queue.start_due(1.0, speaking=one)
    assert (one.begun, one.pumped) == (["setup of CP0"], 0)


def test_nothing_begins_during_a_rush_and_what_has_ended_never() -> None:
    queue, (one, other) = SetupQueue(100.0), stations(2)
    for session in (one, other):
        queue.add(session)
    for _ in range(RushDetector.MANY + 1):
        queue.rush.arrived()
    queue.tick(10.0)
    assert not one.begun
    queue.discard(one)
    queue.tick(10.0 + RushDetector.CALM_WALL_S)
    assert (one.begun, other.begun, len(queue)) == ([], ["setup of CP1"], 0)
