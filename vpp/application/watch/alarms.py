"""Alarms, each raised once when it begins and cleared once when it ends.

Alarms follow from the cycles and influence none of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import structlog

from vpp.application.row_alignment import fitted_flags
from vpp.dispatch.engine import CycleResult, Progress
from vpp.domain.request import Shortfall
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import ChargingSession
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS
from vpp.ports import News
from vpp.runtime.observability import Metrics

_log = structlog.get_logger(__name__)
ALARM = "alarm"
_CAP_TOLERANCE_RATIO = 0.005
"""Excess of a load over its limit that may be the meters' error."""
_CAP_TOLERANCE_KW = 0.05
_PROMISE_TOLERANCE_KWH = 0.2
_STAMP_S = 1.0
"""Stations stamp whole seconds: an end may seem this much earlier than the departure it was at."""
_LEAST_CONNECTED_RATIO = 0.9
_LEAST_SILENT, _SILENT_FROM, _SILENT_UNTIL = 3, 0.2, 0.1
"""Devices, and shares of those connected, without a fresh measurement at which the alarm begins and ends."""


class Alarms:
    """Raises and clears alarms cycle by cycle; counts cap violations and broken promises."""

    def __init__(self, news: News, metrics: Metrics) -> None:
        self._news = news
        self._metrics = metrics
        self._standing: set[str] = set()
        self._short: dict[str, Shortfall] = {}
        self._above: BoolArray = np.zeros(0, dtype=np.bool_)
        self._rung = Rung.OPTIMAL
        self._registered = np.zeros(len(ADAPTERS), dtype=np.int64)
        self._armed: BoolArray = np.zeros(len(ADAPTERS), dtype=np.bool_)
        self._lost: BoolArray = np.zeros(len(ADAPTERS), dtype=np.bool_)
        self._need_kwh: FloatArray = np.zeros(0)
        self._stale: set[str] = set()
        self._yielded: set[int] = set()

    def follow(
        self,
        state: FleetState,
        result: CycleResult,
        *,
        schedule: Schedule | None,
        ended: Sequence[ChargingSession],
        silent: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Take a cycle.

        Args:
            state: Its snapshot.
            result: Its outcome.
            schedule: The plan in force.
            ended: Sessions that ended since the cycle before.
            silent: How many devices of each adapter have a link and no fresh measurement.
        """
        self._shortfalls(state.at_s, result.progress)
        self._caps(state, result.transformer_load_kw)
        self._adapters(state)
        self._meters(state, silent)
        self._plan(state.at_s, schedule)
        self._yielded.update(result.below_promise.tolist())
        self._promises(state, ended)
        self._need_kwh = state.need_kwh

    def watch(self, alarm: str, at_s: float, *, on: bool, **body: object) -> None:
        """Set or clear an alarm about the service itself; reported when it begins and when it ends."""
        if on and alarm not in self._standing:
            self._begin(alarm, at_s, **body)
            self._standing.add(alarm)
        elif not on and alarm in self._standing:
            self._end(alarm, at_s)
            self._standing.discard(alarm)

    def clock_stepped(self, at_s: float, ahead_s: float) -> None:
        """Take by how many seconds the machine's clock was set, 0.0 once it agrees with the service's again."""
        self._metrics.observe_clock(ahead_s)
        change = self._begin if ahead_s else self._end
        change("clock_step", at_s, ahead_s=round(ahead_s, 3))

    def _shortfalls(self, at_s: float, running: Iterable[Progress]) -> None:
        before = self._short
        self._short = {p.request_id: p.shortfall for p in running if p.shortfall is not None}
        for request_id, flag in self._short.items():
            if request_id not in before:
                self._begin("shortfall", at_s, request_id=request_id, missing_kw=flag.missing_kw, cause=flag.cause)
        for request_id, flag in before.items():
            if request_id not in self._short:
                self._end("shortfall", at_s, request_id=request_id, missing_kw=flag.missing_kw, cause=flag.cause)

    def _caps(self, state: FleetState, load_kw: FloatArray) -> None:
        index, before = state.index, fitted_flags(self._above, len(load_kw))
        limit_kw = index.feeders.limit_against_kw(load_kw)
        over_kw = np.abs(load_kw) - limit_kw
        well_above = over_kw > np.maximum(_CAP_TOLERANCE_RATIO * limit_kw, _CAP_TOLERANCE_KW)
        self._above = well_above | (before & (over_kw > 0.0))
        for node in np.flatnonzero(self._above != before).tolist():
            change = self._begin if self._above[node] else self._end
            change(
                "cap_exceeded",
                state.at_s,
                transformer_id=index.transformers[node].id,
                load_kw=float(load_kw[node]),
                limit_kw=float(limit_kw[node]),
            )
        self._metrics.count_cap_violations(int(np.count_nonzero(self._above & ~before)))

    def _adapters(self, state: FleetState) -> None:
        """An adapter is lost once few of its devices are left of those it had; new ones are given time to connect."""
        registered, connected = state.index.by_adapter, state.connected_by_adapter()
        enough = (registered > 0) & (connected >= _LEAST_CONNECTED_RATIO * registered)
        self._armed = np.where(enough, True, self._armed & (registered == self._registered))  # noqa: FBT003 - numpy
        lost = (self._armed | self._lost) & ~enough
        for code in np.flatnonzero(lost != self._lost).tolist():
            change = self._begin if lost[code] else self._end
            counts = {"connected": int(connected[code]), "registered": int(registered[code])}
            change("adapter_lost", state.at_s, adapter=ADAPTERS[code].value, **counts)
        self._registered, self._lost = registered, lost

    def _meters(self, state: FleetState, silent: Mapping[str, int]) -> None:
        """Meters are stale once many connected devices of an adapter show nothing fresh: what stands is old."""
        connected = state.connected_by_adapter().tolist()
        for adapter, there in zip(ADAPTERS, connected, strict=True):
            name, count = adapter.value, silent.get(adapter.value, 0)
            was = name in self._stale
            stale = count >= _LEAST_SILENT and count > (_SILENT_UNTIL if was else _SILENT_FROM) * there
            if stale == was:
                continue
            (self._stale.add if stale else self._stale.discard)(name)
            change = self._begin if stale else self._end
            change("meters_stale", state.at_s, adapter=name, silent=count, connected=there)

    def _plan(self, at_s: float, schedule: Schedule | None) -> None:
        if schedule is None or schedule.rung is self._rung:
            return
        self._rung = schedule.rung
        body = {"rung": schedule.rung.name.lower(), "reason": schedule.reason}
        if schedule.rung is Rung.OPTIMAL:
            self._end("plan_fell_back", at_s, **body)
        else:
            self._publish("plan_fell_back", at_s, "set", body)  # the slow loop has logged it

    def _promises(self, state: FleetState, ended: Iterable[ChargingSession]) -> None:
        for session in ended:
            yielded = session.row in self._yielded
            self._yielded.discard(session.row)
            lacking_kwh = self._lacking_kwh(state, session)
            if session.promise is not None and lacking_kwh > _PROMISE_TOLERANCE_KWH:
                self._metrics.count_promises_broken()
                self._begin(
                    "promise_broken",
                    state.at_s,
                    session_id=session.id,
                    resource_id=state.index.resources[session.row].id,
                    promised_kwh=session.promise.energy_kwh,
                    lacking_kwh=lacking_kwh,
                    for_transformer=yielded,
                )

    def _lacking_kwh(self, state: FleetState, session: ChargingSession) -> float:
        """Return what a car lacked that stayed as long as was agreed; 0 for one that left early, NaN where unknown.

        Registers count what is taken in only, so for a car that also fed in the last snapshot before its end counts; so
        it does where the register at the end makes no sense.
        """
        promise, ended_s = session.promise, session.ended_s
        if promise is None or ended_s is None or ended_s < promise.departure_s - _STAMP_S:
            return 0.0
        by_picture = session.row < len(self._need_kwh) and np.isfinite(self._need_kwh[session.row])
        feeds = state.index.resources[session.row].resource_class is ResourceClass.V2G
        if by_picture and (feeds or np.isnan(session.delivered_kwh)):
            return float(self._need_kwh[session.row])
        return promise.energy_kwh - session.delivered_kwh

    def _begin(self, alarm: str, at_s: float, **body: object) -> None:
        self._publish(alarm, at_s, "set", body)
        _log.warning("alarm raised", alarm=alarm, **body)

    def _end(self, alarm: str, at_s: float, **body: object) -> None:
        self._publish(alarm, at_s, "cleared", body)
        _log.info("alarm cleared", alarm=alarm, **body)

    def _publish(self, alarm: str, at_s: float, state: str, body: dict[str, object] | dict[str, str]) -> None:
        self._news.publish(ALARM, at_s, {"alarm": alarm, "state": state, **body})
