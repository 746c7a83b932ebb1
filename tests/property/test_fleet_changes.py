"""Random changes of a fleet: table, journal read forwards, journal read backwards and live index tell the same."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpp.application.registry.fleet_history import FleetMemory, without
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.site import Operator
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put, retire
from vpp.fleet.members.changes import CHANGED, LEFT, FleetChange
from vpp.fleet.members.member_codec import KINDS, FleetMember
from vpp.lab.twin.population.presets import demo_fleet
from vpp.record.entry import JournalEntry
from vpp.record.stored_body import read_body, stored_body
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import open_database

_FLEET = demo_fleet(stations=4, inverters=1, batteries=2, v2g=1, sites=3)
_ACTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30), st.integers(0, 30)), max_size=12)


class _Record:
    """A journal in memory; bodies have gone through their stored form."""

    def __init__(self) -> None:
        self.kept: list[JournalEntry] = []

    def append(self, kind: str, at_s: float, body: dict[str, object]) -> None:
        read = read_body(*stored_body(body))
        self.kept.append(JournalEntry(sequence=len(self.kept) + 1, kind=kind, at_s=at_s, body=read, sha256=""))

    def entries(self, kinds: Any = (), *, after: int = 0, until: int | None = None) -> Any:  # noqa: ANN401 - the port's
        last = len(self.kept) if until is None else until
        return (e for e in self.kept if after < e.sequence <= last and (not kinds or e.kind in kinds))


def _small() -> FleetIndex:
    """Return the fleet with every site of a known operator."""
    sites = tuple(replace(site, operator_id="op-1") for site in _FLEET.sites)
    return FleetIndex(
        areas=_FLEET.areas,
        operators=tuple(Operator(id=name, name=name) for name in ("op-1", "op-2")),
        transformers=_FLEET.transformers,
        sites=sites,
        resources=_FLEET.resources,
    )


def _asked(index: FleetIndex, act: int, one: int, other: int, at_s: float) -> FleetChange:
    """Return a change: replaced in place, moved, sold, joined or retired."""
    device = index.resources[one % len(index)]
    site = index.sites[one % len(index.sites)]
    changed: dict[int, FleetMember] = {
        0: replace(device, p_max_kw=device.p_max_kw + 1.0),
        1: replace(device, address=f"{device.address}{other}"),
        2: replace(site, transformer_id=index.transformers[other % len(index.transformers)].id),
        3: replace(site, operator_id=("op-1", "op-2")[other % 2]),
        4: replace(device, id=f"new-{at_s}", address=f"new-{at_s}/1"),
        5: replace(device, site_id=site.id),
    }
    if act in changed:
        return put(index, changed[act], at_s=at_s, actor="a")
    kind = KINDS[other % len(KINDS)]
    members = getattr(index, kind.members)
    return retire(index, kind.name, members[one % len(members)].id, at_s=at_s, actor="b")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ACTS)
def test_whatever_is_changed_every_record_of_the_fleet_tells_the_same(acts: list[tuple[int, int, int]]) -> None:
    registry, journal, index = SqlRegistry(open_database("sqlite://")), _Record(), _small()
    registry.add(FleetIndex.empty(), index)
    states, given_ids = [index], {resource.id for resource in index.resources}
    for number, (act, one, other) in enumerate(acts):
        at_s = 100.0 + number
        try:
            change = _asked(index, act, one, other, at_s)
        except (InputError, ConflictError):
            continue
        if not change.members:
            continue
        joined = {c.new.id for c in change.members if c.old is None and c.kind == "resource"}
        assert not joined & given_ids, "an id is given once"
        given_ids |= joined
        registry.save(index, change)
        index = change.applied(index)
        for body in change.bodies():
            journal.append(CHANGED, at_s, body)
        states.append(index)
        if other % 3 == 0 and index.withheld:
            rows = list(index.withheld)
            registry.forget_devices(rows)
            index = without(index, rows)
            journal.append(LEFT, at_s, {"rows": rows})
            states.append(index)

    assert registry.load() == index, "after a restart"
    record: Any = journal
    forwards = FleetMemory(states[0])
    for position, state in enumerate(states[1:], 1):
        forwards.follow(journal.kept[position - 1 : position])
        assert forwards.index == state
        assert FleetMemory.before(index, record, position).index == state, "undone from the end"
    assert FleetMemory.before(index, record, 0).index == states[0]
    assert [r.id for r in index.resources[: len(states[0])]] == [r.id for r in states[0].resources], "rows stay"
