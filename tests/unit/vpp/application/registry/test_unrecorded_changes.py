"""The process dies at every step of a change of the fleet: after the start registry and journal tell the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.fleets import at_one_site, chargers
from vpp.application.registry.fleet_history import FleetMemory
from vpp.application.registry.fleet_registration import FleetRegistration
from vpp.application.registry.unrecorded_changes import record_unrecorded
from vpp.bootstrap.store import Store
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import CHANGED
from vpp.runtime.clock import VirtualClock
from vpp.storage.journal import verify

FLEET = at_one_site(chargers(3, p_max_kw=7.0, floor_kw=1.4, default_kw=7.0), limit_kw=30.0, export_limit_kw=30.0)
CAP_KW = 12.0


class _PowerCut(BaseException):
    """The process ends here; no handler of the service may run."""


class _Life:
    """One life of a service on a database: what a change goes through, cut off where it is told to."""

    def __init__(self, store: Store, cut: str = "") -> None:
        self.store, self._cut = store, cut
        self.index = store.registry.load()

    def __len__(self) -> int:
        return 0

    def _passes(self, step: str) -> None:
        if step == self._cut:
            raise _PowerCut(step)

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:  # noqa: ANN401 - whatever the part takes
            self._passes(f"before {name}")
            result = act(*given)
            self._passes(f"after {name}")
            return result

        return call

    def registration(self) -> FleetRegistration:
        part: Any = self
        registry, journal = self.store.registry, self.store.journal
        for owner, name in (
            (registry, "save"),
            (registry, "recorded"),
            (journal, "prepared"),
            (journal, "append_prepared"),
            (journal, "_write"),
        ):
            setattr(owner, name, self.around(name, getattr(owner, name)))
        made = FleetRegistration(
            clock=VirtualClock(50.0),
            registry=registry,
            journal=journal,
            engine=part,
            snapshot=lambda: part,
            check=lambda _: None,
            handover=part,
            serve=self.around("serve", self._serve),
            changed=self.around("changed", lambda: None),
        )
        made._effects = lambda *_: None  # type: ignore[method-assign,assignment,return-value] # no engine
        return made

    @property
    def former(self) -> dict[int, Any]:
        return {}

    def begin(self, devices: dict[int, Any]) -> None:
        assert not devices

    def _serve(self, fleet: FleetIndex, at_links: FleetIndex) -> None:
        del at_links
        self.index = fleet


_STEPS = ("prepared", "save", "serve", "append_prepared", "changed", "_write", "recorded")


@pytest.fixture
def founded(url: str) -> str:
    """Return the URL of a database with the fleet."""
    store = Store.open(url)
    store.registry.add(FleetIndex.empty(), FLEET)
    store.close()
    return url


@pytest.mark.parametrize("name", _STEPS)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_change_is_whole_or_absent_wherever_the_process_dies(founded: str, name: str, side: str) -> None:
    first = Store.open(founded)
    life = _Life(first, cut=f"{side} {name}")
    with pytest.raises(_PowerCut):
        await life.registration().put(replace(FLEET.transformers[0], limit_kw=CAP_KW), actor="notary")
    first.database.dispose()

    for _ in range(2):  # the second start finds everything done
        later = Store.open(founded)
        record_unrecorded(later.journal, later.registry)
        index, entries = later.registry.load(), list(later.journal.entries((CHANGED,)))
        told = FleetMemory(FLEET)
        told.follow(entries)
        assert told.index == index
        stored = name not in {"prepared", "save"} or (side, name) == ("after", "save")
        assert index.transformers[0].limit_kw == (CAP_KW if stored else FLEET.transformers[0].limit_kw)
        assert index.nameplate.default_kw.sum() == (CAP_KW if stored else 21.0), "with the shares that follow from it"
        assert [later.journal.opened(entry.body)["actor"] for entry in entries] == (["notary"] if stored else [])
        assert later.registry.unrecorded() is None
        verify(later.database)
        later.close()


async def test_a_second_change_keeps_the_entries_of_its_own(founded: str) -> None:
    first = Store.open(founded)
    registration = _Life(first).registration()
    for cap_kw in (20.0, CAP_KW):
        await registration.put(replace(FLEET.transformers[0], limit_kw=cap_kw), actor="notary")
    first.close()
    later = Store.open(founded)
    assert record_unrecorded(later.journal, later.registry) == 0
    assert len(list(later.journal.entries((CHANGED,)))) == 2
    later.close()
