"""The feeder tree: sums from the rows to the root, in whatever order the transformers are stated."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.site import Transformer
from vpp.fleet.feeders import FeederTree


def transformer(name: str, parent: str | None = None, base_load_kw: float = 0.0) -> Transformer:
    return Transformer(
        id=name, area_id="a", limit_kw=400.0, export_limit_kw=200.0, base_load_kw=base_load_kw, parent_id=parent
    )


def test_loads_add_up_to_the_root_and_unknown_rows_are_left_out() -> None:
    nodes = [transformer("leaf", "mid", 10.0), transformer("root", None, 30.0), transformer("mid", "root", 20.0)]
    tree = FeederTree(nodes, of_row=np.array([0, 0, 1, 2], dtype=np.int32))
    assert tree.parent.tolist() == [2, -1, 1]
    assert [level.tolist() for level in tree.levels] == [[0], [2]]
    assert tree.load_kw(np.array([7.0, np.nan, 100.0, -50.0])).tolist() == [17.0, 117.0, -13.0]


def test_a_fleet_without_transformers_has_no_load() -> None:
    tree = FeederTree([], of_row=np.zeros(0, dtype=np.int32))
    assert tree.levels == ()
    assert tree.load_kw(np.zeros(0)).shape == (0,)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_every_node_carries_itself_and_all_below(draws: list[int], chance: "st.DataObject") -> None:
    count = len(draws) + 1
    above = [None] + [min(draw, node) for node, draw in enumerate(draws)]
    order = list(range(count))
    chance.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    place = {node: position for position, node in enumerate(order)}
    nodes = [transformer(str(n), None if above[n] is None else str(above[n])) for n in order]
    own = np.arange(1.0, count + 1.0)

    def below(node: int) -> float:
        return own[place[node]] + sum(below(child) for child in range(count) if above[child] == node)

    total = FeederTree(nodes, of_row=np.zeros(0, dtype=np.int32)).summed_upwards(own)
    assert total.tolist() == [below(n) for n in order]
