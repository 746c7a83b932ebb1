"""Outcome of a simulated day: requests judged by the settlement and by the twin, and the faults, which must be none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vpp.dispatch.engine import DispatchEngine
from vpp.domain.performance import Performance
from vpp.domain.request import DispatchRequest, RequestState
from vpp.domain.telemetry import BoolArray, RowArray
from vpp.fleet.calendar import SHANGHAI
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.lab.simulate.day import BesideIt, Day, RequestResult
from vpp.lab.simulate.presets import Preset
from vpp.lab.simulate.recorder import GroupMinutes, MinuteRecorder
from vpp.lab.simulate.tables import TransformerTable
from vpp.lab.twin.delivery_truth import broken_promises, judge, left_early
from vpp.lab.twin.truth import SessionTruth, Truth
from vpp.lab.twin.worlds import ACTUAL, ORDINARY, PREPARED
from vpp.settlement import agc_score
from vpp.settlement.regulation_performance import estimated_scores_of

_SHOWN_LIMITS = 8
_SHOWN_OVERLOADS = 20
_SHOWN_FAILURES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRequest:
    """An accepted request and both verdicts on its delivery.

    Attributes:
        result: Its course.
        request: As it ended.
        performance: By the settlement.
        truth: Against the twin's prepared world, see `vpp.lab.twin.delivery_truth.judge`; empty if its hold was not
            reached.
        ordinary: The same against its ordinary world.
        connection_point: Scores of a request for regulation by the grid's own meters
            (`vpp.lab.twin.connection_points`), total and parts by rule; empty for any other.
        estimated: The same by the service's own estimates.
    """

    result: RequestResult
    request: DispatchRequest
    performance: Performance
    truth: Mapping[str, Any]
    ordinary: Mapping[str, Any]
    connection_point: Mapping[str, Mapping[str, float]]
    estimated: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The day as played.

    Attributes:
        complete: It was played to its end.
        from_s: Epoch seconds of its midnight.
        until_s: Epoch seconds up to which it was played.
        commands: What became of every setpoint.
        not_restored: Rows with a dispatch value in force that the service does not want, or with a default other than
            the registered one. Chargers held below a transformer's cap are wanted; rows whose last command is not
            answered yet, or is to be repeated, do not count.
    """

    complete: bool
    from_s: float
    until_s: float
    index: FleetIndex
    results: tuple[RequestResult, ...]
    judged: tuple[JudgedRequest, ...]
    truth: Truth
    minutes: GroupMinutes
    classes: GroupMinutes
    loads: TransformerTable
    commands: Mapping[str, int]
    not_restored: RowArray

    @classmethod
    def of(
        cls, day: Day, *, loads: TransformerTable, recorder: MinuteRecorder, from_s: float, complete: bool
    ) -> "Outcome":
        """Return the outcome of a day."""
        city = day.city
        truth = city.recorder.truth()
        judged = (_judge(result, day, truth) for result in day.results)
        return cls(
            complete=complete,
            from_s=from_s,
            until_s=city.clock.now_s(),
            index=city.index,
            results=tuple(day.results),
            judged=tuple(j for j in judged if j is not None),
            truth=truth,
            minutes=recorder.areas(),
            classes=recorder.classes(),
            loads=loads,
            commands=city.plant.commands(),
            not_restored=_unwanted(truth, city.service.core.engine, city.clock.now_s()),
        )


def _unwanted(truth: Truth, engine: DispatchEngine, now_s: float) -> RowArray:
    wanted = ~np.isnan(engine.setpoints_kw()) | engine.outbox.under_way(now_s)
    left = truth.dispatch_left[~wanted[truth.dispatch_left]]
    return np.union1d(left, truth.default_changed).astype(np.int32)


def _judge(result: RequestResult, day: Day, truth: Truth) -> JudgedRequest | None:
    if result.accepted is None:
        return None
    request = day.city.plant.request(result.accepted.id)
    performance = day.city.plant.performance(request.id)
    if performance is None:
        return None
    beside = BesideIt.of(request, day.city.service.core.engine.book)
    trace = day.city.connection_points.trace(request.id, request.accepted_kw or request.draft.target_kw)
    return JudgedRequest(
        result=result,
        request=request,
        performance=performance,
        truth=_by_twin(request, beside, truth, PREPARED),
        ordinary=_by_twin(request, beside, truth, ORDINARY),
        connection_point={} if trace is None else agc_score.judged(trace),
        estimated=estimated_scores_of(day.city.plant.regulation(request.id)) if performance.regulation else {},
    )


def _by_twin(request: DispatchRequest, beside: BesideIt, truth: Truth, against: int) -> Mapping[str, Any]:
    start_s, end_s = request.draft.start_at.timestamp(), request.draft.end_at.timestamp()
    if not len(truth.end_s) or truth.end_s[-1] < end_s:
        return {}
    return judge(
        truth,
        start_s=start_s,
        end_s=end_s,
        target_kw=request.accepted_kw or request.draft.target_kw,
        direction=request.draft.direction,
        area=beside.area,
        against=against,
        beside_kw=beside.due_kw,
    )


def summary_of(outcome: Outcome | None, preset: Preset, *, scale: float, seed: int) -> dict[str, Any]:
    """Return the summary as JSON-like values, unknown being ``None``; without an outcome only what was meant."""
    counts = {str(cls): int(preset.fleet.is_class(cls).sum()) for cls in CLASSES}
    summary: dict[str, Any] = {
        "preset": preset.name,
        "title": preset.title,
        "scale": scale,
        "seed": seed,
        "resources": len(preset.fleet),
        "resources_by_class": counts,
        "transformers": len(preset.fleet.transformers),
        "complete": outcome is not None and outcome.complete,
        "requests": [],
        "totals": {},
    }
    if outcome is not None:
        sessions = outcome.truth.sessions
        broken = broken_promises(sessions, outcome.until_s)
        ended = sessions.finished & (sessions.depart_s > outcome.from_s)
        requests = [_request(result, outcome) for result in outcome.results]
        summary |= {
            "requests": requests,
            "totals": _totals(requests, outcome),
            "cap_violations": outcome.loads.violations,
            "cap_violations_without_requests": outcome.loads.violations_without,
            "cap_violations_ours": outcome.loads.violations_ours,
            "cap_minutes_ours": dict(list(outcome.loads.ours(outcome.index).items())[:_SHOWN_OVERLOADS]),
            "base_load_violations": outcome.loads.base_violations,
            "overloads_kw": dict(list(outcome.loads.overloads(outcome.index).items())[:_SHOWN_OVERLOADS]),
            "promises_broken": int(broken.sum()),
            "left_early": int((left_early(sessions) & ended).sum()),
            "broken": _broken(sessions, broken, outcome.index),
            "sessions": int(ended.sum()),
            "sessions_open": int((~sessions.finished).sum()),
            "limits_not_restored": len(outcome.not_restored),
            "not_restored": [outcome.index.resources[row].id for row in outcome.not_restored[:_SHOWN_FAILURES]],
            "setpoints": dict(outcome.commands),
        }
    return summary


def _totals(requests: Sequence[Mapping[str, Any]], outcome: Outcome) -> dict[str, float | None]:
    """Return the figures of all requests together; means are over those that have the figure."""
    judged = [one for one in requests if one.get("accuracy_true_ratio") is not None]

    def mean(name: str) -> float | None:
        known = [float(one[name]) for one in judged if one.get(name) is not None]
        return _known(float(np.mean(known))) if known else None

    worst = [float(one["worst_interval_accuracy_true_ratio"]) for one in judged]
    kept = [one["delivered_mean_true_kw"] >= 0.99 * one["target_kw"] for one in judged]
    return {
        "calls": len(requests),
        "accepted": sum(one.get("target_kw") is not None for one in requests),
        "asked_kw": _known(sum(float(one["asked_kw"]) for one in requests)),
        "accepted_kw": _known(sum(float(one.get("target_kw") or 0.0) for one in requests)),
        "accuracy_ratio": mean("accuracy_ratio"),
        "accuracy_true_ratio": mean("accuracy_true_ratio"),
        "accuracy_ordinary_ratio": mean("accuracy_ordinary_ratio"),
        "worst_interval_p5_true_ratio": _known(float(np.percentile(worst, 5.0))) if worst else None,
        "kept_true_ratio": _known(float(np.mean(kept))) if kept else None,
        "cap_violations": outcome.loads.violations,
        "cap_violations_ours": outcome.loads.violations_ours,
        "promises_broken": int(broken_promises(outcome.truth.sessions, outcome.until_s).sum()),
    }


def _broken(sessions: SessionTruth, broken: BoolArray, index: FleetIndex) -> list[dict[str, object]]:
    """Return the first of the sessions whose promise was broken."""
    return [
        {
            "resource": index.resources[sessions.rows[n]].id,
            "arrive_at": datetime.fromtimestamp(sessions.arrive_s[n], SHANGHAI).isoformat(),
            "depart_at": datetime.fromtimestamp(sessions.depart_s[n], SHANGHAI).isoformat(),
            "promised_kwh": _known(sessions.promised_kwh[n]),
            "delivered_kwh": _known(sessions.delivered_kwh[ACTUAL, n]),
            "without_requests_kwh": _known(sessions.delivered_kwh[PREPARED, n]),
        }
        for n in np.flatnonzero(broken)[:_SHOWN_FAILURES]
    ]


def _request(result: RequestResult, outcome: Outcome) -> dict[str, object]:
    """Return one request's part of the summary."""
    draft, quote = result.planned.draft, None if result.first is None else result.first.quote
    body: dict[str, object] = {
        "id": None if result.first is None else result.first.id,
        "submit_at": datetime.fromtimestamp(result.planned.submit_s, SHANGHAI).isoformat(),
        "start_at": draft.start_at.astimezone(SHANGHAI).isoformat(),
        "end_at": draft.end_at.astimezone(SHANGHAI).isoformat(),
        "area": draft.area,
        "direction": draft.direction.value,
        "asked_kw": draft.target_kw,
        "verdict": None if quote is None else quote.verdict.value,
        "quoted_p50_kw": None if quote is None else _known(quote.p50_kw),
        "regulation_score": None if quote is None else _known(quote.regulation_score),
        "quoted_p10_kw": None if quote is None else _known(min(quote.deliverable_p10_kw, default=0.0)),
        "limited_by": []
        if quote is None
        else [{"name": n.name, "kw": _known(n.kw)} for n in quote.limits[:_SHOWN_LIMITS]],
        "rebound_cap_kw": draft.rebound_cap_kw,
        "refusal": result.refusal or None,
    }
    judged = next((j for j in outcome.judged if j.result is result), None)
    if judged is None:
        return body
    return body | _performance(judged) | (_regulation(judged) if judged.performance.regulation else {})


def _regulation(judged: JudgedRequest) -> dict[str, object]:
    """Return the scores of a request for regulation; a share of a constant target means nothing there.

    By the meters of the devices, as it is settled, by those at the connection points, and by the service's estimates.
    """
    return {
        "accuracy_ordinary_ratio": None,
        "worst_interval_accuracy_ordinary_ratio": None,
        "accuracy_true_ratio": None,
        "worst_interval_accuracy_true_ratio": None,
        "regulation": _scores(judged.performance.regulation),
        "regulation_connection_point": _scores(judged.connection_point),
        "regulation_estimated": _scores(judged.estimated),
    }


def _scores(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return total and parts by rule, as JSON has them."""
    return {rule: {name: _known(part) for name, part in parts.items()} for rule, parts in scores.items()}


def _performance(judged: JudgedRequest) -> dict[str, object]:
    performance, truth, ordinary = judged.performance, judged.truth, judged.ordinary
    settled = judged.request.state is RequestState.SETTLED
    return {
        "id": judged.request.id,
        "state": judged.request.state.value,
        "final": settled,
        "target_kw": judged.request.accepted_kw,
        "delivered_mean_kw": _known(performance.delivered_mean_kw),
        "delivered_mean_true_kw": _known(truth.get("delivered_mean_kw")),
        "delivered_mean_ordinary_kw": _known(ordinary.get("delivered_mean_kw")),
        "accuracy_ratio": _known(performance.accuracy_ratio),
        "accuracy_true_ratio": _known(truth.get("accuracy_true_ratio")),
        "accuracy_ordinary_ratio": _known(ordinary.get("accuracy_true_ratio")),
        "worst_interval_accuracy_ratio": _known(performance.worst_interval_accuracy_ratio),
        "worst_interval_accuracy_true_ratio": _known(truth.get("worst_interval_accuracy_ratio")),
        "worst_interval_accuracy_ordinary_ratio": _known(ordinary.get("worst_interval_accuracy_ratio")),
        "least_delivered_true_kw": _known(min(truth.get("delivered_kw", ()), default=None)),
        "rebound_peak_kw": _known(performance.rebound_peak_kw),
        "rebound_peak_true_kw": _known(truth.get("rebound_peak_kw")),
        "ramp_minutes": _known(performance.ramp_minutes),
        "class_delivered_kw": {name: _known(kw) for name, kw in performance.class_delivered_kw.items()},
        "settlement_cny": {name: _known(cny) for name, cny in performance.settlement_cny.items()},
    }


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def print_summary(console: Console, summary: Mapping[str, Any], out: Path) -> None:
    """Show the summary on a terminal."""
    table = Table("request", "asked kW", "quoted p50", "accepted", "settled", "true", "ordinary", "worst", "rebound kW")
    for request in summary["requests"]:
        table.add_row(
            f"{request['start_at'][5:16].replace('T', ' ')}-{request['end_at'][11:16]}",
            *(_shown(request.get(name)) for name in ("asked_kw", "quoted_p50_kw", "target_kw")),
            *(_percent(request.get(n)) for n in ("accuracy_ratio", "accuracy_true_ratio", "accuracy_ordinary_ratio")),
            _percent(request.get("worst_interval_accuracy_ratio")),
            _shown(request.get("rebound_peak_kw")),
        )
    console.print(table)
    zeros = ("cap_violations_ours", "promises_broken", "limits_not_restored")
    console.print(", ".join(f"{name.replace('_', ' ')} {summary.get(name, '-')}" for name in zeros))
    state = "played to its end" if summary["complete"] else "stopped early"
    console.print(f"{state}: {summary['wall_s']} s wall, {summary['cpu_s']} s CPU; written to {out}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
