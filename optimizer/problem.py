"""The planning problem as arrays: validated when it is built, so that a solver never meets a surprise.

Sizes: ``T`` steps of ``step_h`` hours, ``m`` transformers, ``n`` devices of a block. Power kW, energy kWh, money CNY,
load convention (consumption and charging positive). Device order everywhere: charging, storing, solar, flexible.
"""

from dataclasses import dataclass

import numpy as np

from optimizer.validation import (
    FloatArray,
    IntArray,
    ProblemError,
    at_least,
    at_most,
    finite,
    shaped,
    tree,
    within,
)

__all__ = [
    "Charging",
    "Cut",
    "Flexible",
    "FloatArray",
    "IntArray",
    "Network",
    "Problem",
    "ProblemError",
    "Solar",
    "Storing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A tree of transformers with two-sided, priced limits.

    Attributes:
        parent: Node that feeds each, -1 at a root, shape ``(m,)``.
        limit_kw: Greatest net import, shape ``(m, T)``.
        export_limit_kw: Greatest net export as a positive number, shape ``(m, T)``.
        base_kw: Load at the node itself that is in no block; children add theirs, shape ``(m, T)``.
        overload_price_cny_per_kwh: Price of every kWh beyond a limit; makes the limits soft, never free.
    """

    parent: IntArray
    limit_kw: FloatArray
    export_limit_kw: FloatArray
    base_kw: FloatArray
    overload_price_cny_per_kwh: float = 50.0

    def check(self, steps: int) -> None:
        """Raise ProblemError for a wrong shape, an unknown number or a parent that makes no tree."""
        m = len(self.parent)
        for name in ("limit_kw", "export_limit_kw", "base_kw"):
            finite(f"network.{name}", shaped(f"network.{name}", getattr(self, name), (m, steps)))
        at_least("network.export_limit_kw", self.export_limit_kw, 0.0)
        at_least("network.overload_price_cny_per_kwh", self.overload_price_cny_per_kwh, 0.0)
        at_most("network.export_limit_kw (negated)", -self.export_limit_kw, self.limit_kw)
        tree("network.parent", self.parent)

    def leaves_first(self) -> IntArray:
        """Return the nodes with every child before its parent, shape ``(m,)``."""
        depth = np.zeros(len(self.parent), dtype=np.int64)
        above = self.parent.copy()
        while (above >= 0).any():
            depth += above >= 0
            above = np.where(above >= 0, self.parent[above], -1)
        return np.argsort(-depth, kind="stable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """Cars that only charge; each array has shape ``(n,)``.

    Attributes:
        transformer: Node it hangs on.
        arrive: First step it can charge.
        depart: First step it can no longer charge.
        p_max_kw: Greatest power.
        need_kwh: Energy to be given inside the window; what does not fit is unserved and priced.
    """

    transformer: IntArray
    arrive: IntArray
    depart: IntArray
    p_max_kw: FloatArray
    need_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        _window(
            "charging", transformer=self.transformer, arrive=self.arrive, depart=self.depart, steps=steps, nodes=nodes
        )
        for name in ("p_max_kw", "need_kwh"):
            finite(f"charging.{name}", shaped(f"charging.{name}", getattr(self, name), (len(self),)))
            at_least(f"charging.{name}", getattr(self, name), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """Batteries, on wheels (V2G) or not; each array has shape ``(n,)``.

    Attributes:
        p_min_kw: Greatest discharge as a number at or below 0.
        p_max_kw: Greatest charge.
        soc_start: State of charge at ``arrive``; outside its bounds it widens them.
        soc_min: Least state of charge.
        soc_max: Greatest state of charge.
        soc_end: State of charge due at ``depart``; what is missing is unserved and priced.
        efficiency: One way, in (0, 1].
        wear_price_cny_per_kwh: Degradation per kWh discharged.
    """

    transformer: IntArray
    arrive: IntArray
    depart: IntArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray
    capacity_kwh: FloatArray
    soc_start: FloatArray
    soc_min: FloatArray
    soc_max: FloatArray
    soc_end: FloatArray
    efficiency: FloatArray
    wear_price_cny_per_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        _window(
            "storing", transformer=self.transformer, arrive=self.arrive, depart=self.depart, steps=steps, nodes=nodes
        )
        for name in ("p_min_kw", "p_max_kw", "capacity_kwh", "efficiency", "wear_price_cny_per_kwh"):
            finite(f"storing.{name}", shaped(f"storing.{name}", getattr(self, name), (len(self),)))
        for name in ("soc_start", "soc_min", "soc_max", "soc_end"):
            within(f"storing.{name}", shaped(f"storing.{name}", getattr(self, name), (len(self),)), 0.0, 1.0)
        at_most("storing.p_min_kw", self.p_min_kw, 0.0)
        for name in ("p_max_kw", "capacity_kwh", "wear_price_cny_per_kwh"):
            at_least(f"storing.{name}", getattr(self, name), 0.0)
        at_most("storing.soc_min", self.soc_min, self.soc_max)
        within("storing.efficiency", self.efficiency, 1e-3, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solar:
    """Photovoltaics.

    Attributes:
        transformer: Node it hangs on, shape ``(n,)``.
        available_kw: What the sun gives as a positive number, shape ``(n, T)``.
        curtailable: It can be told to give less, shape ``(n,)``.
        price_cny_per_kwh: Price of a curtailed kWh, so that curtailing stays the last resort.
    """

    transformer: IntArray
    available_kw: FloatArray
    curtailable: IntArray
    price_cny_per_kwh: float = 0.05

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        within("solar.transformer", self.transformer, 0, nodes - 1)
        finite("solar.available_kw", shaped("solar.available_kw", self.available_kw, (len(self), steps)))
        at_least("solar.available_kw", self.available_kw, 0.0)
        shaped("solar.curtailable", self.curtailable, (len(self),))
        at_least("solar.price_cny_per_kwh", self.price_cny_per_kwh, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexible:
    """Loads that can be cut for a while: air conditioning, industry.

    Attributes:
        transformer: Node it hangs on, shape ``(n,)``.
        baseline_kw: What it takes when left alone, shape ``(n, T)``.
        max_cut_kw: How far it can be cut, shape ``(n, T)``.
        max_cut_kwh: Energy that can be cut over the whole horizon, shape ``(n,)``.
        price_cny_per_kwh: Price of a cut kWh, shape ``(n,)``.
    """

    transformer: IntArray
    baseline_kw: FloatArray
    max_cut_kw: FloatArray
    max_cut_kwh: FloatArray
    price_cny_per_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        within("flexible.transformer", self.transformer, 0, nodes - 1)
        for name in ("baseline_kw", "max_cut_kw"):
            finite(f"flexible.{name}", shaped(f"flexible.{name}", getattr(self, name), (len(self), steps)))
        for name in ("max_cut_kwh", "price_cny_per_kwh"):
            finite(f"flexible.{name}", shaped(f"flexible.{name}", getattr(self, name), (len(self),)))
        for name in ("max_cut_kw", "max_cut_kwh"):
            at_least(f"flexible.{name}", getattr(self, name), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A change of the total that somebody asked for; what is missing is a priced shortfall.

    ``G <= reference - cut`` where ``cut > 0``, ``G >= reference - cut`` where ``cut < 0``.

    Attributes:
        reference_kw: Total that the change is counted from, shape ``(T,)``.
        cut_kw: Wanted cut of the total, negative for a raise, 0 for none, shape ``(T,)``.
        shortfall_price_cny_per_kwh: Price of a missing kWh.
    """

    reference_kw: FloatArray
    cut_kw: FloatArray
    shortfall_price_cny_per_kwh: float = 5.0

    def check(self, steps: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        for name in ("reference_kw", "cut_kw"):
            finite(f"cut.{name}", shaped(f"cut.{name}", getattr(self, name), (steps,)))
        at_least("cut.shortfall_price_cny_per_kwh", self.shortfall_price_cny_per_kwh, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything a plan is made from.

    Attributes:
        price_cny_per_kwh: Energy price of the total, shape ``(T,)``.
        peak_price_cny_per_kw: Price of the greatest total over the horizon.
        unserved_price_cny_per_kwh: Price of energy that a car or battery lacks at its departure.
        fixed_kw: Load of the total that hangs on no transformer, shape ``(T,)``.

    Raises:
        ProblemError: Names the field, what it held and what it should hold.
    """

    step_h: float
    price_cny_per_kwh: FloatArray
    peak_price_cny_per_kw: float
    unserved_price_cny_per_kwh: float
    fixed_kw: FloatArray
    network: Network
    charging: Charging
    storing: Storing
    solar: Solar
    flexible: Flexible
    cut: Cut | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.step_h <= 24.0:  # noqa: PLR2004 - a day
            raise ProblemError("step_h", self.step_h, "hours above 0 and at most 24")
        if self.price_cny_per_kwh.ndim != 1 or not self.steps:
            raise ProblemError("price_cny_per_kwh", self.price_cny_per_kwh.shape, "a shape (T,) with T above 0")
        finite("price_cny_per_kwh", self.price_cny_per_kwh)
        finite("fixed_kw", shaped("fixed_kw", self.fixed_kw, (self.steps,)))
        at_least("peak_price_cny_per_kw", self.peak_price_cny_per_kw, 0.0)
        at_least("unserved_price_cny_per_kwh", self.unserved_price_cny_per_kwh, 0.0)
        self.network.check(self.steps)
        for block in (self.charging, self.storing, self.solar, self.flexible):
            block.check(self.steps, len(self.network.parent))
        if self.cut is not None:
            self.cut.check(self.steps)

    @property
    def steps(self) -> int:
        """Number of steps ``T``."""
        return len(self.price_cny_per_kwh)

    @property
    def transformer(self) -> IntArray:
        """Node of every device in device order, shape ``(n,)``."""
        blocks = (self.charging, self.storing, self.solar, self.flexible)
        return np.concatenate([block.transformer for block in blocks])


def _window(block: str, *, transformer: IntArray, arrive: IntArray, depart: IntArray, steps: int, nodes: int) -> None:
    count = len(transformer)
    within(f"{block}.transformer", shaped(f"{block}.transformer", transformer, (count,)), 0, nodes - 1)
    within(f"{block}.arrive", shaped(f"{block}.arrive", arrive, (count,)), 0, steps - 1)
    within(f"{block}.depart", shaped(f"{block}.depart", depart, (count,)), 1, steps)
    at_least(f"{block}.depart", depart, arrive + 1)
