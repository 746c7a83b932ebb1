"""The feeder tree: two-sided limits, soft by a priced overload, children summed into their parents.

A limit that cannot bind, whatever the devices do, gets neither variable nor row: its terms pass straight upwards.
"""

import numpy as np
import pyomo.environ as pyo

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.problem.problem import Problem


class TransformerBlock:
    """``flow + over - under = base + devices + children``, ``-export <= flow <= limit``, both excesses priced."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances) -> None:
        self._network = network = problem.network
        self.total = [Account() for _ in range(problem.steps)]
        for step, amount in enumerate(problem.fixed_kw.tolist()):
            self.total[step].shift(amount)
        model.transformers = pyo.Block()
        for node in network.leaves_first().tolist():
            model.transformers.add_component(f"node_{node}", block := pyo.Block())
            self._close(block, node, balances, network.overload_price_cny_per_kwh * problem.step_h)

    def _close(self, block: pyo.Block, node: int, balances: Balances, price: float) -> None:
        """Close one node's accounts of every step and pass them to its parent, or to the total at a root."""
        accounts = balances.node[node]
        limit, export = self._network.limit_kw[node], self._network.export_limit_kw[node]
        binding = [t for t, a in enumerate(accounts) if a.high > limit[t] or a.low < -export[t]]
        passed = _limited(
            block,
            [accounts[t] for t in binding],
            limit=limit[binding],
            export=export[binding],
            price=price,
            balances=balances,
        )
        above = self._network.parent[node]
        upper = balances.node[above] if above >= 0 else self.total
        outgoing = dict(zip(binding, passed, strict=True))
        for t, account in enumerate(accounts):
            upper[t].take(outgoing.get(t, account))


def _limited(
    block: pyo.Block,
    accounts: list[Account],
    *,
    limit: FloatArray,
    export: FloatArray,
    price: float,
    balances: Balances,
) -> list[Account]:
    """Put a limit on each account and return what it shows to the node above."""
    low = np.array([a.low for a in accounts], dtype=np.float64)
    high = np.array([a.high for a in accounts], dtype=np.float64)
    flow = Variables.on(block, "flow_kw", np.clip(low, -export, limit), np.clip(high, -export, limit))
    zeros = np.zeros(len(accounts))
    over = Variables.on(block, "over_kw", zeros, np.maximum(high - limit, 0.0))
    under = Variables.on(block, "under_kw", zeros, np.maximum(-export - low, 0.0))
    rows: list[Row] = []
    passed: list[Account] = []
    for i, account in enumerate(accounts):
        shown = Account()
        for sign, family in ((1.0, flow), (1.0, over), (-1.0, under)):
            account.add(-sign, family.data[i], 0.0, 0.0)
            shown.add(sign, family.data[i], family.low[i], family.high[i])
        # The flow variables stand for the same sum, so its true interval is the account's own.
        shown.low, shown.high = float(low[i]), float(high[i])
        rows.append((-account.constant, account.expression(), -account.constant))
        passed.append(shown)
    constrain(block, "balance", rows)
    for family in (over, under):
        balances.price(np.full(len(accounts), price), family)
    return passed
