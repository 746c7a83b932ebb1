"""Metrics of drills: how long ago each area was verified, and how its last drill went."""

from prometheus_client import CollectorRegistry, Gauge


class DrillMetrics:
    """Gauges by area and direction.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._age = Gauge(
            "vpp_verified_age_seconds",
            "Time since the last drill or call that showed what an area delivers; +Inf where none is known.",
            ("area", "direction"),
            registry=registry,
        )
        self._ratio = Gauge(
            "vpp_drill_delivered_ratio",
            "Power delivered in the last drill of an area as a share of what was committed.",
            ("area", "direction"),
            registry=registry,
        )
        self._per_week = Gauge(
            "vpp_drills_per_week",
            "Drills a week that the service makes of its own (VPP_DRILL_PER_WEEK).",
            registry=registry,
        )

    def set_per_week(self, count: float) -> None:
        """Set how many drills a week the service makes of its own."""
        self._per_week.set(count)

    def observe_age(self, area: str, direction: str, age_s: float) -> None:
        """Show the time since an area was verified, seconds; infinite where it never was."""
        self._age.labels(area, direction).set(age_s)

    def observe_ratio(self, area: str, direction: str, ratio: float) -> None:
        """Show the share of its commitment that an area's last drill delivered."""
        self._ratio.labels(area, direction).set(ratio)
