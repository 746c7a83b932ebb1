"""Policy of a central system for the charging profiles it writes."""

from dataclasses import dataclass, field

from adapters.ocpp.profiles.power_units import Supply


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePolicy:
    """Which profiles stations are given.

    Attributes:
        supply: The grid at the stations, for amperes and watts.
        control_test: Stations of an unknown make are put to the control test.
        dynamic: Dispatch values of OCPP 2.1 stations are dynamic profiles, updated in place.
        max_offline_s: How long a 2.1 station may keep a dispatch value without a connection; ``None`` for its lease.
        least_interval_s: Least time between a profile of a connector and one that raises its ceiling, 0 for none.
    """

    supply: Supply = field(default_factory=Supply)
    control_test: bool = True
    dynamic: bool = False
    max_offline_s: int | None = None
    least_interval_s: float = 0.0
