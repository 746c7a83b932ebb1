"""Requirements on the sum of all devices: a band, regulation, reserve, contracts, and churn against the last plan.

``T`` steps, ``w`` windows, ``c`` contracts, ``n`` devices. Power kW, energy kWh, money CNY, load convention.
"""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import FloatArray, IntArray
from optimizer.problem.validation import ProblemError, at_least, at_most, finite, known, shaped, whole, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Bounds of the total net load; what lies beyond is a priced excess.

    An event asks for "no more than the total without it, less the target"; a rebound cap is a ceiling after it.

    Attributes:
        upper_kw: Greatest total, ``inf`` where there is none, shape ``(T,)``.
        lower_kw: Least total, ``-inf`` where there is none, shape ``(T,)``.
        price_cny_per_kwh: Price of every kWh beyond a bound.
    """

    upper_kw: FloatArray
    lower_kw: FloatArray
    price_cny_per_kwh: float = 5.0

    def check(self, steps: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        for name in ("upper_kw", "lower_kw"):
            known(f"band.{name}", shaped(f"band.{name}", getattr(self, name), (steps,)))
        at_least("band.upper_kw", self.upper_kw, self.lower_kw)
        if (self.upper_kw == -np.inf).any() or (self.lower_kw == np.inf).any():
            raise ProblemError("band", "a bound nobody can keep", "upper_kw above -inf and lower_kw below inf")
        finite("band.price_cny_per_kwh", self.price_cny_per_kwh)
        at_least("band.price_cny_per_kwh", self.price_cny_per_kwh, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regulation:
    """Symmetric regulation capacity ``R_t >= 0`` that is sold.

    ``R_t <= Z_t +`` discharge powers of the plugged stores, and ``R_t <=`` charge powers of the plugged ``- Z_t +``
    solar used, with ``Z`` the net load of charging and storing.

    Attributes:
        price_cny_per_kw_h: Paid per kW held for an hour, at least 0, shape ``(T,)``.
        block_steps: Steps that share one capacity; counted from the first step.
        unit_kw: Bids are whole multiples of it; 0 for any amount.
        least_kw: A bid is at least so much, or nothing.
    """

    price_cny_per_kw_h: FloatArray
    block_steps: int = 1
    unit_kw: float = 0.0
    least_kw: float = 0.0

    def check(self, steps: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        name = "regulation.price_cny_per_kw_h"
        finite(name, shaped(name, self.price_cny_per_kw_h, (steps,)))
        at_least(name, self.price_cny_per_kw_h, 0.0)
        if not isinstance(self.block_steps, int) or self.block_steps < 1:
            raise ProblemError("regulation.block_steps", self.block_steps, "a whole number of steps, at least 1")
        for name in ("unit_kw", "least_kw"):
            finite(f"regulation.{name}", getattr(self, name))
            at_least(f"regulation.{name}", getattr(self, name), 0.0)

    @property
    def indivisible(self) -> bool:
        """Bids come in whole units or from a least amount on, so that they are a matter of yes or no."""
        return self.unit_kw > 0.0 or self.least_kw > 0.0

    def sold_kw(self, room_kw: FloatArray) -> FloatArray:
        """Return the greatest capacity that fits ``room_kw`` in every step of its block, shapes ``(T,)``."""
        steps = len(room_kw)
        starts = np.arange(0, steps, self.block_steps)
        most = np.maximum(np.minimum.reduceat(room_kw, starts), 0.0)
        if self.unit_kw > 0.0:
            # A bid that misses its unit by a rounding is that bid.
            most = np.floor(most / self.unit_kw + 1e-9) * self.unit_kw
        most = np.where(most >= self.least_kw * (1.0 - 1e-9), most, 0.0)
        sold: FloatArray = np.repeat(most, np.diff(np.append(starts, steps)))
        return sold


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Upward reserve that stores hold back, with the energy to deliver it for a whole window.

    A store with ``Storing.reserving`` that is plugged for all of a window holds ``h >= 0``: its power leaves ``h`` of
    room above ``p_min``, and at the window's beginning and at the end of each of its steps its energy leaves ``h``
    times the hours to the window's end, over its efficiency, above its floor. Where a window says for how long its
    reserve has to last, so much is left at its beginning and at the end of each of its steps, the last one included
    unless the store leaves with it.

    Attributes:
        first: First step of each window, increasing, shape ``(w,)``.
        last: First step after it; windows do not overlap, shape ``(w,)``.
        need_kw: What is to be held, shape ``(w,)``.
        price_cny_per_kw: Price of a missing kW, one for all windows or shape ``(w,)``.
        sustain_steps: Steps for which what is held has to last, whenever it is called in the window; 0 for the steps to
            the window's end. Shape ``(w,)``; ``None`` for 0 everywhere.
    """

    first: IntArray
    last: IntArray
    need_kw: FloatArray
    price_cny_per_kw: float | FloatArray = 10.0
    sustain_steps: IntArray | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def prices_cny_per_kw(self) -> FloatArray:
        """Price of a missing kW in each window, shape ``(w,)``."""
        return np.broadcast_to(np.asarray(self.price_cny_per_kw, dtype=np.float64), (len(self),)).copy()

    @property
    def sustained_steps(self) -> IntArray:
        """Steps for which what is held has to last, 0 for those to the window's end, shape ``(w,)``."""
        return np.zeros(len(self), dtype=np.int64) if self.sustain_steps is None else self.sustain_steps

    def check(self, steps: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        shape = (len(self),)
        within("reserve.first", whole("reserve.first", self.first, shape), 0, steps - 1)
        within("reserve.last", whole("reserve.last", self.last, shape), 1, steps)
        at_least("reserve.last", self.last, self.first + 1)
        if (self.first[1:] < self.last[:-1]).any():
            raise ProblemError("reserve.first", self.first.tolist(), "sorted windows that do not overlap")
        finite("reserve.need_kw", shaped("reserve.need_kw", self.need_kw, shape))
        at_least("reserve.need_kw", self.need_kw, 0.0)
        if isinstance(self.price_cny_per_kw, np.ndarray):
            shaped("reserve.price_cny_per_kw", self.price_cny_per_kw, shape)
        finite("reserve.price_cny_per_kw", self.price_cny_per_kw)
        at_least("reserve.price_cny_per_kw", self.price_cny_per_kw, 0.0)
        if self.sustain_steps is not None:
            within("reserve.sustain_steps", whole("reserve.sustain_steps", self.sustain_steps, shape), 0, steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Cuts that are bought as a whole or not at all.

    Attributes:
        node: Transformer each works at, shape ``(c,)``.
        cut_kw: Change of its net load, positive less, negative where load is moved to, shape ``(c, T)``.
        price_cny: Price of the whole, at least 0, shape ``(c,)``.
    """

    node: IntArray
    cut_kw: FloatArray
    price_cny: FloatArray

    def __len__(self) -> int:
        return len(self.node)

    def check(self, steps: int, nodes: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        within("contracts.node", whole("contracts.node", self.node, (len(self),)), 0, nodes - 1)
        finite("contracts.cut_kw", shaped("contracts.cut_kw", self.cut_kw, (len(self), steps)))
        finite("contracts.price_cny", shaped("contracts.price_cny", self.price_cny, (len(self),)))
        at_least("contracts.price_cny", self.price_cny, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """A price on leaving the previous plan.

    It counts where the plan decides: inside the windows of charging and storing, for curtailable solar, for loads that
    can be cut. The difference is that of the net power.

    Attributes:
        previous_kw: Net power of the previous plan in device order, NaN where there is none, shape ``(n, T)``.
        price_cny_per_kwh: Price of the absolute difference.
    """

    previous_kw: FloatArray
    price_cny_per_kwh: float

    def check(self, steps: int, devices: int) -> None:
        """Raise ProblemError for anything that makes no sense."""
        shaped("churn.previous_kw", self.previous_kw, (devices, steps))
        if np.isinf(self.previous_kw).any():
            raise ProblemError("churn.previous_kw", "an infinity", "finite numbers, or NaN where there was no plan")
        finite("churn.price_cny_per_kwh", self.price_cny_per_kwh)
        at_most("churn.price_cny_per_kwh (negated)", -self.price_cny_per_kwh, 0.0)
