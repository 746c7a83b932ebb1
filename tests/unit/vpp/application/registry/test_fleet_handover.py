"""Devices that leave: a few within a cycle, thousands beside the cycles and in parts; the fleet is right each time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.story.town import INDEX
from vpp.application.registry import fleet_handover
from vpp.application.registry.fleet_handover import FleetHandover, at_links
from vpp.domain.telemetry import BoolArray, RowArray
from vpp.fleet.amendment import amended
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import LEFT

ROWS = (1, 2, 4, 7)
FORMER = {row: INDEX.resources[row] for row in ROWS}


class _Service:
    """What a hand-over needs of a service: the fleet as it stands, and which devices still hold something."""

    def __init__(self) -> None:
        gone = {row: replace(device, valid_to_s=5.0) for row, device in FORMER.items()}
        self.index = amended(INDEX, {"resources": gone}, withheld=ROWS)
        self.linked = at_links(self.index, FORMER)
        self.held: set[int] = set()
        self.entries: list[Sequence[int]] = []
        self.connected: BoolArray = np.ones(len(INDEX), dtype=np.bool_)
        self.at_s = 100.0

    def former_devices(self) -> Mapping[int, object]:
        return FORMER

    def forget_devices(self, rows: Sequence[int]) -> None:
        assert rows

    def holding(self, rows: RowArray, connected: BoolArray, now_s: float) -> BoolArray:
        assert len(connected) == len(INDEX)
        assert now_s == self.at_s
        return np.isin(rows, list(self.held))

    def forget(self, rows: RowArray) -> None:
        assert len(rows)

    def vacate(self, rows: RowArray, at_s: float) -> None:
        assert len(rows)
        assert at_s == self.at_s

    def append(self, kind: str, at_s: float, body: Mapping[str, Any]) -> None:
        assert (kind, at_s) == (LEFT, self.at_s)
        self.entries.append(body["rows"])

    async def flush(self) -> None:
        """Be durable."""

    def serve(self, index: FleetIndex, linked: FleetIndex) -> None:
        self.index, self.linked = index, linked


def _handover(service: _Service) -> FleetHandover:
    part: Any = service
    return FleetHandover(engine=part, ingest=part, journal=part, registry=part, serve=service.serve)


async def _settled(handover: FleetHandover, service: _Service) -> None:
    """Follow a snapshot, and wait for what that begins."""
    state: Any = service
    handover.follow(state)
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*tasks)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one device be many, and two be the most that leave at once."""
    monkeypatch.setattr(fleet_handover, "_MANY", 0)
    monkeypatch.setattr(fleet_handover, "_MANY_AT_ONCE", 2)


def _check(service: _Service, left: Sequence[int]) -> None:
    """Check fleet and links once ``left`` have left."""
    waiting = [row for row in ROWS if row not in left]
    assert list(service.index.withheld) == waiting
    assert [row for row in ROWS if not service.linked.resources[row].retired] == waiting


async def test_a_few_devices_leave_within_the_cycle() -> None:
    service = _Service()
    service.held = {4}
    handover = _handover(service)
    state: Any = service
    handover.follow(state)
    assert service.entries == [[1, 2, 7]]
    _check(service, [1, 2, 7])
    service.held.clear()
    await _settled(handover, service)
    _check(service, ROWS)
    assert not handover.former


@pytest.mark.usefixtures("few")
async def test_many_devices_leave_in_parts_beside_the_cycles() -> None:
    service = _Service()
    handover = _handover(service)
    state: Any = service
    handover.follow(state)
    assert not service.entries, "the cycle does not wait"
    await _settled(handover, service)
    assert service.entries == [[1, 2]]
    _check(service, [1, 2])
    await _settled(handover, service)
    assert service.entries == [[1, 2], [4, 7]]
    _check(service, ROWS)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("meanwhile", ["the fleet changes", "a device holds something again"])
async def test_nobody_leaves_by_what_was_true_before(meanwhile: str) -> None:
    service = _Service()
    handover = _handover(service)
    state: Any = service
    handover.follow(state)
    await asyncio.sleep(0)  # the thread begins
    changed = replace(service.index.resources[0], p_max_kw=99.0)
    if meanwhile == "the fleet changes":
        service.index = amended(service.index, {"resources": {0: changed}}, withheld=ROWS)
    else:
        service.held = {2}
    await asyncio.gather(*[task for task in asyncio.all_tasks() if task is not asyncio.current_task()])
    assert not service.entries
    service.held.clear()
    await _settled(handover, service)
    await _settled(handover, service)
    _check(service, ROWS)
    if meanwhile == "the fleet changes":
        assert service.index.resources[0] == changed


def test_links_serve_a_former_device_and_nobody_else_at_its_address() -> None:
    new = replace(INDEX.resources[0], address=INDEX.resources[1].address)
    index = amended(INDEX, {"resources": {0: new, 1: replace(INDEX.resources[1], valid_to_s=5.0)}}, withheld=(1,))
    linked = at_links(index, {1: INDEX.resources[1]})
    assert linked.resources[0].retired
    assert not linked.resources[1].retired
    assert at_links(index, {}) is index
