"""Metrics of a standby, under the names a leader shows where it has the same."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


class StandbyMetrics:
    """What a standby shows Prometheus.

    Args:
        version: Of the program.
        lag_entries: Returns how many entries of the journal the standby has not taken yet.
        lag_s: Returns the wall seconds for which it has not reached the end of the journal.

    Attributes:
        registry: Where the metrics are shown.
    """

    def __init__(self, version: str, *, lag_entries: Callable[[], float], lag_s: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge("vpp_build_info", "Version of the program.", ("version",), registry=registry)
        build.labels(version).set(1)
        Gauge("vpp_leader", "1 while this process leads, 0 in a standby.", registry=registry).set(0)
        for name, meaning, value in (
            ("vpp_standby_lag_entries", "Entries of the journal that the standby has not taken yet.", lag_entries),
            ("vpp_standby_lag_seconds", "Wall time since the standby last reached the journal's end.", lag_s),
        ):
            Gauge(name, meaning, registry=registry).set_function(value)
