"""Sites, and the areas, operators and transformers they belong to."""

from dataclasses import dataclass

from vpp.domain.limits import UNSTATED, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A part of the city that a dispatcher can name in a request."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A company that owns or runs sites and answers for their drivers.

    Attributes:
        limits: Limits of all its devices, where neither site nor device states its own.
    """

    id: str
    name: str
    limits: Limits = UNSTATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformer:
    """A node of the feeder tree with its cap (CIM PowerTransformer).

    Attributes:
        limit_kw: Greatest net import, above zero.
        export_limit_kw: Greatest net export as a positive number.
        base_load_kw: Load connected at this node itself that is not ours to move; what hangs on registered nodes below
            is stated there and added up (`vpp.fleet.feeders`).
        parent_id: The node that feeds this one; ``None`` at the root.
    """

    id: str
    area_id: str
    limit_kw: float
    export_limit_kw: float
    base_load_kw: float = 0.0
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with one settlement point (CIM UsagePoint).

    Attributes:
        limits: Limits of all devices at this site, where a device does not state its own.
    """

    id: str
    name: str
    area_id: str
    operator_id: str
    transformer_id: str
    limits: Limits = UNSTATED
