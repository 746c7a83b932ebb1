"""Defaults by the registration of before: the same from two fleets and from the journal's entry."""

from dataclasses import replace

from tests.fleets import at_one_site, chargers
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, MemberChange
from vpp.fleet.members.registered_defaults import changed_defaults, defaults_before
from vpp.record.stored_body import read_body, stored_body

BEFORE = at_one_site(chargers(5, p_max_kw=7.0, floor_kw=1.4, default_kw=6.0), limit_kw=100.0, export_limit_kw=100.0)


def _changed(**fields: object) -> tuple[FleetIndex, list[int], list[int]]:
    """Return the fleet with other fields in its third charger, and the rows found in both ways."""
    old = BEFORE.resources[2]
    new = replace(old, version=2, **fields)  # type: ignore[arg-type] # fields of a resource
    change = FleetChange(at_s=1.0, actor="a", members=(MemberChange(kind="resource", position=2, old=old, new=new),))
    after = change.applied(BEFORE)
    by_fleets, old_kw = changed_defaults(BEFORE, after)
    by_entry, told_kw = defaults_before(read_body(*stored_body(change.bodies()[0])))
    assert old_kw.tolist() == told_kw.tolist() == [6.0] * len(by_fleets)
    return after, by_fleets.tolist(), by_entry.tolist()


def test_another_default_or_share_is_found_and_another_nameplate_alone_is_not() -> None:
    for fields in ({"default_kw": 5.0}, {"share_kw": 2.0}, {"default_kw": float("nan")}):
        _, by_fleets, by_entry = _changed(**fields)
        assert by_fleets == by_entry == [2]
    for fields in ({"p_max_kw": 9.0}, {"share_kw": 8.0}, {"default_kw": 5.0, "address": "other/1"}):
        _, by_fleets, by_entry = _changed(**fields)
        assert by_fleets == by_entry == []
