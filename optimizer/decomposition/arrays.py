"""Arrays of the kernels: the fleet as flat columns, devices sorted by node, energy in kW-steps, prices per kW and step.

``m`` nodes, ``T`` steps, ``n`` devices of a kind. ``first[k]:first[k + 1]`` are the devices of node ``k``. A cell is
one step inside a device's plug-in window; the cells of device ``i`` are ``cell[i]:cell[i + 1]``, so schedules hold
nothing for the hours a car is away. One kW-step is the energy of 1 kW over one step.

Tuples rather than dataclasses: numba reads them as they are.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Shorts = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


class Tree(NamedTuple):
    """Nodes with two-sided soft limits; ``path[start[k]:start[k + 1]]`` are the ancestors of ``k``, nearest first.

    Attributes:
        most: Greatest flow, shape ``(m, T)``.
        least: Least flow, shape ``(m, T)``.
        roof: Price of one kW-step beyond either, which no multiplier exceeds.
    """

    start: Ints
    path: Ints
    most: Floats
    least: Floats
    roof: float


class Cars(NamedTuple):
    """Charge-only cars; ``need`` in kW-steps."""

    first: Ints
    cell: Ints
    arrive: Shorts
    depart: Shorts
    p_max: Floats
    need: Floats


class Stores(NamedTuple):
    """Batteries; energies in kW-steps, ``wear`` per kW-step discharged.

    ``limit`` is the greatest charge step by step, shape ``(n, T)``; ``(0, T)`` where it is ``charge`` in all of them.
    """

    first: Ints
    cell: Ints
    arrive: Shorts
    depart: Shorts
    charge: Floats
    discharge: Floats
    low: Floats
    high: Floats
    begin: Floats
    due: Floats
    efficiency: Floats
    wear: Floats
    reserving: Flags
    limit: Floats


class Panels(NamedTuple):
    """Curtailable photovoltaics, one row per node or per device; ``price`` per kW-step curtailed."""

    first: Ints
    available: Floats
    price: float


class Loads(NamedTuple):
    """Loads that can be cut; ``energy`` in kW-steps, ``price`` per kW-step cut."""

    first: Ints
    most: Floats
    energy: Floats
    price: Floats
    rebound: Floats
    rebound_steps: int


class Contracts(NamedTuple):
    """Contracts, all or nothing; ``price`` of the whole."""

    node: Ints
    cut: Floats
    price: Floats


class Previous(NamedTuple):
    """Powers of the last plan, in the layout of the schedule, and the price of a kW-step of difference to them.

    The price is 0 and all arrays are empty where there is no last plan.
    """

    price: float
    cars: Singles
    stores: Singles
    panels: Singles
    loads: Singles


class Holds(NamedTuple):
    """Windows ``[first, last)`` of energy-backed reserve; ``price`` per missing kW.

    Attributes:
        sustain: Steps for which what is held has to last, 0 for those to the window's end.
    """

    first: Ints
    last: Ints
    need: Floats
    price: Floats
    sustain: Ints


class City(NamedTuple):
    """What is bought and sold for the sum of all.

    Attributes:
        price: Energy, per kW-step, shape ``(T,)``.
        fixed: Load of the total that no device moves, shape ``(T,)``.
        peak_price: Per kW of the greatest total.
        upper: Bound of the total, shape ``(T,)``; ``FAR`` where there is none.
        lower: The same below.
        band_price: Per kW-step beyond a bound.
        regulation_price: Per kW and step, shape ``(T,)``; 0 where none is sold.
        room_up: Discharge power of the plugged, shape ``(T,)``.
        room_down: Charge power of the plugged and solar that cannot be curtailed, shape ``(T,)``.
        block: Steps that share one regulation capacity.
        unserved_price: Per kW-step missing at a departure.
    """

    price: Floats
    fixed: Floats
    peak_price: float
    upper: Floats
    lower: Floats
    band_price: float
    regulation_price: Floats
    room_up: Floats
    room_down: Floats
    block: int
    unserved_price: float


class Rows(NamedTuple):
    """Where the problem's rows went: car ``i`` here is row ``cars[i]`` of the problem's block, and so on.

    Attributes:
        panel: Row of ``Panels`` each solar row of the problem is part of, -1 where it cannot be curtailed.
    """

    cars: Ints
    stores: Ints
    loads: Ints
    panel: Ints


class Fleet(NamedTuple):
    """All of it.

    Attributes:
        base: Flow of each node, with its children, that no device moves, shape ``(m, T)``.
    """

    steps: int
    base: Floats
    tree: Tree
    cars: Cars
    stores: Stores
    panels: Panels
    loads: Loads
    contracts: Contracts
    holds: Holds
    city: City
    rows: Rows


class Schedule(NamedTuple):
    """Power of every device, and what its kernel keeps from sweep to sweep.

    Attributes:
        car: Power of each cell.
        level: Last water level of each car.
        car_short: Missing energy of each car, kW-steps.
        store: Net power of each cell.
        worth: Last energy value of each cell.
        store_short: Missing energy of each store.
        used: Solar power used, shape ``(rows, T)``.
        cut: Power cut, shape ``(rows, T)``.
        contract: Share of each contract.
        hold: Reserve held by each store and window, shape ``(n, w)``.
    """

    car: Singles
    level: Floats
    car_short: Floats
    store: Singles
    worth: Singles
    store_short: Floats
    used: Floats
    cut: Floats
    contract: Floats
    hold: Floats

    def copied(self) -> "Schedule":
        """Return a copy that later sweeps do not touch."""
        return Schedule(
            self.car.copy(),
            self.level.copy(),
            self.car_short.copy(),
            self.store.copy(),
            self.worth.copy(),
            self.store_short.copy(),
            self.used.copy(),
            self.cut.copy(),
            self.contract.copy(),
            self.hold.copy(),
        )

    @property
    def nbytes(self) -> int:
        """Memory taken, bytes."""
        return sum(array.nbytes for array in self)

    def restore(self, other: "Schedule") -> None:
        """Become what ``other`` is, in place."""
        for name in self._fields:
            getattr(self, name)[...] = getattr(other, name)


class Flows(NamedTuple):
    """Sums of the schedule, kept up to date device by device.

    Attributes:
        node: Flow of each node with its children, shape ``(m, T)``.
        total: Net load of the city.
        moved: Charging and storing.
        solar: Curtailable solar used.
        reserve: Held in each window.
    """

    node: Floats
    total: Floats
    moved: Floats
    solar: Floats
    reserve: Floats


class Prices(NamedTuple):
    """Multipliers and the market position they go with.

    Attributes:
        up: Of the upper node limits, shape ``(m, T)``.
        down: Of the lower node limits.
        peak: Of the peak, sums to at most the peak price.
        above: Of the band's upper bound.
        below: Of its lower bound.
        regulate_up: Of the room upwards.
        regulate_down: Of the room downwards.
        hold: Of the reserve, shape ``(w,)``.
        regulation: Capacity sold, kW, shape ``(T,)``.
        top: The peak, kW, shape ``(1,)``.
    """

    up: Floats
    down: Floats
    peak: Floats
    above: Floats
    below: Floats
    regulate_up: Floats
    regulate_down: Floats
    hold: Floats
    regulation: Floats
    top: Floats


class Stiffness(NamedTuple):
    """Slopes of the augmented terms: CNY per kW-step and kW.

    Attributes:
        node: Of the node limits, shape ``(m,)``.
        total: Of peak and band.
        band: Of the band.
        moved: Of regulation.
        hold: Of the reserve windows, CNY per kW and kW, shape ``(w,)``.
        car: Proximal slope of a car.
        store: Proximal slope of a store.
        large: Greatest share of a price that a proximal slope may make out over a device's own power.
    """

    node: Floats
    total: float
    band: float
    moved: float
    hold: Floats
    car: float
    store: float
    large: float


PRICE, INERTIA, KINK, BACK, FLOOR, DOWN, UP, POWER, GAIN, VALUE, CASE_ROWS = range(11)
"""Rows of the working array of one device, of shape ``(CASE_ROWS, T + 1)`` over the steps of its window.

``PRICE``: marginal cost at power 0. ``INERTIA``: inverse slope of it. ``KINK``: price of a difference from ``BACK``.
``FLOOR``: least energy at the end of the step. ``DOWN``: greatest discharge, below 0 a least charge. ``UP``: greatest
charge. ``POWER``: the answer. ``GAIN``: scratch. ``VALUE``: value of stored energy, answer and guess. One array rather
than a tuple of many: handing over and slicing arrays costs more than the arithmetic on them.
"""
