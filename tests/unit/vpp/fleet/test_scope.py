"""Scopes of callers as rows of a fleet."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.fleet.members.tenure import FormerOwner
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.lab.twin.population.presets import demo_fleet

INDEX = demo_fleet(stations=10, inverters=2, batteries=2, v2g=2, sites=2)
OPERATORS = [operator.id for operator in INDEX.operators]
AREAS = [area.id for area in INDEX.areas]


def some(ids: list[str]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.frozensets(st.sampled_from(ids))


@given(operators=some(OPERATORS), areas=some(AREAS))
def test_a_row_is_in_sight_where_its_operator_and_its_area_are(
    operators: frozenset[str] | None, areas: frozenset[str] | None
) -> None:
    rows = Scope(operators=operators, areas=areas).rows(INDEX)
    for resource, seen in zip(INDEX.resources, rows.tolist(), strict=True):
        site = INDEX.site_of[resource.site_id]
        by_operator = operators is None or site.operator_id in operators
        assert seen == (by_operator and (areas is None or site.area_id in areas))


@given(operators=some(OPERATORS), areas=some(AREAS), area=st.sampled_from(["city", *AREAS]))
def test_an_area_is_covered_only_where_all_its_rows_are_in_sight(
    operators: frozenset[str] | None, areas: frozenset[str] | None, area: str
) -> None:
    scope = Scope(operators=operators, areas=areas)
    if scope.covers(area):
        assert scope.rows(INDEX)[INDEX.in_area(area)].all()


def test_everything_is_everything() -> None:
    assert EVERYTHING.is_everything
    assert EVERYTHING.rows(INDEX).all()
    assert EVERYTHING.covers("city")
    assert not Scope(operators=frozenset(OPERATORS)).covers("city"), "operators to come would be in the sum"


@pytest.mark.parametrize("scope", [Scope(operators=frozenset()), Scope(areas=frozenset({"nowhere"}))])
def test_nothing_may_be_in_sight(scope: Scope) -> None:
    assert not np.any(scope.rows(INDEX))


def test_a_row_is_in_sight_since_its_last_owner_out_of_sight() -> None:
    row = len(INDEX) - 1
    site = INDEX.site_of[INDEX.resources[row].site_id]
    place = INDEX.sites.index(site)
    elsewhere = next(other for other in INDEX.sites if other.operator_id != site.operator_id)
    mine, others = site.operator_id, elsewhere.operator_id
    scope = Scope(operators=frozenset({mine}))

    def since_s(*former: FormerOwner) -> float:
        return scope.since_s(replace(INDEX, former_owners=former), row)

    assert since_s() == -math.inf
    assert since_s(FormerOwner("site", place, mine, 10.0)) == -math.inf
    assert since_s(FormerOwner("site", place, others, 10.0)) == 10.0
    assert since_s(FormerOwner("site", place, others, 10.0), FormerOwner("site", place, mine, 20.0)) == 10.0
    assert since_s(FormerOwner("resource", row, elsewhere.id, 30.0)) == 30.0, "moved from another's site"
    assert since_s(FormerOwner("resource", row - 1, elsewhere.id, 30.0)) == -math.inf
    sold = FormerOwner("site", INDEX.sites.index(elsewhere), mine, 40.0)
    assert since_s(FormerOwner("resource", row, elsewhere.id, 30.0), sold) == -math.inf, "it was mine when moved"
    assert EVERYTHING.since_s(replace(INDEX, former_owners=(sold,)), row) == -math.inf
