"""Calls and verified power of forgotten requests, added up and bounded."""

from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.domain.request import Direction

UP, DOWN = Direction.UP, Direction.DOWN


def test_calls_are_kept_in_order_until_no_baseline_looks_at_them() -> None:
    known = ForgottenCalls({"north": ((10.0, 20.0),), "city": ((1.0, 5.0),)})
    known.add(ForgottenCalls({"north": ((30.0, 40.0), (2.0, 8.0), (10.0, 20.0))}), from_s=8.0)
    assert known.called == {"north": ((2.0, 8.0), (10.0, 20.0), (30.0, 40.0))}


def test_the_greatest_power_is_kept_by_area_and_direction() -> None:
    known = ForgottenCalls(verified_kw={("city", UP): 5.0})
    known.add(ForgottenCalls(verified_kw={("city", UP): 3.0, ("city", DOWN): -1.0}), from_s=0.0)
    assert known.verified_kw == {("city", DOWN): -1.0, ("city", UP): 5.0}


def test_a_body_is_read_as_it_was_written() -> None:
    known = ForgottenCalls({"city": ((0.1, 1e9 / 3.0),)}, {("city", UP): 1.0 / 3.0})
    assert ForgottenCalls.of(known.body()) == known
