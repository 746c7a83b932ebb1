"""Base load of a transformer as what is connected at the node itself, out of what was stated for all behind it.

Until then a registry stated at each node what its meter would show without our devices, the nodes below included, or
stated base load at the leaves alone; the guard took what a node stated, or what its children came to where that was
more. Either way the loads remain those of the guard: a node keeps what it stated beyond its children's.
"""

import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_registry = sa.table("registry", sa.column("kind"), sa.column("position"), sa.column("id"), sa.column("body"))
_TRANSFORMERS = _registry.c.kind == "transformer"
_FIELD = "base_load_kw"
_PARTS = (1.0, 0.5, 0.5, 0.25)


def upgrade() -> None:
    """Replace every stated total by the node's own share of it."""
    bodies = _bodies()
    own, _ = own_and_total(_stated(bodies), {name: body.get("parent_id") for name, body in bodies.items()})
    _write(bodies, own)


def downgrade() -> None:
    """Replace every node's own base load by the total behind it."""
    bodies = _bodies()
    total = _stated(bodies)
    parent = {name: body.get("parent_id") for name, body in bodies.items()}
    for name in _children_first(parent):
        above = parent[name]
        if above is not None:
            total[above] += total[name]
    _write(bodies, total)


def own_and_total(
    stated_kw: Mapping[str, float], parent: Mapping[str, str | None]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return each node's own base load, and the total behind it that comes of them, by id.

    A leaf's own is what it states. A node with others below that states nothing has none of its own; one that states
    something has what exceeds its children's, at least 0.

    Args:
        stated_kw: Base load as stated of all behind a node, 0 where nothing is stated.
        parent: Id of the node that feeds each.
    """
    below: dict[str, list[str]] = {name: [] for name in parent}
    for name, above in parent.items():
        if above is not None:
            below[above].append(name)
    own: dict[str, float] = {}
    total: dict[str, float] = {}
    for name in _children_first(parent):
        children = [total[child] for child in below[name]]
        own[name] = _own_kw(stated_kw[name], children)
        total[name] = _sum(own[name], children)
    return own, total


def _own_kw(stated_kw: float, children_kw: list[float]) -> float:
    if not children_kw:
        return stated_kw
    if not stated_kw:
        return 0.0
    own_kw = max(stated_kw - _sum(0.0, children_kw), 0.0)
    # What rounding lost is put back, so that the sum is the number that was stated, to the last bit but rarely one.
    for part in _PARTS:
        own_kw = max(own_kw + part * (stated_kw - _sum(own_kw, children_kw)), 0.0)
    return own_kw


def _sum(own_kw: float, children_kw: list[float]) -> float:
    """Return the sum in the order in which the feeder tree adds up."""
    for child_kw in children_kw:
        own_kw += child_kw
    return own_kw


def _children_first(parent: Mapping[str, str | None]) -> list[str]:
    below = TopologicalSorter(dict.fromkeys(parent, ()))
    for name, above in parent.items():
        if above is not None:
            below.add(above, name)
    return list(below.static_order())


def _bodies() -> dict[str, dict[str, Any]]:
    ordered = sa.select(_registry.c.id, _registry.c.body).where(_TRANSFORMERS).order_by(_registry.c.position)
    rows = op.get_bind().execute(ordered)
    return {name: json.loads(body) for name, body in rows}


def _stated(bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {name: float(body.get(_FIELD, 0.0)) for name, body in bodies.items()}


def _write(bodies: Mapping[str, dict[str, Any]], base_kw: Mapping[str, float]) -> None:
    for name, body in bodies.items():
        if body.get(_FIELD, 0.0) == base_kw[name]:
            continue
        changed = {**body, _FIELD: base_kw[name]} if base_kw[name] else {k: v for k, v in body.items() if k != _FIELD}
        text = json.dumps(changed, separators=(",", ":"))
        op.get_bind().execute(sa.update(_registry).where(_TRANSFORMERS, _registry.c.id == name).values(body=text))
