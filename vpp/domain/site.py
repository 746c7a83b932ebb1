"""Sites, and the areas, operators and transformers they belong to."""

from dataclasses import dataclass

from vpp.domain.limits import UNSTATED, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of the fleet; its id means it for ever, whether it is in service or retired.

    Attributes:
        id: Never given to another member of its kind.
        valid_from_s: Epoch seconds since which it belongs to the fleet, ``-inf`` where that was not recorded.
        valid_to_s: Epoch seconds at which it was retired, infinite while it is in service.
        version: Rises by one with every change.
    """

    id: str
    valid_from_s: float = float("-inf")
    valid_to_s: float = float("inf")
    version: int = 1

    @property
    def retired(self) -> bool:
        """Whether it has left the fleet."""
        return self.valid_to_s < float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Area(Member):
    """A part of the city that a dispatcher can name in a request."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator(Member):
    """A company that owns or runs sites and answers for their drivers.

    Attributes:
        limits: Limits of all its devices, where neither site nor device states its own.
    """

    name: str
    limits: Limits = UNSTATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformer(Member):
    """A node of the feeder tree with its cap (CIM PowerTransformer).

    Attributes:
        limit_kw: Greatest net import, above zero.
        export_limit_kw: Greatest net export as a positive number.
        base_load_kw: Load connected at this node itself that is not ours to move; what hangs on registered nodes below
            is stated there and added up (`vpp.fleet.feeders`).
        parent_id: The node that feeds this one; ``None`` at the root.
    """

    area_id: str
    limit_kw: float
    export_limit_kw: float
    base_load_kw: float = 0.0
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Member):
    """A place with one settlement point (CIM UsagePoint).

    Attributes:
        limits: Limits of all devices at this site, where a device does not state its own.
    """

    name: str
    area_id: str
    operator_id: str
    transformer_id: str
    limits: Limits = UNSTATED
