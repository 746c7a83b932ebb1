"""Compilation of a problem to the arrays of the kernels: devices by node, fixed power folded into the base."""

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from optimizer.decomposition.arrays import (
    Cars,
    City,
    Contracts,
    Fleet,
    Floats,
    Holds,
    Ints,
    Loads,
    Panels,
    Previous,
    Rows,
    Stores,
    Tree,
)
from optimizer.decomposition.market import FAR, UNKNOWN
from optimizer.problem.devices import present_kw
from optimizer.problem.problem import Network, Problem

_NO_REBOUND = 1


def compiled(problem: Problem) -> Fleet:
    """Return ``problem`` as the kernels see it."""
    cars, car_rows = _cars(problem)
    stores, store_rows = _stores(problem)
    panels, panel_rows = _panels(problem)
    loads, load_rows = _loads(problem)
    own = _own_base(problem, panel_rows)
    tree = _tree(problem.network, problem.step_h)
    base = own.copy()
    for node in range(len(own)):
        for above in tree.path[tree.start[node] : tree.start[node + 1]].tolist():
            base[above] += own[node]
    return Fleet(
        steps=problem.steps,
        base=base,
        tree=tree,
        cars=cars,
        stores=stores,
        panels=panels,
        loads=loads,
        contracts=_contracts(problem),
        holds=_holds(problem),
        city=_city(problem, own, cars, stores, panel_rows),
        rows=Rows(car_rows, store_rows, load_rows, panel_rows),
    )


def tightened(tree: Tree, margin: float) -> Tree:
    """Return ``tree`` with its limits drawn in by ``margin`` of themselves, so that a repair has room."""
    spare = margin * np.maximum(np.minimum(tree.most, -tree.least), 0.0)
    return tree._replace(most=tree.most - spare, least=tree.least + spare)


def _by_node(node: Ints, nodes: int) -> tuple[Ints, Ints]:
    """Return the stable order of devices by node and the first position of each node, shape ``(m + 1,)``."""
    order = np.argsort(node, kind="stable").astype(np.int64)
    first = np.searchsorted(node[order], np.arange(nodes + 1)).astype(np.int64)
    return order, first


def _cells(arrive: Ints, depart: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(depart - arrive))).astype(np.int64)


def _cars(problem: Problem) -> tuple[Cars, Ints]:
    block = problem.charging
    order, first = _by_node(block.transformer, len(problem.network.parent))
    arrive, depart = block.arrive[order], block.depart[order]
    cars = Cars(
        first=first,
        cell=_cells(arrive, depart),
        arrive=arrive.astype(np.int32),
        depart=depart.astype(np.int32),
        p_max=_floats(block.p_max_kw[order]),
        need=_floats(block.need_kwh[order] / problem.step_h),
    )
    return cars, order


def _stores(problem: Problem) -> tuple[Stores, Ints]:
    block, h = problem.storing, problem.step_h
    order, first = _by_node(block.transformer, len(problem.network.parent))
    arrive, depart = block.arrive[order], block.depart[order]
    size = block.capacity_kwh / h
    stores = Stores(
        first=first,
        cell=_cells(arrive, depart),
        arrive=arrive.astype(np.int32),
        depart=depart.astype(np.int32),
        charge=_floats(block.p_max_kw[order]),
        discharge=_floats(-block.p_min_kw[order]),
        low=_floats((np.minimum(block.soc_min, block.soc_start) * size)[order]),
        high=_floats((np.maximum(block.soc_max, block.soc_start) * size)[order]),
        begin=_floats((block.soc_start * size)[order]),
        due=_floats((block.soc_end * size)[order]),
        efficiency=_floats(block.efficiency[order]),
        wear=_floats(block.wear_price_cny_per_kwh[order] * h),
        reserving=np.asarray(block.reserving[order], dtype=np.bool_),
        limit=_floats(block.charge_limit_kw[order] if block.limited else np.zeros((0, problem.steps))),
    )
    return stores, order


def _panels(problem: Problem) -> tuple[Panels, Ints]:
    """Return curtailable rows added up by node: one price for all makes their sum as good as each of them.

    With a last plan each row has a past of its own and stays a row.
    """
    block, nodes = problem.solar, len(problem.network.parent)
    able = np.flatnonzero(block.curtailable != 0)
    rows = np.full(len(block), -1, dtype=np.int64)
    if problem.churn is None:
        held, rows[able] = np.unique(block.transformer[able], return_inverse=True)
        available = np.zeros((len(held), problem.steps))
        np.add.at(available, rows[able], block.available_kw[able])
    else:
        order, _ = _by_node(block.transformer[able], nodes)
        rows[able[order]] = np.arange(len(able))
        held = block.transformer[able[order]]
        available = _floats(block.available_kw[able[order]])
    first = np.searchsorted(held, np.arange(nodes + 1)).astype(np.int64)
    return Panels(first, available, float(block.price_cny_per_kwh * problem.step_h)), rows


def _loads(problem: Problem) -> tuple[Loads, Ints]:
    block, h = problem.flexible, problem.step_h
    order, first = _by_node(block.transformer, len(problem.network.parent))
    loads = Loads(
        first=first,
        most=_floats(block.max_cut_kw[order]),
        energy=_floats(block.max_cut_kwh[order] / h),
        price=_floats(block.price_cny_per_kwh[order] * h),
        rebound=_floats(block.rebound_ratio[order]),
        rebound_steps=max(int(block.rebound_steps), _NO_REBOUND),
    )
    return loads, order


def _own_base(problem: Problem, panel_rows: Ints) -> Floats:
    """Return each node's load that no device moves, its children not included, shape ``(m, T)``."""
    own = _floats(problem.network.base_kw).copy()
    np.add.at(own, problem.flexible.transformer, problem.flexible.baseline_kw)
    fixed = panel_rows < 0
    np.subtract.at(own, problem.solar.transformer[fixed], problem.solar.available_kw[fixed])
    return own


def _tree(network: Network, step_h: float) -> Tree:
    parent = network.parent.tolist()
    start, path = [0], []
    for node in range(len(parent)):
        above = parent[node]
        while above >= 0:
            path.append(above)
            above = parent[above]
        start.append(len(path))
    return Tree(
        start=np.array(start, dtype=np.int64),
        path=np.array(path, dtype=np.int64),
        most=np.minimum(_floats(network.limit_kw), FAR),
        least=-np.minimum(_floats(network.export_limit_kw), FAR),
        roof=float(network.overload_price_cny_per_kwh * step_h),
    )


def _contracts(problem: Problem) -> Contracts:
    block = problem.contracts
    if block is None:
        return Contracts(np.zeros(0, np.int64), np.zeros((0, problem.steps)), np.zeros(0))
    return Contracts(block.node.astype(np.int64), _floats(block.cut_kw), _floats(block.price_cny))


def _holds(problem: Problem) -> Holds:
    block = problem.reserve
    if block is None:
        return Holds(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    return Holds(
        block.first.astype(np.int64),
        block.last.astype(np.int64),
        _floats(block.need_kw),
        block.prices_cny_per_kw,
        block.sustained_steps.astype(np.int64),
    )


def _city(problem: Problem, own: Floats, cars: Cars, stores: Stores, panel_rows: Ints) -> City:
    h, band, regulation = problem.step_h, problem.band, problem.regulation
    none = np.zeros(problem.steps)
    fixed_solar = problem.solar.available_kw[panel_rows < 0].sum(0)
    charging = present_kw(cars.arrive, cars.depart, cars.p_max, problem.steps)
    charging += problem.storing.plugged_charge_kw(problem.steps)
    return City(
        price=_floats(problem.price_cny_per_kwh * h),
        fixed=_floats(problem.fixed_kw + own.sum(0)),
        peak_price=float(problem.peak_price_cny_per_kw),
        upper=none + FAR if band is None else np.minimum(_floats(band.upper_kw), FAR),
        lower=none - FAR if band is None else np.maximum(_floats(band.lower_kw), -FAR),
        band_price=0.0 if band is None else float(band.price_cny_per_kwh * h),
        regulation_price=none if regulation is None else _floats(regulation.price_cny_per_kw_h * h),
        room_up=present_kw(stores.arrive, stores.depart, stores.discharge, problem.steps),
        room_down=charging + fixed_solar,
        block=1 if regulation is None else int(regulation.block_steps),
        unserved_price=float(problem.unserved_price_cny_per_kwh * h),
    )


def previous_of(problem: Problem, fleet: Fleet) -> Previous:
    """Return the powers the plan should stay close to, in the layout of the schedule."""
    none = np.zeros(0, np.float32)
    grid = np.zeros((0, fleet.steps), np.float32)
    if problem.churn is None or problem.churn.price_cny_per_kwh <= 0.0:
        return Previous(0.0, none, none, grid.ravel(), grid.ravel())
    previous = problem.churn.previous_kw
    ends = np.cumsum([len(problem.charging), len(problem.storing), len(problem.solar), len(problem.flexible)])
    able = np.flatnonzero(fleet.rows.panel >= 0)
    panels = np.zeros(len(able), dtype=np.int64)
    panels[fleet.rows.panel[able]] = able
    used = -previous[ends[1] : ends[2]][panels]
    rows = fleet.rows.loads
    net = previous[ends[2] : ends[3]][rows] - problem.flexible.baseline_kw[rows]
    return Previous(
        price=float(problem.churn.price_cny_per_kwh * problem.step_h),
        cars=in_cells(previous[: ends[0]], fleet.rows.cars, fleet.cars.arrive, fleet.cars.depart),
        stores=in_cells(previous[ends[0] : ends[1]], fleet.rows.stores, fleet.stores.arrive, fleet.stores.depart),
        # The kernel that reads these uses fast arithmetic, which has no NaN.
        panels=np.where(np.isnan(used), UNKNOWN, used).astype(np.float32).ravel(),
        loads=np.where(np.isnan(net), UNKNOWN, net).astype(np.float32).ravel(),
    )


def in_cells(
    power_kw: npt.NDArray[np.floating], rows: Ints, arrive: npt.NDArray[np.int32], depart: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Return the steps inside the windows of ``power_kw[rows]``, shape ``(cells,)``."""
    cells = np.empty(int((depart - arrive).sum()), np.float32)
    _gather(power_kw, rows, arrive, depart, cells)
    return cells


@njit()
def _gather(
    power: npt.NDArray[np.floating],
    rows: Ints,
    arrive: npt.NDArray[np.int32],
    depart: npt.NDArray[np.int32],
    cells: npt.NDArray[np.float32],
) -> None:
    place = 0
    for i in range(len(rows)):
        for t in range(arrive[i], depart[i]):
            cells[place] = power[rows[i], t]
            place += 1


def _floats(values: npt.ArrayLike) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)
