"""The count of connected stations over the parts of a fleet."""

from structlog.testing import capture_logs

from vpp.lab.compose.fleet_parts import ConnectionCount


def lines(count: ConnectionCount, *instants: float) -> list[tuple[int, int]]:
    with capture_logs() as logs:
        for now in instants:
            count.log(now)
    return [(entry["connected"], entry["stations"]) for entry in logs]


def test_the_sum_of_all_parts_is_logged_every_few_seconds() -> None:
    count = ConnectionCount()
    assert lines(count, 0.0) == []
    count.update(0, 10, 100)
    count.update(1, 20, 100)
    assert lines(count, 0.0, 1.0, 4.0, 6.0) == [(30, 200), (30, 200)]


def test_it_is_logged_a_last_time_when_nearly_all_are_connected() -> None:
    count = ConnectionCount()
    count.update(0, 50, 100)
    assert lines(count, 0.0) == [(50, 100)]
    count.update(0, 99, 100)
    assert lines(count, 0.5, 60.0) == [(99, 100)]
