"""Arrays and decisions as JSON-like journal bodies, exactly, both directions side by side."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import AuditError
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import Promise, SessionEnded, SessionEvent, SessionPromised, SessionStarted
from vpp.domain.timegrid import TimeGrid, instant

_EVENTS = {cls.__name__: cls for cls in (SessionStarted, SessionPromised, SessionEnded)}


def array_of(body: Mapping[str, Any] | npt.NDArray[Any] | Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return an array of a body as doubles: an array, its rows as lists, or compressed text of before.

    An array of doubles is returned as it is: a city's baseline is tens of megabytes.
    """
    if not isinstance(body, Mapping):
        return np.asarray(body, dtype=np.float64)
    raw = zlib.decompress(base64.b64decode(body["zlib_f8"]))
    return np.frombuffer(raw, dtype="<f8").reshape(body["shape"]).copy()


def grid_body(grid: TimeGrid) -> dict[str, object]:
    """Return a grid as plain numbers."""
    return {"start_s": grid.start_s, "step_s": grid.step_s, "count": grid.count}


def grid_of(body: Mapping[str, Any]) -> TimeGrid:
    """Return the grid that ``grid_body`` wrote."""
    return TimeGrid(start_at=instant(body["start_s"]), step_s=int(body["step_s"]), count=int(body["count"]))


def schedule_body(schedule: Schedule, rows: npt.NDArray[np.integer] | None = None) -> dict[str, object]:
    """Return a plan for the journal.

    Args:
        schedule: The plan.
        rows: The rows anything was decided for; a city's plan is mostly what everybody would do anyhow, which no
            setpoint follows from. ``None`` for all.
    """
    kept = schedule.power_kw if rows is None else schedule.power_kw[rows]
    chosen = {} if rows is None else {"rows": rows, "count": len(schedule.power_kw)}
    return {
        "grid": grid_body(schedule.grid),
        "power_kw": kept,
        **chosen,
        "rung": int(schedule.rung),
        "objective_cny": schedule.objective_cny,
        "gap_ratio": schedule.gap_ratio,
        "solve_s": schedule.solve_s,
        "reason": schedule.reason,
        "overload_kw": schedule.overload_kw,
    }


def schedule_of(body: Mapping[str, Any]) -> Schedule:
    """Return the plan that ``schedule_body`` wrote; a figure that was unknown, and a row left out, is NaN again."""
    power_kw = _narrowed(array_of(body["power_kw"]))
    if "rows" in body:
        kept, power_kw = power_kw, np.full((body["count"], power_kw.shape[1]), np.nan, dtype=power_kw.dtype)
        power_kw[array_of(body["rows"]).astype(np.int64)] = kept
    return Schedule(
        grid=grid_of(body["grid"]),
        power_kw=power_kw,
        rung=Rung(body["rung"]),
        objective_cny=_number(body["objective_cny"]),
        gap_ratio=_number(body["gap_ratio"]),
        solve_s=_number(body["solve_s"]),
        reason=body["reason"],
        overload_kw=dict(body["overload_kw"]),
    )


def baseline_body(request_id: str, baseline: Baseline) -> dict[str, object]:
    """Return an issued baseline for the journal."""
    return {
        "request_id": request_id,
        "grid": grid_body(baseline.grid),
        "power_kw": baseline.power_kw,
        "methods": {name: method.value for name, method in baseline.methods.items()},
        "reference_days": list(baseline.reference_days),
        "excluded_days": [list(pair) for pair in baseline.excluded_days],
        "adjustment_ratio": baseline.adjustment_ratio,
        "input_sha256": baseline.input_sha256,
        "notes": [list(pair) for pair in baseline.notes],
        "excluded_ids": list(baseline.excluded_ids),
        "excluded_why": baseline.excluded_why,
        "programme_sha256": baseline.programme_sha256,
    }


def baseline_of(body: Mapping[str, Any]) -> Baseline:
    """Return the baseline that ``baseline_body`` wrote."""
    return Baseline(
        grid=grid_of(body["grid"]),
        power_kw=array_of(body["power_kw"]),
        methods={name: BaselineMethod(value) for name, value in body["methods"].items()},
        reference_days=tuple(body["reference_days"]),
        excluded_days=tuple((day, reason) for day, reason in body["excluded_days"]),
        adjustment_ratio={name: _number(value) for name, value in body["adjustment_ratio"].items()},
        input_sha256=body["input_sha256"],
        notes=tuple((name, note) for name, note in body["notes"]),
        excluded_ids=tuple(body["excluded_ids"]),
        excluded_why={str(why): int(count) for why, count in body.get("excluded_why", {}).items()},
        programme_sha256=body.get("programme_sha256", ""),
    )


def session_body(event: SessionEvent) -> dict[str, object]:
    """Return news of a car for the journal."""
    return {"event": type(event).__name__, **asdict(event)}


def session_of(body: Mapping[str, Any]) -> SessionEvent:
    """Return the event that ``session_body`` wrote.

    Raises:
        AuditError: The journal holds an event this version does not know.
    """
    fields = {name: value for name, value in body.items() if name != "event"}
    if body["event"] not in _EVENTS:
        raise AuditError(f"session event {body['event']!r} is not known; known are {sorted(_EVENTS)}")
    if "meter_kwh" in fields:  # the journal writes what is unknown as null
        fields["meter_kwh"] = _number(fields["meter_kwh"])
    if "promise" in fields:
        fields["promise"] = Promise(**fields["promise"])
    return _EVENTS[body["event"]](**fields)


def _narrowed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    """Return values in single precision if they were of it, as most plans are: a city's takes 100 MB less."""
    narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values, equal_nan=True) else values


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
