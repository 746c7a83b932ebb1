"""Transformer headroom: what the tree lets through of a movement, node by node from the leaves up."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.fleet import FleetIndex
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.planning.outlook import Outlook, Window
from vpp.planning.tree import leaves_first

_LEAST_KW = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What is left of a movement.

    Attributes:
        kw: By row and interval, shape ``(n_resources, len(window))``.
        lost_kw: What each transformer's cap takes away, shape ``(len(window),)`` each.
    """

    kw: FloatArray
    lost_kw: dict[str, FloatArray]


def passed(outlook: Outlook, direction: Direction, window: Window, room_kw: FloatArray) -> Passed:
    """Return ``room_kw`` scaled so that no transformer leaves its limits.

    A raise fills the room below the import limit, a cut that above the export limit. Rows below a node that binds are
    scaled alike.
    """
    index = outlook.state.index
    flow = outlook.flow_kw[:, window.steps]
    down = direction is Direction.DOWN
    spare = index.transformer_limit_kw[:, None] - flow if down else flow + index.transformer_export_kw[:, None]
    wanted = np.zeros_like(flow)
    np.add.at(wanted, index.transformer_code, room_kw)
    share, lost = _narrowed(index, wanted, np.maximum(spare, 0.0))
    return Passed(kw=room_kw * share[index.transformer_code], lost_kw=lost)


def _narrowed(
    index: FleetIndex, wanted_kw: FloatArray, spare_kw: FloatArray
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return the share that gets through from each node to the top, ``(m, steps)``, and what each node takes away."""
    share, lost, through = np.ones_like(wanted_kw), {}, wanted_kw.copy()
    order = leaves_first(index).tolist()
    for node in order:
        taken = np.maximum(through[node] - spare_kw[node], 0.0)
        if taken.any():
            share[node] = 1.0 - taken / np.maximum(through[node], _LEAST_KW)
            lost[f"transformer {index.transformers[node].id} cap"] = taken
        above = index.parent_code[node]
        if above >= 0:
            through[above] += through[node] - taken
    if lost:
        for node in reversed(order):
            above = index.parent_code[node]
            if above >= 0:
                share[node] *= share[above]
    return share, lost
