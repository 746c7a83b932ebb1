"""The planning problem as arrays: validated when it is built, so that a solver never meets a surprise.

Sizes: ``T`` steps of ``step_h`` hours, ``m`` transformers, ``n`` devices of a block. Power kW, energy kWh, money CNY,
load convention (consumption and charging positive). Device order everywhere: charging, storing, solar, flexible.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from numerics.arrays import FloatArray, IntArray
from optimizer.problem.devices import Charging, Flexible, Solar, Storing
from optimizer.problem.market import Band, Churn, Contracts, Regulation, Reserve
from optimizer.problem.network import Network
from optimizer.problem.validation import ProblemError, at_least, finite, shaped

__all__ = [
    "Band",
    "Charging",
    "Churn",
    "Contracts",
    "Flexible",
    "FloatArray",
    "IntArray",
    "Network",
    "Problem",
    "ProblemError",
    "Regulation",
    "Reserve",
    "Solar",
    "Storing",
]

_LONGEST_STEP_H = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything a plan is made from.

    Attributes:
        price_cny_per_kwh: Energy price of the total, shape ``(T,)``.
        peak_price_cny_per_kw: Price of the greatest total over the horizon.
        unserved_price_cny_per_kwh: Price of energy that a car or battery lacks at its departure.
        fixed_kw: Load of the total that hangs on no transformer, shape ``(T,)``.
        band: Bounds of the total.
        regulation: Capacity that can be sold.
        reserve: Energy-backed reserve that is to be held back.
        contracts: Cuts that can be bought as a whole.
        churn: The previous plan and what leaving it costs.

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
    band: Band | None = None
    regulation: Regulation | None = None
    reserve: Reserve | None = None
    contracts: Contracts | None = None
    churn: Churn | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.step_h <= _LONGEST_STEP_H:
            raise ProblemError("step_h", self.step_h, "hours above 0 and at most 24")
        price = self.price_cny_per_kwh
        if not isinstance(price, np.ndarray) or price.ndim != 1 or not len(price):
            raise ProblemError("price_cny_per_kwh", np.shape(price), "a shape (T,) with T above 0")
        finite("price_cny_per_kwh", price)
        finite("fixed_kw", shaped("fixed_kw", self.fixed_kw, (self.steps,)))
        for name in ("peak_price_cny_per_kw", "unserved_price_cny_per_kwh"):
            finite(name, getattr(self, name))
            at_least(name, getattr(self, name), 0.0)
        self.network.check(self.steps)
        for block in (self.charging, self.storing, self.solar, self.flexible):
            block.check(self.steps, len(self.network))
        self._check_market()

    def _check_market(self) -> None:
        for block in (self.band, self.regulation, self.reserve):
            if block is not None:
                block.check(self.steps)
        if self.contracts is not None:
            self.contracts.check(self.steps, len(self.network))
        if self.churn is not None:
            self.churn.check(self.steps, self.devices)

    @property
    def steps(self) -> int:
        """Number of steps ``T``."""
        return len(self.price_cny_per_kwh)

    @property
    def devices(self) -> int:
        """Number of devices ``n`` of all blocks."""
        return len(self.charging) + len(self.storing) + len(self.solar) + len(self.flexible)

    @property
    def transformer(self) -> IntArray:
        """Node of every device in device order, shape ``(n,)``."""
        blocks = (self.charging, self.storing, self.solar, self.flexible)
        return np.concatenate([block.transformer for block in blocks])

    @property
    def parts(self) -> tuple[slice, slice, slice, slice]:
        """Rows of charging, storing, solar and flexible in device order."""
        ends = np.cumsum([0, len(self.charging), len(self.storing), len(self.solar), len(self.flexible)]).tolist()
        charging, storing, solar, flexible = (slice(a, b) for a, b in pairwise(ends))
        return charging, storing, solar, flexible
