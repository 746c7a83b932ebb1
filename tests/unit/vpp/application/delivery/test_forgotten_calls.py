"""Calls and shown power of forgotten requests, added up and bounded."""

import math

from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.domain.request import Direction
from vpp.settlement.verified_power import Shown

UP, DOWN = Direction.UP, Direction.DOWN


def test_calls_are_kept_in_order_until_no_baseline_looks_at_them() -> None:
    known = ForgottenCalls({"north": ((10.0, 20.0),), "city": ((1.0, 5.0),)})
    known.add(ForgottenCalls({"north": ((30.0, 40.0), (2.0, 8.0), (10.0, 20.0))}), from_s=8.0)
    assert known.called == {"north": ((2.0, 8.0), (10.0, 20.0), (30.0, 40.0))}


def test_what_still_decides_is_kept_by_area_and_direction() -> None:
    early, small, late = Shown(kw=5.0, at_s=10.0), Shown(kw=2.0, at_s=15.0), Shown(kw=3.0, at_s=20.0)
    known = ForgottenCalls(shown={("city", UP): (early,)})
    known.add(ForgottenCalls(shown={("city", UP): (small, late), ("city", DOWN): (late,)}), from_s=0.0)
    assert known.shown == {("city", DOWN): (late,), ("city", UP): (early, late)}


def test_a_body_is_read_as_it_was_written() -> None:
    known = ForgottenCalls(
        {"city": ((0.1, 1e9 / 3.0),)},
        {"north": ((2.0, 3.0),)},
        {
            ("city", UP): (
                Shown(kw=1.0 / 3.0, at_s=1e9 / 3.0, followed_ratio=0.7, is_test=True),
                Shown(kw=0.2, at_s=1.0),
            )
        },
    )
    again = ForgottenCalls.of(known.body())
    assert again.body() == known.body()
    assert again.shown["city", UP][0] == known.shown["city", UP][0]


def test_what_a_body_of_before_drills_says_of_power_counts_without_a_time() -> None:
    body = {"called": {"city": [[1.0, 2.0]]}, "verified_kw": [["city", "up", 7.5]]}
    (one,) = ForgottenCalls.of(body).shown["city", UP]
    assert (one.kw, one.is_test) == (7.5, False)
    assert math.isnan(one.at_s)
    assert ForgottenCalls.of(body).body()["verified_kw"] == [["city", "up", 7.5]], "and services of then read it"


def test_drills_are_kept_apart_from_calls_for_they_make_no_event_day() -> None:
    known = ForgottenCalls(drilled={"north": ((10.0, 20.0), (1.0, 2.0))})
    known.add(ForgottenCalls({"north": ((12.0, 15.0),)}, {"north": ((30.0, 40.0),)}), from_s=8.0)
    assert known.called == {"north": ((12.0, 15.0),)}
    assert known.drilled == {"north": ((10.0, 20.0), (30.0, 40.0))}
