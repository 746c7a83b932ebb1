"""Measurements recovered from the journal: those issued before a restart, and the minutes of every request."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numerics.mean_power import credit_together, mean_kw
from vpp.application.delivery.issued_shares import shares_body, shares_from
from vpp.domain.performance import Performance, Shares
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray, Quality
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.record.entry import JournalEntry
from vpp.settlement.money.programme import Programme
from vpp.settlement.tracking import MinuteSeries, TrackedIntervals

ISSUED = "performance.issued"
_MAX_GAP_S = 120.0
"""Longest time a cycle may stand for, as in `vpp.settlement.tracking.Tracker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An issued measurement.

    Attributes:
        at_s: Epoch seconds of its issue.
        delivered_mean_kw: Mean delivered power over the hold, NaN where it was not metered.
        spread_kw: Delivered power by each other baseline method; the plan it needs is gone after a restart.
        shares: Energy and settlement by site and operator; empty in entries older than shares are.
        version: Number of the version, from 1; a correction is a new one.
    """

    at_s: float
    delivered_mean_kw: float
    spread_kw: Mapping[str, float]
    shares: Shares = field(default_factory=Shares)
    version: int = 1


def issued_body(performance: Performance, programme: Programme, version: int = 1) -> dict[str, object]:
    """Return an issued measurement for the journal, with every rule it was settled by."""
    return {
        "request_id": performance.request_id,
        "version": version,
        "accuracy_ratio": performance.accuracy_ratio,
        "delivered_mean_kw": performance.delivered_mean_kw,
        "energy_kwh": performance.energy_kwh,
        "rebound_peak_kw": performance.rebound_peak_kw,
        "baseline_sha256": performance.baseline.input_sha256,
        "settlement_cny": performance.settlement_cny,
        "spread_kw": performance.spread_kw,
        "regulation": performance.regulation,
        "intervals": {
            "start_s": [interval.start_at.timestamp() for interval in performance.intervals],
            "baseline_kw": _listed([interval.baseline_kw for interval in performance.intervals]),
            "measured_kw": _listed([interval.measured_kw for interval in performance.intervals]),
            "delivered_kw": _listed([interval.delivered_kw for interval in performance.intervals]),
        },
        "shares": shares_body(performance.shares),
        "programme": programme.facts(),
        "programme_sha256": programme.sha256,
    }


def issued_now(performance: Performance, *, at_s: float, version: int) -> Issued:
    """Return a measurement as it is kept once it was issued."""
    return Issued(
        at_s=at_s,
        delivered_mean_kw=performance.delivered_mean_kw,
        spread_kw=performance.spread_kw,
        shares=performance.shares,
        version=version,
    )


def same_result(one: Issued, other: Issued) -> bool:
    """Return whether two versions credit and pay everybody the same."""
    same_kw = np.array_equal([one.delivered_mean_kw], [other.delivered_mean_kw], equal_nan=True)
    ours, theirs = one.shares, other.shares
    owners = (ours.operator_ids, ours.site_ids) == (theirs.operator_ids, theirs.site_ids)
    return bool(
        same_kw
        and owners
        and np.array_equal(ours.energy_kwh, theirs.energy_kwh)
        and ours.settlement_fen.keys() == theirs.settlement_fen.keys()
        and all(np.array_equal(fen, theirs.settlement_fen[name]) for name, fen in ours.settlement_fen.items())
    )


def issued_of(entries: Iterable[JournalEntry]) -> dict[str, Issued]:
    """Return every measurement issued so far by request id."""
    issued: dict[str, Issued] = {}
    for entry in entries:
        if entry.kind == ISSUED:
            body: Any = entry.body
            issued[body["request_id"]] = Issued(
                at_s=entry.at_s,
                delivered_mean_kw=_number(body["delivered_mean_kw"]),
                spread_kw={name: _number(kw) for name, kw in body.get("spread_kw", {}).items()},
                shares=shares_from(body.get("shares")),
                version=int(body.get("version", 1)),
            )
    return issued


def resumed(grid: TimeGrid, rows: int, minutes: MinuteSeries) -> TrackedIntervals:
    """Return a tracker's state of which only the minutes are kept, for interval means are in the store."""
    return TrackedIntervals(
        grid=grid,
        # One zero for all: each would be tens of megabytes for a city.
        mean_kw=np.broadcast_to(0.0, (rows, grid.count)),
        covered_s=np.broadcast_to(0.0, (rows, grid.count)),
        quality_count=np.zeros((len(Quality), grid.count), dtype=np.int64),
        minutes=minutes,
    )


def minutes_of(grid: TimeGrid, cycles: FloatArray, direction: Direction) -> MinuteSeries:
    """Return one-minute means of a request's cycles, each holding until the next, shape ``(n_cycles, 4)``."""
    count = round(grid.count * grid.step_s / SECONDS_PER_MINUTE)
    starts_s = grid.start_s + SECONDS_PER_MINUTE * np.arange(count, dtype=np.float64)
    edges_s = np.unique(np.concatenate((cycles[:, 0], starts_s, [grid.end_s])))
    begin_s, length_s = edges_s[:-1], np.diff(edges_s)
    held = np.searchsorted(cycles[:, 0], begin_s, side="right") - 1
    gap_s = np.append(np.diff(cycles[:, 0]), np.inf)
    seen = (held >= 0) & (gap_s[held] <= _MAX_GAP_S) & np.isfinite(cycles[held, 1:]).all(axis=1)
    seen &= (begin_s >= grid.start_s) & (begin_s < grid.end_s)
    minute = ((begin_s[seen] - grid.start_s) // SECONDS_PER_MINUTE).astype(np.int64)
    seconds, figures = length_s[seen], cycles[held[seen], 1:]
    energy_kws, covered_s = np.zeros((figures.shape[1], count)), np.zeros(count)
    credit_together(energy_kws, covered_s, minute, np.ascontiguousarray(figures.T), seconds)
    target_kw, baseline_kw, measured_kw = mean_kw(energy_kws, covered_s)
    sign = direction.sign
    return MinuteSeries(
        at_s=starts_s,
        baseline_kw=baseline_kw,
        measured_kw=measured_kw,
        target_kw=target_kw,
        delivered_kw=sign * (baseline_kw - measured_kw),
        covered_s=covered_s,
    )


def _listed(values: Sequence[float]) -> list[float | None]:
    """Return numbers for a body, ``None`` where they are unknown."""
    return [None if math.isnan(value) else value for value in values]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
