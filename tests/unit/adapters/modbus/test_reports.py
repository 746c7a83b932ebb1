"""Reports of a unit: each loss and return logged once."""

import pytest
import structlog

from adapters.kit.batching import Batcher
from adapters.modbus.devices.mapped.device import MappedDevice
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.memory import VolatileMemory
from adapters.modbus.reports import UnitReports
from adapters.modbus.unit import Unit
from tests.conformance.modbus_parts import Ear, FastClock
from vpp.domain.telemetry import Quantity

POINTS = [{"quantity": "POWER_KW", "address": 0, "type": "int16"}]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def batcher(ear: Ear) -> Batcher:
    made = Batcher("modbus", flush_wall_s=None)
    made.open(ear)
    return made


@pytest.fixture
def reports(batcher: Batcher) -> UnitReports:
    return UnitReports(("h", 502), FastClock(), batcher)


def unit() -> Unit:
    device = MappedDevice(register_map=RegisterMap.from_table({"name": "m", "points": POINTS}, where="m"))
    return Unit(row=4, number=1, device=device, memory=VolatileMemory(), due_s=0.0)


def connections(batcher: Batcher, ear: Ear) -> list[float]:
    batcher.flush()
    return ear.history(4, Quantity.CONNECTED)


def test_a_loss_is_reported_and_logged_once_and_so_is_the_return(
    reports: UnitReports, batcher: Batcher, ear: Ear
) -> None:
    made = unit()
    with structlog.testing.capture_logs() as logs:
        for connected in (True, True, False, False, True):
            reports.connected(made, connected=connected)
    assert connections(batcher, ear) == [1.0, 0.0, 1.0]
    assert [log["event"] for log in logs] == ["modbus device lost", "modbus device recovered"]


def test_a_loss_with_its_whole_endpoint_is_reported_quietly_and_so_is_the_return(
    reports: UnitReports, batcher: Batcher, ear: Ear
) -> None:
    made = unit()
    with structlog.testing.capture_logs() as logs:
        reports.connected(made, connected=False, quietly=True)
        reports.connected(made, connected=True)
    assert connections(batcher, ear) == [0.0, 1.0]
    assert logs == []


def test_troubles_are_reported_where_they_change_and_anew_after_somebody_else_had_it(
    reports: UnitReports, batcher: Batcher, ear: Ear
) -> None:
    made = unit()
    reports.connected(made, connected=True)
    reports.troubles(made)
    reports.troubles(made)
    reports.handed_over(made, 5.0)
    reports.troubles(made)
    assert connections(batcher, ear) == [1.0, 0.0]
    assert len(ear.history(4, Quantity.TROUBLES)) == 2
    assert made.contact.connected is None
