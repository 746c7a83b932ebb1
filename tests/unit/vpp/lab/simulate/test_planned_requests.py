"""Requests of a simulated day: files, JSON and pairs; clock times; messages that name the field."""

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.domain.request import Direction, Product
from vpp.fleet.calendar import SHANGHAI
from vpp.lab.simulate.planned_requests import SUBMIT_MINUTES_BEFORE, planned_requests, request_bodies, requests_of_days

DAY = date(2026, 7, 15)


def test_pairs_with_clock_times_become_a_request_of_that_day() -> None:
    ask = planned_requests(request_bodies("target_kw=1e6, start=13:00, end=15:00"), DAY)[0]
    assert ask.draft.target_kw == 1e6
    assert ask.draft.product is Product.PEAK_SHAVING
    assert ask.draft.direction is Direction.UP
    assert ask.draft.start_at == datetime(2026, 7, 15, 13, tzinfo=SHANGHAI)
    assert ask.draft.start_at.timestamp() - ask.submit_s == 60.0 * SUBMIT_MINUTES_BEFORE


def test_a_file_may_hold_several_requests_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "asks.json"
    late = {"target_kw": 2.0, "start_at": "2026-07-15T20:00:00+08:00", "end_at": "2026-07-15T21:00:00+08:00"}
    early = {"target_kw": 1.0, "start": "10:00", "end": "11:00", "submit_at": "09:00"}
    file.write_text(json.dumps([late, early]), encoding="utf-8")
    asks = planned_requests(request_bodies(str(file)), DAY)
    assert [ask.draft.target_kw for ask in asks] == [1.0, 2.0]
    assert asks[0].submit_s == datetime(2026, 7, 15, 9, tzinfo=SHANGHAI).timestamp()


def test_an_end_before_its_start_by_the_clock_lies_on_the_next_day() -> None:
    ask = planned_requests(request_bodies('{"target_kw": 5, "start": "23:00", "end": "01:00"}'), DAY)[0]
    assert (ask.draft.end_at - ask.draft.start_at).total_seconds() == 7200.0


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("target_kw=-1,start=13:00,end=15:00", "target_kw"),
        ("target_kw=1,start=noon,end=15:00", "start_at"),
        ("target_kw=1,end=15:00", "start_at"),
        ("target_kw=1,start=13:00,end=15:00,colour=red", "colour"),
        ("target_kw=1,start=13:00,end=15:00,submit_minutes_before=soon", "submit_minutes_before"),
        ("nothing-there.json", "--request"),
        ("{not json", "--request"),
        ("[3]", "--request"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(InputError, match=field):
        planned_requests(request_bodies(text), DAY)


def test_clock_times_come_every_day_and_dates_once_within_the_days() -> None:
    daily = {"target_kw": 10.0, "start": "13:00", "end": "14:00"}
    once = {"target_kw": 10.0, "start_at": "2026-07-16T20:00:00+08:00", "end_at": "2026-07-16T21:00:00+08:00"}
    later = {"target_kw": 10.0, "start_at": "2026-08-16T20:00:00+08:00", "end_at": "2026-08-16T21:00:00+08:00"}
    planned = requests_of_days([daily, once, later], date(2026, 7, 15), 3)
    assert [f"{one.draft.start_at:%m-%d %H}" for one in planned] == ["07-15 13", "07-16 13", "07-16 20", "07-17 13"]
