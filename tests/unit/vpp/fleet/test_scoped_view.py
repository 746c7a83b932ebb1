"""Part of a fleet that one scope sees."""

from dataclasses import replace

import numpy as np
import pytest

from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.fleet.scoped_view import ScopedView
from vpp.lab.twin.population.presets import demo_fleet
from vpp.state.image import ProcessImage

BASE = demo_fleet(stations=6, inverters=2, batteries=2, v2g=2, sites=2)


def shared_feeder() -> FleetIndex:
    """Return two operators below one root: one has a transformer of its own, both share another."""
    nodes = [("root", None), ("own", "root"), ("both", "root"), ("other", "root")]
    places = [("a", "mine", "own"), ("b", "mine", "both"), ("c", "theirs", "both"), ("d", "theirs", "other")]
    return FleetIndex(
        areas=(Area(id="north", name="North"),),
        operators=(Operator(id="mine", name="Mine"), Operator(id="theirs", name="Theirs")),
        transformers=tuple(
            Transformer(id=name, area_id="north", limit_kw=100.0, export_limit_kw=50.0, base_load_kw=5.0, parent_id=up)
            for name, up in nodes
        ),
        sites=tuple(
            Site(id=site, name=site, area_id="north", operator_id=operator, transformer_id=feeder)
            for site, operator, feeder in places
        ),
        resources=tuple(replace(resource, site_id="abcd"[n % 4]) for n, resource in enumerate(BASE.resources[:8])),
    )


INDEX = shared_feeder()
MINE = Scope(operators=frozenset({"mine"}))


def snapshot() -> FleetState:
    return ProcessImage(INDEX).swap(1_784_088_600.0, np.arange(len(INDEX), dtype=np.uint8) % 4)


def test_members_of_others_are_in_no_list() -> None:
    seen = ScopedView(INDEX, MINE)
    assert [site.id for site in seen.index.sites] == ["a", "b"]
    assert [operator.id for operator in seen.index.operators] == ["mine"]
    assert [r.id for r in seen.index.resources] == [INDEX.resources[row].id for row in (0, 1, 4, 5)]
    assert [t.id for t in seen.index.transformers] == ["root", "own", "both"]


def test_what_a_shared_feeder_carries_is_unknown_and_what_ones_own_does_is_known() -> None:
    seen = ScopedView(INDEX, MINE)
    flow = seen.index.feeders.load_kw(np.ones(len(seen.index)))
    known = dict(zip([t.id for t in seen.index.transformers], flow.tolist(), strict=True))
    assert known["own"] == pytest.approx(5.0 + 2.0)
    assert np.isnan(known["root"])
    assert np.isnan(known["both"])
    assert seen.open_feeders == {"own"}


def test_a_snapshot_has_the_rows_in_sight_and_is_made_once() -> None:
    seen, whole = ScopedView(INDEX, MINE), snapshot()
    state = seen.state(whole)
    assert len(state) == 4
    for name in ("power_kw", "quality", "connected", "available_max_kw", "sheddable"):
        np.testing.assert_array_equal(getattr(state, name), getattr(whole, name)[seen.rows])
        assert not getattr(state, name).flags.writeable
    assert seen.state(whole) is state
    assert [seen.position(row) for row in range(8)] == [0, 1, None, None, 2, 3, None, None]


def test_who_sees_everything_is_handed_the_fleet_itself() -> None:
    seen, whole = ScopedView(INDEX, EVERYTHING), snapshot()
    assert seen.index is INDEX
    assert seen.state(whole) is whole


def test_an_area_out_of_sight_is_named_only_where_a_feeder_of_ones_own_lies_in_it() -> None:
    some = Scope(areas=frozenset({BASE.areas[0].id}))
    seen = ScopedView(BASE, some)
    assert {site.area_id for site in seen.index.sites} == {BASE.areas[0].id}
    assert {a.id for a in seen.index.areas} == {BASE.areas[0].id} | {t.area_id for t in seen.index.transformers}
