"""Reports of refused devices: each reaches the service, few reach the log."""

import pytest
from structlog.typing import EventDict

from adapters.kit.batching import Batcher
from adapters.kit.poller import Poller
from adapters.kit.refused_devices import LINES_AT_ONCE, LOGGED_AGAIN_WALL_S, RefusedDevices
from tests.conformance.ocpp_bench import Sink, clock


@pytest.fixture
def refused() -> tuple[RefusedDevices, Sink, Poller]:
    """Return the reports, the sink they go to, and the poller whose time limits the log."""
    sink, poller = Sink(), Poller()
    poller.close()
    poller.now = 1000.0
    return RefusedDevices("ocpp", Batcher("ocpp", sink=sink, flush_wall_s=None), clock(), poller), sink, poller


def test_every_refusal_is_reported_with_what_the_device_called_itself(
    refused: tuple[RefusedDevices, Sink, Poller],
) -> None:
    devices, sink, _ = refused
    devices.add("evil\r\nname", "10.0.0.1", "path")
    devices.add("evil\r\nname", "", "path")
    assert [(one.identity, one.peer, one.reason) for one in sink.refused_connections] == [
        ("evil\\r\\nname", "10.0.0.1", "path"),
        ("evil\\r\\nname", "", "path"),
    ]


def test_one_id_is_logged_once_in_ten_minutes(
    refused: tuple[RefusedDevices, Sink, Poller], logs: list[EventDict]
) -> None:
    devices, _, poller = refused
    devices.add("m1", "10.0.0.1", "unauthorized")
    poller.now += LOGGED_AGAIN_WALL_S - 1.0
    devices.add("m1", "10.0.0.1", "unauthorized")
    assert [(line["device"], line["peer"], line["reason"]) for line in logs] == [("m1", "10.0.0.1", "unauthorized")]
    poller.now += 1.0
    devices.add("m1", "", "unauthorized")
    assert [line["peer"] for line in logs] == ["10.0.0.1", "unknown"]


def test_a_flood_of_ids_is_logged_at_a_rate(
    refused: tuple[RefusedDevices, Sink, Poller], logs: list[EventDict]
) -> None:
    devices, sink, poller = refused
    for number in range(3000):
        devices.add(f"m{number}", "10.0.0.1", "unknown_station")
    assert (len(sink.refused_connections), len(logs)) == (3000, LINES_AT_ONCE)
    poller.now += 10.0
    for number in range(3000):
        devices.add(f"n{number}", "10.0.0.1", "unknown_station")
    assert len(logs) == LINES_AT_ONCE + 2
