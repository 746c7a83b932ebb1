"""Calls as a dispatcher makes them."""

from datetime import date

from vpp.dispatch.settings import DraftLimits
from vpp.domain.request import NoticeClass
from vpp.lab.simulate.calls import drawn_calls
from vpp.lab.simulate.planned_requests import requests_of_days

FIRST = date(2026, 3, 1)


def test_a_year_of_calls_comes_at_any_hour_in_both_directions_with_any_notice() -> None:
    bodies = drawn_calls(FIRST, days=365, per_day=2.0, usual_kw=1e6, seed=1)
    assert 600 < len(bodies) < 860
    assert {body["direction"] for body in bodies} == {"up", "down"}
    assert {body["notice_class"] for body in bodies} == {notice.value for notice in NoticeClass}
    planned = requests_of_days(bodies, FIRST, 365)
    assert len(planned) == len(bodies)
    assert len({one.draft.start_at.hour for one in planned}) == 24
    minutes = {(one.draft.end_at - one.draft.start_at).total_seconds() / 60.0 for one in planned}
    assert (min(minutes), max(minutes)) == (15.0, 240.0)
    limits = DraftLimits().min_notice_minutes
    for one in planned:
        notice_minutes = (one.draft.start_at.timestamp() - one.submit_s) / 60.0
        assert notice_minutes >= limits[one.draft.notice_class]
    assert min(one.draft.start_at.timestamp() - one.submit_s for one in planned) == 0.0


def test_a_longer_stretch_begins_with_the_same_calls() -> None:
    short, long = (drawn_calls(FIRST, days=days, per_day=2.0, usual_kw=1e6, seed=1) for days in (10, 30))
    assert long[: len(short)] == short
