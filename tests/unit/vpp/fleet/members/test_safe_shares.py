"""Safe shares: defaults below a transformer that a change has made too small, and what is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site, chargers
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Transformer
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import join, put, retire
from vpp.fleet.members.changes import FleetChange
from vpp.fleet.members.member_codec import FleetMember, same
from vpp.fleet.members.safe_shares import shared

TEN = chargers(10, p_max_kw=7.0, floor_kw=1.4, default_kw=7.0)
ROOMY = at_one_site(TEN, limit_kw=100.0, export_limit_kw=100.0)


def _after(index: FleetIndex, member: FleetMember) -> tuple[FleetChange, FleetIndex]:
    return shared(index, put(index, member, at_s=1.0, actor="a"))


def _capped(index: FleetIndex, limit_kw: float) -> tuple[FleetChange, FleetIndex]:
    return _after(index, replace(index.transformers[0], limit_kw=limit_kw))


def test_a_smaller_cap_is_shared_out_and_a_larger_one_gives_back_what_was_stated() -> None:
    change, tight = _capped(ROOMY, 60.0)
    assert len(change.members) == 1 + len(TEN)
    assert tight.nameplate.default_kw.tolist() == [6.0] * 10
    assert {one.new.version for one in change.members} == {2}
    assert same(tight.resources[0], ROOMY.resources[0]), "its owner states what he did"
    assert change.undone(tight).resources == ROOMY.resources
    _, again = _capped(tight, 70.0)
    assert np.isnan(again.nameplate.share_kw).all()
    assert again.nameplate.default_kw.tolist() == [7.0] * 10


def test_as_many_as_can_be_keep_their_floors() -> None:
    _, tight = _capped(ROOMY, 10.0)
    default_kw = tight.nameplate.default_kw
    assert np.count_nonzero(default_kw >= 1.4) == 7
    assert np.count_nonzero(default_kw == 0.0) == 3
    assert default_kw.sum() <= 10.0


def test_a_site_moved_below_a_tight_transformer_takes_its_shares_with_its_neighbours() -> None:
    tight = Transformer(id="tight", area_id="a", limit_kw=40.0, export_limit_kw=40.0, base_load_kw=5.0)
    _, index = _after(ROOMY, tight)
    _, moved = _after(index, replace(index.sites[0], transformer_id="tight"))
    assert moved.nameplate.default_kw.sum() == pytest.approx(35.0)
    _, back = _after(moved, replace(moved.sites[0], transformer_id="t"))
    assert back.nameplate.default_kw.sum() == 70.0


def test_a_node_above_is_kept_too() -> None:
    _, index = _after(ROOMY, Transformer(id="root", area_id="a", limit_kw=30.0, export_limit_kw=30.0))
    _, fed = _after(index, replace(index.transformers[0], parent_id="root"))
    assert fed.nameplate.default_kw.sum() == pytest.approx(30.0)


def test_one_that_joins_gets_a_share_beside_those_that_are_there() -> None:
    full = at_one_site(TEN, limit_kw=70.0, export_limit_kw=70.0)
    one = replace(TEN[0], id="new", address="new/1")
    for change in (put(full, one, at_s=1.0, actor="a"), join(full, {"resources": [one]}, at_s=1.0, actor="a")):
        _, after = shared(full, change)
        assert len(after) == 11
        assert after.nameplate.default_kw.sum() == pytest.approx(70.0)
        assert np.ptp(after.nameplate.default_kw) < 0.011


def test_what_an_owner_registers_with_a_transformer_stands_and_keeps_its_ratio() -> None:
    _, joined = shared(FleetIndex.empty(), _whole(at_one_site(TEN, limit_kw=35.0, export_limit_kw=35.0)))
    assert joined.nameplate.default_kw.sum() == 70.0, "few cars at a time, says its owner"
    change, same_again = _after(joined, replace(joined.operators[0], name="Other"))
    assert len(change.members) == 1
    assert same_again.nameplate.default_kw.sum() == 70.0
    _, half = _capped(joined, 17.5)
    assert half.nameplate.default_kw.sum() == pytest.approx(35.0, abs=0.1)


def test_a_change_that_has_nothing_to_do_with_a_transformer_lowers_no_share_below_it() -> None:
    powers = (7.0, 11.0, 22.0, 3.7, 7.125, 11.0, 22.0, 7.4, 7.0, 16.0)
    cars = [replace(car, p_max_kw=kw, default_kw=kw) for car, kw in zip(TEN, powers, strict=True)]
    _, joined = shared(FleetIndex.empty(), _whole(at_one_site(cars, limit_kw=60.0, export_limit_kw=60.0)))
    _, tight = _capped(joined, 33.0)
    assert tight.nameplate.default_kw.sum() > 33.0, "in the ratio that its owner registered"
    index = tight
    for number in range(20):
        change, index = _after(index, replace(index.operators[0], name=f"Other-{number}"))
        assert len(change.members) == 1
    assert index.nameplate.default_kw.tolist() == tight.nameplate.default_kw.tolist()


def test_one_that_joins_where_owners_count_on_few_cars_at_a_time_lowers_the_others_by_no_more_than_its_own() -> None:
    many = chargers(1000, p_max_kw=7.0, floor_kw=1.4, default_kw=7.0)
    _, index = shared(FleetIndex.empty(), _whole(at_one_site(many, limit_kw=2000.0, export_limit_kw=2000.0)))
    for number in range(3):
        one = replace(many[0], id=f"new-{number}", address=f"new-{number}/1")
        _, index = shared(index, put(index, one, at_s=1.0, actor="a"))
        assert index.nameplate.default_kw.sum() == pytest.approx(7000.0)


def _whole(index: FleetIndex) -> FleetChange:
    kinds = ("areas", "operators", "transformers", "sites", "resources")
    return join(FleetIndex.empty(), {kind: getattr(index, kind) for kind in kinds}, at_s=0.0, actor="a")


def test_a_battery_gets_what_charging_points_leave_and_loads_that_take_no_default_are_counted() -> None:
    battery = Resource(
        id="b",
        site_id="s",
        resource_class=ResourceClass.STORAGE,
        adapter=Adapter.MODBUS,
        address="h:502/1",
        p_min_kw=-50.0,
        p_max_kw=50.0,
        capacity_kwh=100.0,
    )
    office = replace(
        TEN[0], id="o", resource_class=ResourceClass.HVAC, adapter=Adapter.MQTT, address="o/m", p_max_kw=20.0
    )
    index = at_one_site((*TEN, battery, replace(office, default_kw=20.0)), limit_kw=200.0, export_limit_kw=200.0)
    _, less = _capped(index, 100.0)
    assert less.nameplate.share_kw[10] == pytest.approx(10.0)
    assert np.isnan(less.nameplate.default_kw[10]), "by default it rests, as before"
    assert np.isnan(less.nameplate.share_kw[:10]).all()
    _, least = _capped(index, 55.0)
    assert least.nameplate.share_kw[10] == 0.0
    assert least.nameplate.default_kw[:10].sum() == pytest.approx(35.0)
    assert np.isnan(least.nameplate.share_kw[11]), "nobody sends it a default"


def test_a_retirement_gives_room_to_the_others() -> None:
    _, tight = _capped(ROOMY, 35.0)
    _, fewer = shared(tight, retire(tight, "resource", "c0", at_s=2.0, actor="a"))
    assert fewer.nameplate.default_kw[1:].sum() == pytest.approx(35.0, abs=0.1)
    assert fewer.resources[0].share_kw == tight.resources[0].share_kw, "what it had is left as it was"
