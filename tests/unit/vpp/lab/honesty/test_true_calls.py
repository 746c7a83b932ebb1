"""Calls of a run: they ask for more than there is, come back whatever the stretch, and are read from the summary."""

from datetime import date, datetime

import pytest

from vpp.domain.request import Direction
from vpp.lab.honesty.true_calls import TrueCall, call_bodies, true_calls
from vpp.lab.simulate.presets import preset

FIRST = date(2026, 6, 1)


def test_calls_of_a_day_are_the_same_in_any_stretch_and_ask_for_more_than_the_preset() -> None:
    city = preset("demo", scale=0.1)
    whole = call_bodies(FIRST, days=range(6), per_day=3.0, preset=city, seed=2)
    parts = [call_bodies(FIRST, days=range(at, at + 2), per_day=3.0, preset=city, seed=2) for at in (0, 2, 4)]
    assert [body for part in parts for body in part] == whole
    assert {datetime.fromisoformat(body["start_at"]).date() for body in parts[1]} <= {
        date(2026, 6, 3),
        date(2026, 6, 4),
    }
    assert min(body["target_kw"] for body in whole) > float(city.requests[0]["target_kw"])
    assert call_bodies(FIRST, days=range(6), per_day=0.0, preset=city, seed=2) == []


def test_a_call_is_read_from_the_summary_once_its_truth_is_known() -> None:
    played = {
        "submit_at": "2026-06-01T10:00:00+08:00",
        "start_at": "2026-06-01T12:00:00+08:00",
        "end_at": "2026-06-01T13:00:00+08:00",
        "area": "city",
        "direction": "up",
        "target_kw": 500.0,
        "least_delivered_true_kw": 480.0,
        "accuracy_true_ratio": 0.97,
        "worst_interval_accuracy_true_ratio": 0.96,
        "accuracy_ratio": 0.99,
    }
    refused = {"direction": "up", "refusal": "nothing can be had"}
    (call,) = true_calls([refused, played], seed=3)
    assert (call.direction, call.accepted_kw, call.least_kw) == (Direction.UP, 500.0, 480.0)
    assert call.start_s - call.submit_s == pytest.approx(7200.0)
    assert TrueCall.from_body(call.body()) == call
