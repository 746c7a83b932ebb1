"""Rows and times of which samples are a driver's."""

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from tests.fleets import at_one_site, chargers
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.bootstrap.record.erasure_scope import Span, session_spans, station_spans
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put
from vpp.fleet.members.changes import LEFT
from vpp.record.stored_body import stored_body
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import open_database

END_S = 100_000.0


def event(kind: str, name: str, at_s: float, row: int = 1) -> Mapping[str, object]:
    return {"event": kind, "session_id": name, "row": row, "at_s": at_s, "meter_kwh": None}


def spans_of(name: str, *events: Mapping[str, object]) -> list[Span]:
    """Return the spans of a session in a journal with a cycle for each event, an hour apart."""
    engine = open_database("sqlite://")
    chain = SqlJournal(engine)
    for hour, one in enumerate(events, start=1):
        chain.append_prepared(CYCLE, 3600.0 * hour, stored_body({"sessions": [one]}))  # names as they are
    chain.flush_now()
    spans = session_spans(chain, lambda text: text == name, END_S)
    chain.close()
    engine.dispose()
    return spans


def test_a_session_is_from_a_minute_before_its_begin_until_a_minute_after_its_end() -> None:
    events = event("SessionStarted", "a", 1000.0), event("SessionEnded", "a", 5000.0)
    assert spans_of("a", *events) == [(1, 940.0, 5060.0)]
    assert spans_of("a", events[0]) == [(1, 940.0, END_S)]


def test_a_session_whose_end_never_came_ends_where_the_next_one_in_its_row_begins() -> None:
    events = (
        event("SessionStarted", "a", 1000.0),
        event("SessionStarted", "c", 2000.0, row=2),
        event("SessionStarted", "b", 5000.0),
        event("SessionEnded", "b", 9000.0),
    )
    assert spans_of("a", *events) == [(1, 940.0, 5000.0)]
    assert spans_of("b", *events) == [(1, 4940.0, 9060.0)]
    assert spans_of("c", *events) == [(2, 1940.0, END_S)]


def test_a_begin_that_is_said_again_with_its_register_moves_no_begin() -> None:
    events = event("SessionStarted", "a", 1000.0), event("SessionStarted", "a", 4000.0), event("SessionEnded", "a", 5e3)
    assert spans_of("a", *events) == [(1, 940.0, 5060.0)]


def test_a_station_is_listened_to_in_its_row_until_it_has_left(engine: sa.Engine) -> None:
    chain, registry = SqlJournal(engine), SqlRegistry(engine)
    index = at_one_site(chargers(2, p_max_kw=7.0, floor_kw=1.4, default_kw=7.0), limit_kw=100.0, export_limit_kw=100.0)
    old = index.resources[0].address.rpartition("/")[0]
    registry.add(FleetIndex.empty(), index)
    registry.save(index, put(index, replace(index.resources[0], address="new/1"), at_s=1000.0, actor="a"))
    assert list(station_spans(engine, chain, [old], END_S)) == [(0, 0.0, END_S)], "it still holds a value of ours"
    chain.append(LEFT, 1500.0, {"rows": [0]})
    chain.flush_now()
    registry.forget_devices([0])
    assert list(station_spans(engine, chain, [old], END_S)) == [(0, 0.0, 1500.0)]
    assert list(station_spans(engine, chain, ["new"], END_S)) == [(0, 1500.0, END_S)]
    chain.close()
