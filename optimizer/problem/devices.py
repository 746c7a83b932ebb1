"""The devices a plan decides: cars, batteries, photovoltaics, loads that can be cut.

``T`` steps, ``n`` devices of a block. Power kW, energy kWh, money CNY, consumption and charging positive.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from numerics.arrays import BoolArray, FloatArray, IntArray
from optimizer.problem.validation import ProblemError, at_least, at_most, finite, shaped, whole, within

Steps = npt.NDArray[np.integer]
"""Numbers of steps, of any width."""
MOST_REBOUND_RATIO = 2.0
"""More than twice what was cut does not come back from a building or a plant; beyond it a unit is mistaken."""


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

    @classmethod
    def none(cls) -> Self:
        """Return a block of no cars."""
        none, empty = np.zeros(0, dtype=np.int64), np.zeros(0)
        return cls(transformer=none, arrive=none, depart=none, p_max_kw=empty, need_kwh=empty)

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        _window("charging", self, steps=steps, nodes=nodes)
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
        reserving: It may hold back reserve (``Reserve``); left out, none does.
        charge_limit_kw: Greatest charge step by step, at most ``p_max_kw``, shape ``(n, T)``; left out, it is
            ``p_max_kw`` in all of them.
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
    reserving: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    charge_limit_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def none(cls) -> Self:
        """Return a block of no batteries."""
        none, empty = np.zeros(0, dtype=np.int64), np.zeros(0)
        return cls(
            transformer=none,
            arrive=none,
            depart=none,
            p_min_kw=empty,
            p_max_kw=empty,
            capacity_kwh=empty,
            soc_start=empty,
            soc_min=empty,
            soc_max=empty,
            soc_end=empty,
            efficiency=empty,
            wear_price_cny_per_kwh=empty,
        )

    def __post_init__(self) -> None:
        if not len(self.reserving):
            object.__setattr__(self, "reserving", np.zeros(len(self), dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        _window("storing", self, steps=steps, nodes=nodes)
        for name in ("p_min_kw", "p_max_kw", "capacity_kwh", "efficiency", "wear_price_cny_per_kwh"):
            finite(f"storing.{name}", shaped(f"storing.{name}", getattr(self, name), (len(self),)))
        for name in ("soc_start", "soc_min", "soc_max", "soc_end"):
            within(f"storing.{name}", shaped(f"storing.{name}", getattr(self, name), (len(self),)), 0.0, 1.0)
        at_most("storing.p_min_kw", self.p_min_kw, 0.0)
        for name in ("p_max_kw", "capacity_kwh", "wear_price_cny_per_kwh"):
            at_least(f"storing.{name}", getattr(self, name), 0.0)
        at_most("storing.soc_min", self.soc_min, self.soc_max)
        within("storing.efficiency", self.efficiency, 1e-3, 1.0)
        if shaped("storing.reserving", self.reserving, (len(self),)).dtype != np.bool_:
            raise ProblemError("storing.reserving", f"an array of {self.reserving.dtype}", "an array of truth values")
        if self.limited:
            limit = shaped("storing.charge_limit_kw", self.charge_limit_kw, (len(self), steps))
            at_least("storing.charge_limit_kw", limit, 0.0)
            at_most("storing.charge_limit_kw", limit, self.p_max_kw[:, None])

    @property
    def limited(self) -> bool:
        """Whether the charge has limits of its own step by step."""
        return self.charge_limit_kw.size > 0

    def most_charge_kw(self, steps: int) -> FloatArray:
        """Return the greatest charge in every step, the window aside, shape ``(n, steps)``; may not be written to."""
        return self.charge_limit_kw if self.limited else np.broadcast_to(self.p_max_kw[:, None], (len(self), steps))

    def plugged_charge_kw(self, steps: int) -> FloatArray:
        """Return the greatest charge of all that are plugged, shape ``(steps,)``."""
        if not self.limited:
            return present_kw(self.arrive, self.depart, self.p_max_kw, steps)
        return np.asarray(np.where(inside(self.arrive, self.depart, steps), self.charge_limit_kw, 0.0).sum(axis=0))

    def energy_bounds_kwh(self) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest stored energy; a start outside the bounds widens them, shape ``(n,)`` each."""
        low = np.minimum(self.soc_min, self.soc_start) * self.capacity_kwh
        high = np.maximum(self.soc_max, self.soc_start) * self.capacity_kwh
        return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Solar:
    """Photovoltaics.

    Attributes:
        transformer: Node it hangs on, shape ``(n,)``.
        available_kw: What the sun gives as a positive number, shape ``(n, T)``.
        curtailable: Whether it can be curtailed, shape ``(n,)``.
        price_cny_per_kwh: Price of a curtailed kWh, so that curtailing stays the last resort.
    """

    transformer: IntArray
    available_kw: FloatArray
    curtailable: IntArray
    price_cny_per_kwh: float = 0.05

    @classmethod
    def none(cls, steps: int) -> Self:
        """Return a block of no photovoltaics over ``steps`` steps."""
        none = np.zeros(0, dtype=np.int64)
        return cls(transformer=none, available_kw=np.zeros((0, steps)), curtailable=none)

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        within("solar.transformer", whole("solar.transformer", self.transformer, (len(self),)), 0, nodes - 1)
        finite("solar.available_kw", shaped("solar.available_kw", self.available_kw, (len(self), steps)))
        at_least("solar.available_kw", self.available_kw, 0.0)
        shaped("solar.curtailable", self.curtailable, (len(self),))
        finite("solar.price_cny_per_kwh", self.price_cny_per_kwh)
        at_least("solar.price_cny_per_kwh", self.price_cny_per_kwh, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexible:
    """Loads that can be cut for a while and may come back for more: air conditioning, industry.

    Net load is ``baseline - cut + rebound``. Each kWh cut at ``t`` comes back as ``rebound_ratio / rebound_steps`` in
    each of the next ``rebound_steps`` steps; what falls beyond the horizon is not counted.

    Attributes:
        transformer: Node it hangs on, shape ``(n,)``.
        baseline_kw: What it takes when left alone, shape ``(n, T)``.
        max_cut_kw: How far it can be cut, shape ``(n, T)``.
        max_cut_kwh: Energy that can be cut over the whole horizon, shape ``(n,)``.
        price_cny_per_kwh: Price of a cut kWh, shape ``(n,)``.
        rebound_ratio: Share of what was cut that comes back, at most 2, shape ``(n,)``; left out, nothing does.
        rebound_steps: Over how many steps.
    """

    transformer: IntArray
    baseline_kw: FloatArray
    max_cut_kw: FloatArray
    max_cut_kwh: FloatArray
    price_cny_per_kwh: FloatArray
    rebound_ratio: FloatArray = field(default_factory=lambda: np.zeros(0))
    rebound_steps: int = 1

    @classmethod
    def none(cls, steps: int) -> Self:
        """Return a block of no loads over ``steps`` steps."""
        none, empty, grid = np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, steps))
        return cls(transformer=none, baseline_kw=grid, max_cut_kw=grid, max_cut_kwh=empty, price_cny_per_kwh=empty)

    def __post_init__(self) -> None:
        if not len(self.rebound_ratio):
            object.__setattr__(self, "rebound_ratio", np.zeros(len(self)))

    def __len__(self) -> int:
        return len(self.transformer)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        within("flexible.transformer", whole("flexible.transformer", self.transformer, (len(self),)), 0, nodes - 1)
        for name in ("baseline_kw", "max_cut_kw"):
            finite(f"flexible.{name}", shaped(f"flexible.{name}", getattr(self, name), (len(self), steps)))
        for name in ("max_cut_kwh", "price_cny_per_kwh", "rebound_ratio"):
            finite(f"flexible.{name}", shaped(f"flexible.{name}", getattr(self, name), (len(self),)))
        for name in ("max_cut_kw", "max_cut_kwh"):
            at_least(f"flexible.{name}", getattr(self, name), 0.0)
        within("flexible.rebound_ratio", self.rebound_ratio, 0.0, MOST_REBOUND_RATIO)
        if not isinstance(self.rebound_steps, int) or self.rebound_steps < 1:
            raise ProblemError("flexible.rebound_steps", self.rebound_steps, "a whole number of steps, at least 1")


def inside(arrive: Steps, depart: Steps, steps: int) -> BoolArray:
    """Return which steps lie inside each window, shape ``(n, steps)``."""
    step = np.arange(steps)
    return np.asarray((step >= arrive[:, None]) & (step < depart[:, None]))


def present_kw(arrive: Steps, depart: Steps, power_kw: FloatArray, steps: int) -> FloatArray:
    """Return the sum of the powers of all that are inside their windows, shape ``(steps,)``."""
    change = np.bincount(arrive, power_kw, steps + 1) - np.bincount(depart, power_kw, steps + 1)
    return np.cumsum(change, dtype=np.float64)[:steps]  # of no devices numpy counts in whole numbers


def _window(block: str, devices: Charging | Storing, *, steps: int, nodes: int) -> None:
    shape = (len(devices),)
    within(f"{block}.transformer", whole(f"{block}.transformer", devices.transformer, shape), 0, nodes - 1)
    within(f"{block}.arrive", whole(f"{block}.arrive", devices.arrive, shape), 0, steps - 1)
    within(f"{block}.depart", whole(f"{block}.depart", devices.depart, shape), 1, steps)
    at_least(f"{block}.depart", devices.depart, devices.arrive + 1)
