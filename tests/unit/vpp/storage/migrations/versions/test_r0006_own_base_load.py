"""The migration of base load: totals behind a node become what is connected at the node itself."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from hypothesis import given
from hypothesis import strategies as st

from vpp.fleet.index import FleetIndex
from vpp.storage.migrations.versions.r0006_own_base_load import down_revision, own_and_total
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import migration_config, open_database, registry

TREE: Mapping[str, str | None] = {"root": None, "mid": "root", "left": "mid", "right": "mid", "other": "root"}


def _database_of_before(url: str, stated_kw: Mapping[str, float]) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), down_revision)
        rows: list[dict[str, object]] = [{"kind": "area", "position": 0, "id": "a", "body": '{"id":"a","name":"A"}'}]
        for position, (name, parent) in enumerate(TREE.items()):
            body: dict[str, object] = {"id": name, "area_id": "a", "limit_kw": 900.0, "export_limit_kw": float("inf")}
            body |= {} if parent is None else {"parent_id": parent}
            body |= {"base_load_kw": stated_kw[name]} if name in stated_kw else {}
            rows.append({"kind": "transformer", "position": position, "id": name, "body": json.dumps(body)})
        connection.execute(sa.insert(registry), rows)
    engine.dispose()


def _loaded(url: str) -> FleetIndex:
    engine = open_database(url)
    index = SqlRegistry(engine).load()
    engine.dispose()
    return index


@pytest.mark.parametrize(
    ("stated", "own", "total"),
    [
        pytest.param(
            {"root": 100.3, "mid": 60.1, "left": 20.1, "right": 30.7, "other": 10.0},
            [30.2, 9.3, 20.1, 30.7, 10.0],
            [100.3, 60.1, 20.1, 30.7, 10.0],
            id="totals at every node",
        ),
        pytest.param(
            {"left": 100.0, "right": 100.0, "other": 20.0},
            [0.0, 0.0, 100.0, 100.0, 20.0],
            [220.0, 200.0, 100.0, 100.0, 20.0],
            id="leaves only",
        ),
        pytest.param(
            {"root": 50.0, "left": 20.0, "right": 20.0},
            [10.0, 0.0, 20.0, 20.0, 0.0],
            [50.0, 40.0, 20.0, 20.0, 0.0],
            id="a level between is left out",
        ),
        pytest.param({"root": 5.0, "left": 20.0}, [0.0, 0.0, 20.0, 0.0, 0.0], [20.0, 20.0, 20.0, 0.0, 0.0], id="less"),
        pytest.param({"left": -8.0}, [0.0, 0.0, -8.0, 0.0, 0.0], [-8.0, -8.0, -8.0, 0.0, 0.0], id="infeed not ours"),
    ],
)
def test_a_registry_of_before_keeps_its_loads(
    url: str, stated: Mapping[str, float], own: list[float], total: list[float]
) -> None:
    _database_of_before(url, stated)
    index = _loaded(url)

    np.testing.assert_allclose(index.feeders.own_base_kw, own, atol=1e-9)
    assert index.feeders.base_kw.tolist() == total
    assert _loaded(url) == index, "done once for every database"


def test_the_migration_can_be_taken_back(url: str) -> None:
    stated = {"root": 100.0, "mid": 60.0, "left": 20.0, "right": 30.0, "other": 10.0}
    _database_of_before(url, stated)
    before = _loaded(url)
    engine = open_database(url)
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), down_revision)
        ordered = sa.select(registry.c.body).where(registry.c.kind == "transformer").order_by(registry.c.position)
        bodies = connection.execute(ordered).scalars()
        assert [json.loads(body).get("base_load_kw", 0.0) for body in bodies] == list(stated.values())
    engine.dispose()
    assert _loaded(url) == before


@given(st.lists(st.tuples(st.integers(0, 8), st.floats(0.0, 1e6)), min_size=1, max_size=12))
def test_the_loads_are_what_the_guard_reckoned_with(nodes: list[tuple[int, float]]) -> None:
    parent = {str(i): None if i == 0 else str(min(above, i - 1)) for i, (above, _) in enumerate(nodes)}
    stated = {str(i): kw for i, (_, kw) in enumerate(nodes)}
    _, total = own_and_total(stated, parent)

    for name in reversed(parent):
        below = sum(total[child] for child in parent if parent[child] == name)
        assert total[name] == pytest.approx(max(stated[name], below), rel=1e-15)
