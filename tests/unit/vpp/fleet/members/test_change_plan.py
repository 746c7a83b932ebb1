"""Puts and retirements planned: checked as a whole, ids never used again."""

from dataclasses import replace

import pytest

from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.resource import ResourceClass
from vpp.domain.site import Area, Operator, Transformer
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import join, put, retire
from vpp.fleet.members.changes import FleetChange
from vpp.lab.twin.population.presets import demo_fleet


def _fleet() -> FleetIndex:
    return demo_fleet(stations=6, inverters=2, batteries=2, v2g=2, sites=3)


def test_a_new_member_joins_and_the_same_again_changes_nothing() -> None:
    index = _fleet()
    change = put(index, Operator(id="op-new", name="New"), at_s=10.0, actor="a")
    after = change.applied(index)
    assert after.operators[-1] == Operator(id="op-new", name="New", valid_from_s=10.0)
    assert put(after, Operator(id="op-new", name="New"), at_s=20.0, actor="a").members == ()


def test_a_change_raises_the_version_and_keeps_the_place() -> None:
    index = _fleet()
    device = index.resources[0]
    change = put(index, replace(device, p_max_kw=50.0), at_s=10.0, actor="a")
    assert change.leaving == ()
    after = change.applied(index)
    assert (after.resources[0].version, after.resources[0].p_max_kw) == (2, 50.0)
    assert change.undone(after) == index


def test_another_address_is_another_device_in_the_same_row() -> None:
    index = _fleet()
    change = put(index, replace(index.resources[0], address="CS-NEW/1"), at_s=10.0, actor="a")
    assert change.leaving == (0,)
    assert not change.applied(index).in_service[0]


def test_class_and_protocol_are_not_changed_in_place() -> None:
    index = _fleet()
    with pytest.raises(InputError, match="register another one under a new id"):
        put(index, replace(index.resources[0], resource_class=ResourceClass.STORAGE), at_s=1.0, actor="a")


def test_an_operator_goes_with_its_sites_and_their_devices() -> None:
    index = _fleet()
    change = retire(index, "operator", index.operators[0].id, at_s=10.0, actor="a")
    after = change.applied(index)
    rows = [row for row in range(len(index)) if index.operator_code[row] == 0]
    assert rows
    assert list(change.leaving) == rows
    assert all(after.resources[row].valid_to_s == 10.0 for row in rows)
    assert all(site.retired for site in after.sites if site.operator_id == index.operators[0].id)
    assert retire(after, "operator", index.operators[0].id, at_s=20.0, actor="a").members == ()


def test_a_retired_id_is_never_used_again() -> None:
    index = _fleet()
    device = index.resources[0]
    after = retire(index, "resource", device.id, at_s=10.0, actor="a").applied(index)
    for attempt in (device, replace(device, p_max_kw=1.0)):
        with pytest.raises(InputError, match="never used again"):
            put(after, attempt, at_s=20.0, actor="a")
        with pytest.raises(InputError, match="never used again"):
            join(after, {"resources": [attempt]}, at_s=20.0, actor="a")


def test_what_is_used_is_not_retired_and_what_is_retired_is_not_used() -> None:
    index = _fleet()
    transformer = index.sites[0].transformer_id
    with pytest.raises(ConflictError, match="retire or move these first"):
        retire(index, "transformer", transformer, at_s=1.0, actor="a")
    with pytest.raises(ConflictError, match="retire or move these first"):
        retire(index, "area", index.areas[0].id, at_s=1.0, actor="a")
    with pytest.raises(UnknownIdError):
        retire(index, "site", "nowhere", at_s=1.0, actor="a")
    site = index.sites[0]
    after = retire(index, "site", site.id, at_s=1.0, actor="a").applied(index)
    moved = replace(index.resources[0], id="other", site_id=site.id)
    with pytest.raises(InputError, match="in service"):
        put(after, moved, at_s=2.0, actor="a")
    with pytest.raises(InputError, match="in service"):
        join(after, {"resources": [moved]}, at_s=2.0, actor="a")


def test_no_transformer_feeds_itself() -> None:
    area = Area(id="a", name="A")
    nodes = tuple(
        Transformer(id=name, area_id="a", limit_kw=10.0, export_limit_kw=10.0, parent_id=parent)
        for name, parent in (("top", None), ("mid", "top"), ("low", "mid"))
    )
    index = replace(FleetIndex.empty(), areas=(area,), transformers=nodes)
    for name, parent in (("top", "low"), ("mid", "mid")):
        node = next(node for node in nodes if node.id == name)
        with pytest.raises(InputError, match="does not feed"):
            put(index, replace(node, parent_id=parent), at_s=1.0, actor="a")
    assert put(index, replace(nodes[2], parent_id="top"), at_s=1.0, actor="a").members


def test_a_change_travels_through_the_journal() -> None:
    index = _fleet()
    change = retire(index, "site", index.sites[0].id, at_s=10.0, actor="a")
    (body,) = change.bodies()
    assert FleetChange.of(10.0, body) == change
