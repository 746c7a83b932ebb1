"""Planning policy: bounds on batteries, penalty prices, reserve windows and regulation of every plan."""

from dataclasses import dataclass, field

from vpp.domain.telemetry import FloatArray
from vpp.planning.schedule.reserve_energy import ReserveRefill, ReserveWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTerms:
    """Bounds on the charge of batteries, and the price of their wear.

    Attributes:
        v2g_floor_soc: Least state of charge of a car.
        soc_min: Least state of charge of stationary storage.
        soc_max: Greatest.
        soc_end: Due at the end of the horizon, so that a plan does not live on what it leaves empty; one number or one
            a row of the block.
        wear_cny_per_kwh: Wear of stationary storage by discharged energy.
        v2g_wear_cny_per_kwh: The same of a car.
    """

    v2g_floor_soc: float = 0.3
    soc_min: float = 0.1
    soc_max: float = 0.95
    soc_end: float | FloatArray = 0.5
    wear_cny_per_kwh: float = 0.1
    v2g_wear_cny_per_kwh: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class PenaltyPrices:
    """Prices of what a plan should avoid.

    Attributes:
        cut_cny_per_kwh: Of a cut of buildings and plants.
        unserved_cny_per_kwh: Of energy a car lacks at its departure.
        overload_cny_per_kwh: Of power beyond a transformer's limit.
    """

    cut_cny_per_kwh: float = 2.0
    unserved_cny_per_kwh: float = 10.0
    overload_cny_per_kwh: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservePolicy:
    """Reserve of upward power.

    Attributes:
        windows: Hours in which it must be available; stores keep what all others would not give.
        price_cny_per_kw: Price of a kW that is missing in such a window.
        refill: Refill of stores between two windows; without it each window is backed as if no other were called.
    """

    windows: tuple[ReserveWindow, ...] = ()
    price_cny_per_kw: float = 20.0
    refill: ReserveRefill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningPolicy:
    """Settings of the plan.

    Attributes:
        move_everything: Let the plan move cars, buildings and plants everywhere; otherwise only behind transformers
            that would be overloaded, and all others follow the driver or the site.
        stores: Bounds on batteries.
        penalties: Prices of what a plan should avoid.
        reserve: Reserve of upward power.
        regulation_kw: Power that stationary storage keeps free in both directions, to be sold as regulation.
    """

    move_everything: bool = False
    stores: StoreTerms = field(default_factory=StoreTerms)
    penalties: PenaltyPrices = field(default_factory=PenaltyPrices)
    reserve: ReservePolicy = field(default_factory=ReservePolicy)
    regulation_kw: float = 0.0
