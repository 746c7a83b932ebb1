"""Health of the service, and counts of refused and repaired values, as metrics.

Ages are computed at every scrape, in wall seconds: they rise on when the part they watch has stopped.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

IMPORTS: Final = ("history", "promise", "prices", "signal")
"""Imports of values that no device sends."""


class Totals(Collector):
    """A Prometheus counter whose totals are kept elsewhere and set as a whole."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._totals: Mapping[tuple[str, ...], int] = {}

    def set(self, totals: Iterable[tuple[tuple[str, ...], int]]) -> None:
        """Take the totals so far, each with its label values."""
        self._totals = dict(totals)

    def collect(self) -> Iterable[Metric]:
        """Yield the family."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, total in self._totals.items():
            family.add_metric(labels, total)
        yield family


class Ages(Collector):
    """A Prometheus gauge of seconds since an event, computed at every scrape."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._age_s: dict[tuple[str, ...], Callable[[], float]] = {}

    def watch(self, labels: tuple[str, ...], age_s: Callable[[], float]) -> None:
        """Call ``age_s`` at every scrape; NaN before the first event."""
        self._age_s[labels] = age_s

    def collect(self) -> Iterable[Metric]:
        """Yield the family."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, age_s in self._age_s.items():
            family.add_metric(labels, age_s())
        yield family


class Vitals:
    """Metrics of loops, storage, leadership, and of refused and repaired values.

    Args:
        registry: Where the metrics are shown.
        monotonic_s: Wall seconds that never step.
    """

    def __init__(self, registry: CollectorRegistry, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._cycle_s = monotonic_s()
        self._declare_service(registry)
        self._declare_belief(registry)

    def note_cycle(self) -> None:
        """Record that a cycle of the fast loop has ended."""
        self._cycle_s = self._monotonic_s()

    def cycle_age_s(self) -> float:
        """Return wall seconds since the last cycle ended, since the start before the first."""
        return self._monotonic_s() - self._cycle_s

    def watch_poller(self, adapter: str, age_s: Callable[[], float]) -> None:
        """Show the wall seconds since an adapter's poller last turned, at every scrape."""
        self._pollers.watch((adapter,), age_s)

    def set_storage_failing(self, part: str, *, failing: bool) -> None:
        """Set whether a part of storage (journal, samples, meters) cannot be written now."""
        self._storage.labels(part).set(failing)

    def set_spooled(self, waiting: Mapping[str, int], dropped: int) -> None:
        """Set how many entries of each part of storage are in memory only, and how many samples were dropped."""
        for part, count in waiting.items():
            self._spooled.labels(part).set(count)
        self._dropped.set([((), dropped)])

    def set_loops_failing(self, failing: Iterable[str]) -> None:
        """Set the failing loops."""
        for loop in self._loops_seen.union(failing):
            self._loops.labels(loop).set(loop in failing)
            self._loops_seen.add(loop)

    def set_strangers(self, announcements: int) -> None:
        """Set how many announcements of services of other fleets were received so far."""
        self._strangers.set([((), announcements)])

    def set_leader(self, *, leads: bool) -> None:
        """Set whether this process leads."""
        self._leader.set(leads)

    def set_leader_deposed(self, *, deposed: bool) -> None:
        """Set whether a later leader is known."""
        self._deposed.set(deposed)

    def set_record_trusted(self, *, trusted: bool) -> None:
        """Set whether the record was verified, or accepted by an operator."""
        self._trusted.set(trusted)

    def set_heads_failing(self, failures: int, *, failing: bool) -> None:
        """Set whether signed heads cannot be kept or sent now, and how many attempts failed so far."""
        self._heads.set(failing)
        self._head_failures.set([((), failures)])

    def observe_samples(self, refused: Iterable[tuple[str, int]]) -> None:
        """Set how many samples the plausibility gate refused so far, by kind."""
        self._samples.set(((kind,), count) for kind, count in refused)

    def observe_healed(self, healed: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Set how many messages and values were repaired and accepted so far, by adapter and kind."""
        self._healed.set(healed)

    def count_import_rejected(self, kind: str) -> None:
        """Count an import that was refused as a whole; ``kind`` is one of `IMPORTS`."""
        self._imports.labels(kind).inc()

    def observe_troubles(self, rows: Mapping[tuple[str, str], int]) -> None:
        """Set how many devices have each trouble now, by adapter and trouble; others are not shown."""
        self._troubles.clear()
        for labels, count in rows.items():
            self._troubles.labels(*labels).set(count)

    def observe_metered(self, ratio: float) -> None:
        """Set the freshly metered share of the rows that work for requests, NaN while none works."""
        self._metered.set(ratio)

    def _declare_service(self, registry: CollectorRegistry) -> None:
        cycles = Ages("vpp_cycle_age_seconds", "Wall time since the last cycle of the fast loop ended.", ())
        cycles.watch((), self.cycle_age_s)
        self._pollers = Ages(
            "vpp_poller_age_seconds", "Wall time since the poller of an adapter last turned.", ("adapter",)
        )
        registry.register(cycles)
        registry.register(self._pollers)
        self._storage = Gauge(
            "vpp_storage_failing", "1 while a part of storage cannot be written.", ("kind",), registry=registry
        )
        self._spooled = Gauge(
            "vpp_spooled_entries", "Entries that wait in memory to be stored.", ("kind",), registry=registry
        )
        self._dropped = Totals("vpp_samples_dropped_total", "Samples that storage had no time to take.", ())
        registry.register(self._dropped)
        self._loops = Gauge("vpp_loop_failing", "1 while a loop fails and is restarted.", ("loop",), registry=registry)
        self._loops_seen: set[str] = set()
        self._strangers = Totals(
            "vpp_bus_strangers_total", "Announcements of services of other fleets, heard and refused.", ()
        )
        registry.register(self._strangers)
        self._leader = Gauge("vpp_leader", "1 while this process leads, 0 in a standby.", registry=registry)
        self._trusted = Gauge(
            "vpp_record_trusted", "1 while the record is verified: new commitments are taken.", registry=registry
        )
        self._heads = Gauge(
            "vpp_record_heads_failing", "1 while signed heads cannot be kept or sent.", registry=registry
        )
        self._head_failures = Totals(
            "vpp_record_head_failures_total", "Attempts to keep or send signed heads that failed.", ()
        )
        registry.register(self._head_failures)
        self._deposed = Gauge("vpp_leader_deposed", "1 once a later leader has been heard of.", registry=registry)

    def _declare_belief(self, registry: CollectorRegistry) -> None:
        self._samples = Totals("vpp_samples_rejected_total", "Samples the plausibility gate refused.", ("kind",))
        self._healed = Totals(
            "vpp_healed_total", "Messages and values that were repaired and taken.", ("adapter", "kind")
        )
        registry.register(self._samples)
        registry.register(self._healed)
        self._imports = Counter(
            "vpp_imports_rejected_total", "What people handed over and was refused.", ("kind",), registry=registry
        )
        for kind in IMPORTS:
            self._imports.labels(kind)
        self._troubles = Gauge(
            "vpp_device_troubles", "Devices that have a trouble now.", ("adapter", "trouble"), registry=registry
        )
        self._metered = Gauge(
            "vpp_delivered_metered_ratio",
            "Share of the rows that work for requests whose meters are fresh and believed.",
            registry=registry,
        )
        self._metered.set(float("nan"))
