"""Prometheus metrics with bounded labels, and structured logs.

Values of devices are counted as arrays: a cycle over a city fills a histogram with one ``numpy`` call, and no metric
has a device's name in a label.
"""

import logging
import platform
import sys
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

import numpy as np
import numpy.typing as npt
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.typing import Processor

from vpp.domain.errors import ConfigurationError
from vpp.domain.flexibility import Capability
from vpp.domain.request import DispatchRequest, RequestState
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, FleetIndex
from vpp.runtime.vitals import Totals, Vitals

AGE_BUCKETS_S = (5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0)
ACK_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SOLVER_BUCKETS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
TICK_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
CYCLE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LOAD_BANDS = (("below_50", 0.5), ("50_80", 0.8), ("80_90", 0.9), ("90_100", 1.0), ("above_100", np.inf))
"""Name and upper end of each band of transformer load ratio."""


class ArrayHistogram(Collector):
    """A Prometheus histogram of whole arrays; a value on a bucket's upper end belongs to it."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.array([*buckets, np.inf])
        self._counts = np.zeros(len(self._bounds), dtype=np.int64)
        self._sum = 0.0

    def observe(self, values: FloatArray) -> None:
        """Count every finite value, any shape."""
        # A few comparisons of everything take less time than a search for every value.
        known = values[np.isfinite(values)]
        below = [np.count_nonzero(known <= bound) for bound in self._bounds]
        self._counts += np.diff(below, prepend=0)
        self._sum += float(known.sum())

    def collect(self) -> Iterable[Metric]:
        """Yield the family as Prometheus wants it: cumulative counts."""
        labels = [*(f"{bound}" for bound in self._bounds[:-1]), "+Inf"]
        cumulative = self._counts.cumsum().tolist()
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(labels, cumulative, strict=True)), self._sum)
        yield family


class Metrics(Vitals):
    """Every metric of the service, in a registry of its own.

    Args:
        version: Of the program, for ``vpp_build_info``.
    """

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        super().__init__(self.registry)
        self._declare_fleet()
        self._declare_request()
        self._declare_commands()
        self._declare_loops()
        Info("vpp_build", "What runs here.", registry=self.registry).info(
            {"version": version, "python": platform.python_version()}
        )
        PlatformCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)

    def observe_fleet(self, state: FleetState) -> None:
        """Show a snapshot: connections, ages of measurements, loads of transformers."""
        registered, connected = state.index.by_adapter, state.connected_by_adapter()
        for code, adapter in enumerate(ADAPTERS):
            self._registered.labels(adapter.value).set(int(registered[code]))
            self._connected.labels(adapter.value).set(int(connected[code]))
        self._age.observe(np.maximum(state.at_s - state.power_at_s, 0.0))
        self._net_load.set(float(np.nansum(state.power_kw)))
        self.observe_transformers(transformer_load_ratio(state.index, state.power_kw))

    def observe_transformers(self, load_ratio: FloatArray) -> None:
        """Show the load of every transformer as a share of its limit, shape ``(n_transformers,)``."""
        bands = np.searchsorted(np.array([end for _, end in LOAD_BANDS]), load_ratio[~np.isnan(load_ratio)])
        counts = np.bincount(bands, minlength=len(LOAD_BANDS))
        for (name, _), count in zip(LOAD_BANDS, counts.tolist(), strict=True):
            self._load_bands.labels(name).set(count)

    def observe_capability(self, capability: Capability, at_s: float) -> None:
        """Show the four capacities of one area and direction in the step that holds ``at_s``."""
        step = capability.grid.index_at(at_s)
        if not 0 <= step < capability.grid.count:
            return
        for kind in ("connected", "declared", "verified", "available"):
            value = float(getattr(capability, f"{kind}_kw")[step])
            self._capacity.labels(kind, capability.direction, capability.area_id).set(value)

    def observe_requests(self, requests: Iterable[DispatchRequest]) -> None:
        """Count all requests by state."""
        tally = Tally(request.state for request in requests)
        for state in RequestState:
            self._requests.labels(state.value).set(tally[state])
        self._requests_kept.set(tally.total())

    def observe_tracking(self, target_kw: float, delivered_kw: float) -> None:
        """Show target and delivered power now, kW, over all running requests; both 0 while none runs."""
        self._target.set(target_kw)
        self._delivered.set(delivered_kw)
        self._tracking_error.set(abs(delivered_kw - target_kw) / target_kw if target_kw > 0.0 else float("nan"))

    def observe_outcomes(
        self, batch: OutcomeBatch, adapters: Sequence[str] | npt.NDArray[np.str_], sent_at_s: FloatArray
    ) -> None:
        """Count outcomes of commands.

        Args:
            batch: The outcomes.
            adapters: Adapter of each, ``n`` names.
            sent_at_s: When each was sent, NaN where unknown, shape ``(n,)``.
        """
        if not len(batch):
            return
        names, position = np.unique(np.asarray(adapters), return_inverse=True)
        shape = (len(names), len(OutcomeStatus), len(Reason))
        codes = np.ravel_multi_index((position, batch.status, batch.reasons), shape)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            adapter, status, reason = np.unravel_index(code, shape)
            labels = (str(names[adapter]), OutcomeStatus(status).name.lower(), Reason(reason).name.lower())
            self._commands.labels(*labels).inc(int(count))
        self._ack.observe(batch.at_s - sent_at_s)

    def observe_ledger(self, ended: Mapping[tuple[str, str, str], int]) -> None:
        """Set how many commands ended so far, by adapter, outcome and reason."""
        self._ended.set(ended.items())

    def observe_rejected(self, rejected: Mapping[tuple[str, str], int]) -> None:
        """Set how many frames were dropped so far, by adapter and reason."""
        self._rejected.set(rejected.items())

    def observe_plan(self, schedule: Schedule) -> None:
        """Show a plan that was put in force."""
        self._rung.set(int(schedule.rung))
        self._gap.set(schedule.gap_ratio)
        if np.isfinite(schedule.solve_s):
            self._solver.observe(schedule.solve_s)

    def observe_cycle(self, wall_s: float) -> None:
        """Record the wall seconds of one cycle of the fast loop."""
        self._cycle.observe(wall_s)
        self.note_cycle()

    def observe_tick(self, wall_s: float) -> None:
        """Record the wall seconds of one tick between two cycles."""
        self._tick.observe(wall_s)

    def count_cap_violations(self, count: int = 1) -> None:
        """Count transformers newly above their limit."""
        self._cap_violations.inc(count)

    def count_promises_broken(self, count: int = 1) -> None:
        """Count cars that left with less than their promise because of the service."""
        self._promises_broken.inc(count)

    def set_limits_not_restored(self, count: int) -> None:
        """Set the number of devices still under a limit of a request that is over."""
        self._limits_not_restored.set(count)

    def observe_clock(self, ahead_s: float) -> None:
        """Set by how many seconds the machine's clock was set while the service ran, 0.0 once the two agree."""
        self._clock_ahead.set(ahead_s)
        if ahead_s:
            self._clock_steps.inc()

    def set_days_unannounced(self, count: int) -> None:
        """Set how many of the days ahead lie in a year without announced holidays."""
        self._unannounced.set(count)

    def set_requests_unsettled(self, count: int) -> None:
        """Set the number of requests that are over and could not be settled."""
        self._unsettled.set(count)

    def observe_quotes_kept(self, notice: str, block: str, ratio: float) -> None:
        """Show the share of quotes whose p10 was kept, NaN while too few are known."""
        self._quotes_kept.labels(notice, block).set(ratio)

    def set_leader_epoch(self, epoch: int) -> None:
        """Set the epoch this process leads in."""
        self._epoch.set(epoch)

    def _declare_fleet(self) -> None:
        registry = self.registry
        self._capacity = Gauge(
            "vpp_capacity_kw",
            "Capacity by kind (connected, declared, verified, available).",
            ("kind", "direction", "area"),
            registry=registry,
        )
        self._registered = Gauge("vpp_devices_registered", "Devices in the registry.", ("adapter",), registry=registry)
        self._connected = Gauge("vpp_devices_connected", "Devices whose link is up.", ("adapter",), registry=registry)
        self._net_load = Gauge("vpp_net_load_kw", "Net load of all metered devices.", registry=registry)
        self._load_bands = Gauge(
            "vpp_transformer_load_ratio",
            "Transformers by band of load as a share of their limit, in per cent.",
            ("band",),
            registry=registry,
        )
        self._age = ArrayHistogram(
            "vpp_telemetry_age_seconds", "Age of each device's last power measurement, every cycle.", AGE_BUCKETS_S
        )
        registry.register(self._age)

    def _declare_request(self) -> None:
        registry = self.registry
        self._target = Gauge("vpp_target_kw", "What running requests ask for now.", registry=registry)
        self._delivered = Gauge("vpp_delivered_kw", "What they get now, by the meters.", registry=registry)
        self._tracking_error = Gauge(
            "vpp_tracking_error_ratio", "Deviation from the target as a share of it.", registry=registry
        )
        self._requests = Gauge("vpp_requests", "Requests by state.", ("state",), registry=registry)
        self._requests_kept = Gauge(
            "vpp_requests_kept", "Requests in memory, in whatever state; VPP_REQUEST_DAYS bounds it.", registry=registry
        )
        self._unannounced = Gauge(
            "vpp_calendar_unannounced_days",
            "Days of the next thirty in a year whose holidays are not announced.",
            registry=registry,
        )
        self._unsettled = Gauge(
            "vpp_requests_unsettled", "Requests that are over and could not be settled.", registry=registry
        )
        self._quotes_kept = Gauge(
            "vpp_quote_kept_ratio",
            "Share of quoted windows whose p10 was deliverable by the meters, by notice and hours of the day.",
            ("notice", "block"),
            registry=registry,
        )
        self._cap_violations = Counter(
            "vpp_cap_violations_total", "Transformers that went above their limit.", registry=registry
        )
        self._promises_broken = Counter(
            "vpp_promises_broken_total", "Cars that stayed as agreed and got less than was promised.", registry=registry
        )
        self._limits_not_restored = Gauge(
            "vpp_limits_not_restored", "Devices still limited by a request that is over.", registry=registry
        )

    def _declare_commands(self) -> None:
        self._commands = Counter(
            "vpp_commands_total", "Outcomes of setpoints.", ("adapter", "state", "reason"), registry=self.registry
        )
        self._ended = Totals("vpp_commands_ended_total", "Setpoints by how they ended.", ("adapter", "state", "reason"))
        self._rejected = Totals(
            "vpp_frames_rejected_total", "Frames or rows dropped by an adapter.", ("adapter", "reason")
        )
        self._ack = ArrayHistogram(
            "vpp_command_ack_seconds", "Time from sending a setpoint to its outcome, on the clock.", ACK_BUCKETS_S
        )
        for collector in (self._ended, self._rejected, self._ack):
            self.registry.register(collector)

    def _declare_loops(self) -> None:
        registry = self.registry
        self._solver = Histogram(
            "vpp_solver_seconds", "Wall time of one solve.", buckets=SOLVER_BUCKETS_S, registry=registry
        )
        self._gap = Gauge("vpp_solver_gap_ratio", "Certified gap of the plan in force.", registry=registry)
        self._rung = Gauge(
            "vpp_plan_rung", "Plan in force: 0 optimal, 1 tail of the previous, 2 safe default.", registry=registry
        )
        self._clock_steps = Counter(
            "vpp_clock_steps_total", "Times the machine's clock was set while the service ran.", registry=registry
        )
        self._clock_ahead = Gauge(
            "vpp_clock_ahead_seconds",
            "By how much the machine's clock leads the service's since it was set; 0 while they agree.",
            registry=registry,
        )
        self._epoch = Gauge("vpp_leader_epoch", "Epoch this process leads in.", registry=registry)
        self._cycle = Histogram(
            "vpp_cycle_seconds", "Wall time of one cycle of the fast loop.", buckets=CYCLE_BUCKETS_S, registry=registry
        )
        self._tick = Histogram(
            "vpp_regulation_tick_seconds",
            "Wall time of one tick that follows a regulation signal.",
            buckets=TICK_BUCKETS_S,
            registry=registry,
        )


def transformer_load_ratio(index: FleetIndex, power_kw: FloatArray) -> FloatArray:
    """Return load as a share of the limit that it runs against, import or export, shape ``(n_transformers,)``.

    Args:
        index: The fleet.
        power_kw: Net power of every row, load positive, NaN where unknown, shape ``(n_resources,)``.
    """
    load_kw = index.feeders.load_kw(power_kw)
    limit_kw = index.feeders.limit_against_kw(load_kw)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _no_load_is_zero(load_kw, np.abs(load_kw) / limit_kw)


def _no_load_is_zero(load_kw: FloatArray, ratio: FloatArray) -> npt.NDArray[np.float64]:
    return np.where(load_kw == 0.0, 0.0, ratio)


def configure_logging(*, json: bool, level: str = "info", to: TextIO | None = None) -> None:
    """Send structured logs, ours and those of libraries, to standard error.

    Args:
        json: One JSON object a line instead of text.
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        to: Where the lines go instead.

    Raises:
        ConfigurationError: No such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"log level {level!r} is not known; give debug, info, warning or error")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(to or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(json=json))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # Their news ("Context impl SQLiteImpl.", a line a request) says nothing to an operator.
    for chatty in ("alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


def _renderers(*, json: bool) -> list[Processor]:
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
