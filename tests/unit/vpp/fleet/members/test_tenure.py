"""Owners before the present ones: who had a site when, in the fleet and after a restart."""

from dataclasses import replace

import numpy as np

from vpp.domain.site import Operator
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put
from vpp.fleet.members.tenure import FormerMember, former_owners
from vpp.fleet.membership import membership_at
from vpp.lab.twin.population.presets import demo_fleet


def _fleet() -> FleetIndex:
    index = demo_fleet(stations=6, inverters=2, batteries=2, v2g=2, sites=3)
    more = tuple(Operator(id=name, name=name) for name in ("b", "c"))
    return replace(index, operators=(*index.operators, *more))


def test_up_to_each_sale_the_site_is_the_operators_of_before() -> None:
    index = _fleet()
    site, rows = index.sites[0], np.flatnonzero(index.site_code == 0)
    others = index.operator_code.copy()
    former = []
    sold = index
    for at_s, owner in ((100.0, "b"), (200.0, "c"), (300.0, site.operator_id)):
        former.append(FormerMember(member=sold.sites[0], until_s=at_s, actor=""))
        sold = put(sold, replace(sold.sites[0], operator_id=owner), at_s=at_s, actor="").applied(sold)
    names = [operator.id for operator in sold.operators]
    seen = [names[membership_at(sold, at_s).operator[rows[0]]] for at_s in (0.0, 99.0, 100.0, 199.0, 200.0, 300.0)]
    assert seen == [site.operator_id, site.operator_id, "b", "b", "c", site.operator_id]
    before = membership_at(sold, 150.0).operator
    elsewhere = np.setdiff1d(np.arange(len(index)), rows)
    np.testing.assert_array_equal(before[elsewhere], others[elsewhere])
    assert membership_at(sold, 150.0).operator is membership_at(sold, 160.0).operator, "made once between two sales"
    assert former_owners(sold.sites, former[::-1]) == sold.former_owners


def test_a_device_that_moves_belongs_to_its_former_site_until_then() -> None:
    index = _fleet()
    row = int(np.flatnonzero(index.site_code == 0)[0])
    moved = put(index, replace(index.resources[row], site_id=index.sites[1].id), at_s=50.0, actor="").applied(index)
    assert membership_at(moved, 49.0).site[row] == 0
    assert membership_at(moved, 50.0).site[row] == 1


def test_a_change_of_nothing_but_the_name_is_no_sale() -> None:
    index = _fleet()
    named = put(index, replace(index.sites[0], name="Other"), at_s=50.0, actor="").applied(index)
    assert named.former_owners == ()
    assert membership_at(named, 0.0).operator is named.operator_code
