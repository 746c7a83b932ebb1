"""Whatever the tree, the limits and the targets: the merit order is exact, safe, and touches only what it names."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.tracking.merit_order import MeritOrder, Offers, warm_up

KW = 1e-4


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    warm_up()


@dataclass(frozen=True)
class City:
    """One city and what its rows offer."""

    node: np.ndarray
    parent: np.ndarray
    offers: Offers
    lower_kw: np.ndarray
    upper_kw: np.ndarray
    fixed_kw: np.ndarray

    def order(self, patience_kw: float = 0.0) -> MeritOrder:
        """Return the merit order of this city."""
        made = MeritOrder(node=self.node, parent=self.parent, patience_kw=patience_kw)
        made.limit(lower_kw=self.lower_kw, upper_kw=self.upper_kw, fixed_kw=self.fixed_kw)
        made.refresh(self.offers)
        return made

    def loads_kw(self, power_kw: np.ndarray) -> np.ndarray:
        """Return the load of every node."""
        load = self.fixed_kw + np.bincount(self.node, weights=np.nan_to_num(power_kw), minlength=len(self.parent))
        for k in range(len(self.parent) - 1, 0, -1):
            if self.parent[k] >= 0:
                load[self.parent[k]] += load[k]
        return np.asarray(load)

    def span_kw(self) -> tuple[float, float]:
        """Return the least and the greatest sum of all rows that are there."""
        present = ~np.isnan(self.offers.low_kw)
        return float(self.offers.low_kw[present].sum()), float(self.offers.high_kw[present].sum())


@st.composite
def cities(draw: st.DrawFn, *, floors: bool = False, limited: bool = True) -> City:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes, rows = draw(st.integers(1, 9)), draw(st.integers(1, 60))
    parent = np.array([random.integers(-1, k) if k else -1 for k in range(nodes)])
    node = random.integers(0, nodes, rows)
    low = np.where(random.random(rows) < 0.3, -random.choice([7.0, 50.0], rows), 0.0)
    high = np.where(random.random(rows) < 0.1, low, random.choice([3.5, 7.0, 11.0, 50.0], rows))
    low[random.random(rows) < 0.1] = np.nan
    key = random.integers(1, 256, rows)
    key[random.random(rows) < 0.15] = 0
    city = City(
        node=node,
        parent=parent,
        offers=Offers(
            low_kw=low,
            high_kw=high,
            floor_kw=np.where((low == 0.0) & floors, 1.4, 0.0),
            key=key.astype(np.uint8),
        ),
        lower_kw=np.full(nodes, -np.inf),
        upper_kw=np.full(nodes, np.inf),
        fixed_kw=random.uniform(0.0, 20.0, nodes),
    )
    if not limited:
        return city
    # Limits that the least load of every node passes, so that there is an answer.
    least, most = city.loads_kw(low), city.loads_kw(np.where(np.isnan(low), 0.0, high))
    upper = np.where(random.random(nodes) < 0.5, least + random.uniform(0.2, 1.0, nodes) * (most - least), np.inf)
    return City(node, parent, city.offers, city.lower_kw, upper, city.fixed_kw)


def targets(city: City, count: int = 8) -> st.SearchStrategy[list[float]]:
    low, high = city.span_kw()
    return st.lists(st.floats(low - 20.0, high + 20.0), min_size=1, max_size=count)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0.0, 5.0, 40.0]))
def test_the_total_is_exact_inside_the_live_range_and_at_its_ends_outside(
    data: st.DataObject, patience_kw: float
) -> None:
    city = data.draw(cities())
    order = city.order(patience_kw)
    low, high = order.range_kw
    for target in data.draw(targets(city)):
        moves = order.tick(target)
        assert moves.total_kw == pytest.approx(min(max(target, low), high), abs=KW)
        assert np.nansum(order.power_kw) == pytest.approx(moves.total_kw, abs=KW)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0.0, 5.0, 40.0]), st.booleans())
def test_no_limit_is_ever_passed_and_every_row_stays_inside_its_range(
    data: st.DataObject,
    patience_kw: float,
    floors: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    city = data.draw(cities(floors=floors))
    order = city.order(patience_kw)
    for target in data.draw(targets(city)):
        order.tick(target)
        power = order.power_kw
        present = ~np.isnan(city.offers.low_kw)
        assert (city.loads_kw(power) <= city.upper_kw + KW).all()
        assert order.node_kw == pytest.approx(city.loads_kw(power), abs=KW)
        assert (power[present] >= city.offers.low_kw[present] - KW).all()
        assert (power[present] <= city.offers.high_kw[present] + KW).all()
        assert np.isnan(power[~present]).all()


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0.0, 40.0]))
def test_who_cannot_wait_is_shed_for_no_target(data: st.DataObject, patience_kw: float) -> None:
    city = data.draw(cities(limited=False))
    order = city.order(patience_kw)
    urgent = (city.offers.key == 0) & ~np.isnan(city.offers.low_kw)
    for target in data.draw(targets(city)):
        order.tick(target)
        assert order.power_kw[urgent] == pytest.approx(city.offers.high_kw[urgent], abs=KW)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0.0, 5.0, 40.0]), st.booleans())
def test_exactly_the_named_rows_change(data: st.DataObject, patience_kw: float, floors: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    city = data.draw(cities(floors=floors))
    order = city.order(patience_kw)
    before = order.power_kw
    for target in data.draw(targets(city)):
        moves = order.tick(target)
        after = order.power_kw
        same = (np.abs(after - before) <= 1e-6) | (np.isnan(after) & np.isnan(before))
        assert sorted(moves.rows) == np.flatnonzero(~same).tolist()
        assert moves.power_kw == pytest.approx(after[moves.rows])
        before = after


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_row_is_told_a_power_between_nothing_and_its_floor(data: st.DataObject) -> None:
    city = data.draw(cities(floors=True))
    order = city.order(5.0)
    for target in data.draw(targets(city)):
        order.tick(target)
        power, floor = order.power_kw, np.fmin(city.offers.floor_kw, city.offers.high_kw)
        assert not ((power > KW) & (power < floor - KW)).any()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 5))
def test_refreshing_part_by_part_gives_the_order_of_refreshing_at_once(data: st.DataObject, parts: int) -> None:
    city = data.draw(cities())
    whole, pieces = city.order(), city.order()
    low, high = city.span_kw()
    asked = data.draw(st.floats(low, high))
    for part in range(parts):
        pieces.refresh(city.offers, part=part, parts=parts)
        pieces.tick(asked)
    whole.tick(asked)
    assert pieces.power_kw == pytest.approx(whole.power_kw, abs=1e-3, nan_ok=True)
    assert sorted(np.concatenate([whole.rows(part, parts) for part in range(parts)])) == list(range(len(city.node)))
