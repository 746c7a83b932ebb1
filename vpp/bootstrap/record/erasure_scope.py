"""Scope of an erasure: the rows and times of which a driver's or an operator's samples are, and what money needs."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import sqlalchemy as sa

from vpp.application.cycle_record import baseline_of
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.dispatch.requests.forgotten import FORGOTTEN
from vpp.domain.resource import Adapter
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.members.changes import LEFT, left_rows
from vpp.fleet.membership import membership_at
from vpp.ports import Journal
from vpp.record.bodies.fields import Fields
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import registry, registry_history, storing

Span = tuple[int, float, float]
"""Fleet row, and the epoch seconds from which and until which."""
Progress = Callable[[int], object]
_EDGE_S = SECONDS_PER_MINUTE
"""Before a session begins its car is seen, and after it has ended its last meter comes."""
_SHOWN_EVERY = 1000


def station_spans(engine: sa.Engine, journal: Journal, ids: Sequence[str], end_s: float) -> Iterator[Span]:
    """Yield the connectors of some charging stations, each for as long as the station was listened to in its row.

    One whose row has got another address goes on being listened to until it holds nothing of ours any more.
    """
    versions: dict[str, list[tuple[float, str]]] = {}
    stations, left_s = frozenset(ids), _left_s(journal)
    former = SqlRegistry(engine).former_devices()
    then = sa.select(registry_history.c.id, registry_history.c.until_s, registry_history.c.body)
    now = sa.select(registry.c.id, registry.c.position, registry.c.body)
    with storing("the registry"), engine.connect() as connection:
        for row in connection.execute(
            then.where(registry_history.c.kind == "resource").order_by(registry_history.c.version)
        ):
            versions.setdefault(row.id, []).append((float(row.until_s), row.body))
        for row in connection.execute(now.where(registry.c.kind == "resource")).all():
            known = [(until_s, _station(body)) for until_s, body in versions.get(row.id, ())]
            leaves_s = [*left_s.get(row.position, ()), *([end_s] if row.position in former else [])]
            for station, from_s, until_s in _tenures([*known, (end_s, _station(row.body))], leaves_s):
                if station in stations:
                    yield int(row.position), from_s, until_s


def session_spans(
    journal: Journal, is_theirs: Callable[[str], bool], end_s: float, progress: Progress = lambda _: None
) -> list[Span]:
    """Return the rows of some charging sessions, each from before its begin until after its end; reads the journal.

    A session of which the begin was pruned is left out: nobody knows since when the row was its driver's.
    """
    open_ones: dict[int, tuple[str, float]] = {}
    spans: list[Span] = []
    for count, entry in enumerate(journal.entries((CYCLE,)), start=1):
        for event in Fields(entry.body, CYCLE).parts("sessions"):
            span = _ended_by(event, open_ones, entry.at_s)
            if span is not None and is_theirs(span[0]):
                spans.append(span[1])
        if count % _SHOWN_EVERY == 0:
            progress(count)
    running = ((row, from_s - _EDGE_S, end_s) for row, (name, from_s) in open_ones.items() if is_theirs(name))
    return [*spans, *running]


def operator_spans(engine: sa.Engine, operator_id: str, end_s: float) -> Iterator[Span]:
    """Yield the devices at an operator's sites, each for as long as it was there."""
    index = SqlRegistry(engine).load()
    place = next(place for place, one in enumerate(index.operators) if one.id == operator_id)
    changes = sorted({one.until_s for one in index.former_owners})
    for from_s, until_s in pairwise([0.0, *changes, end_s]):
        for row in np.flatnonzero(membership_at(index, from_s).operator == place).tolist():
            yield int(row), from_s, until_s


def settled_rows(journal: Journal, rows: frozenset[int]) -> dict[int, set[int]]:
    """Return which of some rows a request that is not forgotten measures, by epoch seconds of an interval's start."""
    measured: dict[str, dict[int, set[int]]] = {}
    for entry in journal.entries((BASELINE, FORGOTTEN)):
        if entry.kind == FORGOTTEN:
            for request_id in Fields(entry.body, FORGOTTEN).sequence("ids"):
                measured.pop(str(request_id), None)
            continue
        baseline = baseline_of(entry.body)
        known = set(np.flatnonzero(np.isfinite(baseline.power_kw).any(axis=1)).tolist()) & rows
        starts = (int(baseline.grid.start_s) + baseline.grid.step_s * step for step in range(baseline.grid.count))
        if known:
            measured[str(entry.body["request_id"])] = dict.fromkeys(starts, known)
    kept: dict[int, set[int]] = {}
    for intervals in measured.values():
        for start_s, known in intervals.items():
            kept.setdefault(start_s, set()).update(known)
    return kept


def _left_s(journal: Journal) -> dict[int, list[float]]:
    """Return the epoch seconds at which former devices have left each row, rising."""
    left_s: dict[int, list[float]] = {}
    for entry in journal.entries((LEFT,)):
        for row in left_rows(entry.body).tolist():
            left_s.setdefault(row, []).append(entry.at_s)
    return left_s


def _tenures(
    known: Sequence[tuple[float, str | None]], leaves_s: Sequence[float]
) -> Iterator[tuple[str | None, float, float]]:
    """Yield the stations of a row, each with the epoch seconds from which and until which it was listened to.

    Args:
        known: By version of the row's device: until when it stood, and its station; ``None`` for none.
        leaves_s: When former devices have left the row, rising.
    """
    from_s = 0.0
    for (version_s, station), (_, later) in pairwise([*known, known[-1]]):
        until_s = version_s
        if later != station:
            until_s = next((at_s for at_s in leaves_s if at_s >= version_s), version_s)
        yield station, from_s, until_s
        from_s = until_s


def _ended_by(event: Fields, open_ones: dict[int, tuple[str, float]], noted_s: float) -> tuple[str, Span] | None:
    """Take an event of a session; return the name and span of the session that it ends, ``None`` where it ends none.

    A session whose end never came ends where the next one in its row begins, as it does for the service: from then on
    samples are another driver's.

    Args:
        event: The event.
        open_ones: Name and begin, epoch seconds, of the session open in each row; they are brought up to date.
        noted_s: Epoch seconds at which the event was taken.
    """
    kind = event.text("event")
    if kind not in {"SessionStarted", "SessionEnded"}:
        return None
    name, row, at_s = event.text("session_id"), event.integer("row"), event.number("at_s")
    known, from_s = open_ones.get(row, ("", at_s))
    if kind == "SessionEnded":
        if known != name:
            return None
        del open_ones[row]
        return name, (row, from_s - _EDGE_S, at_s + _EDGE_S)
    if known == name:  # said again: it began when it was said first
        return None
    open_ones[row] = name, at_s
    return (known, (row, from_s - _EDGE_S, at_s if at_s > from_s else noted_s)) if known else None


def _station(body: str) -> str | None:
    """Return the charging station of a saved resource, ``None`` where it is none."""
    resource = Fields(json.loads(body), "resource")
    if resource.text("adapter", "") != Adapter.OCPP.value:
        return None
    return resource.text("address", "").rpartition("/")[0]
