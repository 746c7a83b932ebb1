"""Changes of the fleet: checked, stored, then known; nothing of a refused one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vpp.application.registry.fleet_registration import FleetRegistration
from vpp.domain.errors import ConflictError, InputError, UnknownIdError, VersionError
from vpp.domain.site import Area, Operator
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED, FleetChange, UnrecordedChange
from vpp.record.entry import Head
from vpp.runtime.clock import VirtualClock

NORTH = Area(id="north", name="North")


class _Steps:
    """Every part of the service that a change goes through: notes every step, and fails in one if asked to."""

    def __init__(self, failing: str = "") -> None:
        self.steps: list[str] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.index = FleetIndex.empty()
        self.power_kw = np.zeros(0)
        self.former: Mapping[int, Any] = {}
        self._failing = failing

    def step(self, name: str) -> Callable[..., None]:
        def take(*_: object) -> None:
            if name == self._failing:
                raise InputError("address", "x", "another")
            self.steps.append(name)

        return take

    def serve(self, fleet: FleetIndex, at_links: FleetIndex) -> None:
        assert fleet is at_links
        self.index = fleet
        self.steps.append("serve")

    def save(self, before: FleetIndex, change: FleetChange, unrecorded: UnrecordedChange) -> None:
        assert before is self.index
        assert list(unrecorded.bodies) == [{**body, "resources": unrecorded.after} for body in change.bodies()]
        self.steps.append(f"store {len(change.members)}")

    def recorded(self) -> None:
        self.step("recorded")()

    def head(self) -> Head:
        return Head(0, "")

    def prepared(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert kind == CHANGED
        self.step("prepare")()
        return body

    def append_prepared(self, kind: str, at_s: float, stored: Mapping[str, Any]) -> None:
        del at_s
        self.steps.append(kind)
        self.bodies.append(stored)

    async def flush(self) -> None:
        self.steps.append("flush")

    def begin(self, devices: Mapping[int, object]) -> None:
        assert not devices

    def __len__(self) -> int:
        return 0


def _registration(steps: _Steps) -> FleetRegistration:
    part: Any = steps
    return FleetRegistration(
        clock=VirtualClock(50.0),
        registry=part,
        journal=part,
        engine=part,
        snapshot=lambda: part,
        check=steps.step("check"),
        handover=part,
        serve=steps.serve,
        changed=steps.step("changed"),
    )


def _quiet(registration: FleetRegistration) -> FleetRegistration:
    """Return it without a look at what runs, which needs an engine."""
    registration._effects = lambda *_: None  # type: ignore[method-assign,assignment,return-value] # no fleet, no effect
    return registration


async def test_an_addition_is_stored_before_anything_knows_of_it_and_journalled_before_it_is_planned_for() -> None:
    steps = _Steps()
    registration = _quiet(_registration(steps))
    await registration.connect(areas=[NORTH], actor="a")
    assert steps.steps == [
        *("check", "flush", "prepare", "store 1", "serve"),
        *(CHANGED, "changed", "flush", "recorded"),
    ]
    assert steps.bodies[0]["actor"] == "a"
    assert steps.index.areas == (replace(NORTH, valid_from_s=50.0),)
    await registration.connect(areas=[NORTH])
    assert len(steps.steps) == 9, "the same again is no addition"


@pytest.mark.parametrize(("failing", "before"), [("check", []), ("prepare", ["check", "flush"])])
async def test_nothing_is_stored_of_what_a_link_cannot_serve_or_the_journal_cannot_say(
    failing: str, before: list[str]
) -> None:
    steps = _Steps(failing=failing)
    with pytest.raises(InputError):
        await _quiet(_registration(steps)).connect(areas=[NORTH])
    assert steps.steps == before


async def test_another_thing_under_a_taken_id_is_refused() -> None:
    registration = _quiet(_registration(_Steps()))
    await registration.connect(areas=[NORTH])
    with pytest.raises(InputError, match=r"areas\.id"):
        await registration.connect(areas=[Area(id="north", name="Another")])


async def test_a_put_or_a_retirement_of_another_version_changes_nothing() -> None:
    steps = _Steps()
    registration = _quiet(_registration(steps))
    outcome = await registration.put(Operator(id="o", name="O"), actor="a", version=0)
    assert outcome.stands == 1
    for version in (0, 2):
        with pytest.raises(VersionError, match="read it again"):
            await registration.put(Operator(id="o", name="P"), actor="a", version=version)
        with pytest.raises(VersionError, match="read it again"):
            await registration.retire("operator", "o", actor="a", version=version)
    assert (await registration.put(Operator(id="o", name="P"), actor="a", version=1)).stands == 2
    assert (await registration.retire("operator", "o", actor="a", version=2)).stands == 3
    assert (await registration.retire("operator", "o", actor="a")).change.members == (), "repeating is harmless"


async def test_a_dry_run_changes_nothing() -> None:
    steps = _Steps()
    registration = _quiet(_registration(steps))
    outcome = await registration.put(NORTH, actor="a", dry_run=True)
    assert outcome.dry_run
    assert len(outcome.change.members) == 1
    assert steps.steps == ["check"]
    assert steps.index.areas == ()


async def test_what_was_never_there_is_not_retired_and_what_is_used_is_not() -> None:
    registration = _quiet(_registration(_Steps()))
    with pytest.raises(UnknownIdError):
        await registration.retire("area", "north", actor="a")
    await registration.connect(areas=[NORTH])
    await registration.retire("area", "north", actor="a")
    with pytest.raises(InputError, match="never used again"):
        await registration.connect(areas=[NORTH])
    with pytest.raises(InputError, match="never used again"):
        await registration.put(NORTH, actor="a")
    assert issubclass(VersionError, ConflictError)
