"""Curtailable solar power of one inverter: used while a used kW saves more than it costs."""

# ruff: noqa: PLR0917 - kernels are called by position: what the compiler sees is a flat list of arrays

from numerics.jit import njit
from optimizer.decomposition.arrays import Flows, Panels, Previous, Prices, Schedule, Stiffness, Tree
from optimizer.decomposition.market import UNKNOWN, Pending, View, soft

_BISECTIONS = 40


@njit(fastmath=True)
def use_panel(
    i: int,
    node: int,
    tree: Tree,
    panels: Panels,
    previous: Previous,
    stiff: Stiffness,
    prices: Prices,
    plan: Schedule,
    flows: Flows,
    view: View,
    pending: Pending,
) -> None:
    """Use solar power while a used kW saves more than it costs; bisection over the kinks of the node's own limits."""
    r, roof, near = stiff.node[node], tree.roof, stiff.store
    for t in range(panels.available.shape[1]):
        most = panels.available[i, t]
        if most <= 0.0:
            continue
        old = plan.used[i, t]
        flow = flows.node[node, t] + old
        slope = view.solar_slope[t] + near
        saved = view.solar[t] + view.solar_slope[t] * (old - pending.solar[t]) + near * old + panels.price
        up = prices.up[node, t] + r * (flow - tree.most[node, t])
        down = prices.down[node, t] + r * (tree.least[node, t] - flow)
        new = _used(saved, slope, up, down, r, roof, most)
        if previous.price > 0.0:
            back = previous.panels[i * panels.available.shape[1] + t]
            if back > 0.5 * UNKNOWN:
                less = _used(saved - previous.price, slope, up, down, r, roof, most)
                more = _used(saved + previous.price, slope, up, down, r, roof, most)
                new = max(less, min(more, back, most))
        plan.used[i, t] = new
        pending.solar[t] += new - old
        flows.node[node, t] -= new - old


@njit(fastmath=True)
def _used(saved: float, slope: float, up: float, down: float, r: float, roof: float, most: float) -> float:
    """Return the solar power in ``[0, most]`` at which using more would cost more than it saves."""
    if saved - slope * most + soft(up - r * most, roof) - soft(down + r * most, roof) >= 0.0:
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if saved - slope * middle + soft(up - r * middle, roof) - soft(down + r * middle, roof) < 0.0:
            high = middle
        else:
            low = middle
    return low
