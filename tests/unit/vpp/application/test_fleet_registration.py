"""Additions to the fleet: checked, stored, then known; nothing of a refused one."""

from collections.abc import Callable
from typing import Any

import pytest

from vpp.application.fleet_registration import CONNECTED, FleetRegistration
from vpp.domain.errors import InputError
from vpp.domain.site import Area
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import VirtualClock

NORTH = Area(id="north", name="North")


class _Steps:
    """Notes every step, and fails in one if asked to."""

    def __init__(self, failing: str = "") -> None:
        self.steps: list[str] = []
        self.index = FleetIndex.empty()
        self._failing = failing

    def step(self, name: str) -> Callable[..., None]:
        def take(*_: object) -> None:
            if name == self._failing:
                raise InputError("address", "x", "another")
            self.steps.append(name)

        return take

    def grow(self, larger: FleetIndex) -> None:
        self.index = larger
        self.steps.append("grow")

    def add(self, before: FleetIndex, after: FleetIndex) -> None:
        self.steps.append(f"store {len(after.areas) - len(before.areas)}")

    def append(self, kind: str, at_s: float, body: object) -> None:
        del at_s, body
        self.steps.append(kind)

    async def flush(self) -> None:
        self.steps.append("flush")


def _registration(steps: _Steps) -> FleetRegistration:
    part: Any = steps
    return FleetRegistration(
        clock=VirtualClock(0.0),
        registry=part,
        journal=part,
        index=lambda: steps.index,
        check=steps.step("check"),
        grow=steps.grow,
        grown=steps.step("grown"),
    )


async def test_an_addition_is_stored_before_anything_knows_of_it_and_journalled_before_it_is_planned_for() -> None:
    steps = _Steps()
    registration = _registration(steps)
    await registration.connect(areas=[NORTH])
    assert steps.steps == ["check", "store 1", "grow", CONNECTED, "grown", "flush"]
    await registration.connect(areas=[NORTH])
    assert len(steps.steps) == 6, "the same again is no addition"


async def test_nothing_is_stored_of_what_a_link_cannot_serve() -> None:
    steps = _Steps(failing="check")
    with pytest.raises(InputError):
        await _registration(steps).connect(areas=[NORTH])
    assert steps.steps == []


async def test_another_thing_under_a_taken_id_is_refused() -> None:
    steps = _Steps()
    registration = _registration(steps)
    await registration.connect(areas=[NORTH])
    with pytest.raises(InputError, match=r"areas\.id"):
        await registration.connect(areas=[Area(id="north", name="Another")])
