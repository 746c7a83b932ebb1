"""Planning policy: penalty prices, reserve windows and regulation of every plan."""

from dataclasses import dataclass, field

from vpp.planning.schedule.reserve_energy import ReserveRefill, ReserveWindow


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
        soc_end: State of charge due of stationary storage at the end of the horizon, so that a plan does not live on
            what it leaves empty.
        penalties: Prices of what a plan should avoid.
        reserve: Reserve of upward power.
        regulation_kw: Power that stationary storage keeps free in both directions, to be sold as regulation.
    """

    move_everything: bool = False
    soc_end: float = 0.5
    penalties: PenaltyPrices = field(default_factory=PenaltyPrices)
    reserve: ReservePolicy = field(default_factory=ReservePolicy)
    regulation_kw: float = 0.0
