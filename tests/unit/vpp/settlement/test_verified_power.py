"""What events have shown, and what the last test leaves of it."""

import math
import random
from dataclasses import replace

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, quote
from vpp.domain.flexibility import Verified
from vpp.domain.request import DispatchRequest, Product, Purpose, RequestState, Transition
from vpp.settlement.verified_power import NOTHING, Shown, shown_by, together, verified_by, worth_keeping

DAY_S = 86_400.0
FULL = Shown(kw=1000.0, at_s=0.0, followed_ratio=0.95, is_test=True)


def verified_kw(*events: Shown, now_s: float = DAY_S) -> float:
    return verified_by(events, now_s=now_s, valid_s=90.0 * DAY_S).kw


def settled(*, accepted_kw: float, p50_kw: float = 400.0, whole_kw: float | None = None) -> DispatchRequest:
    answer = replace(quote(p50_kw=p50_kw), whole_kw=whole_kw, delivery_ratio=0.9)
    draft = replace(DRAFT, purpose=Purpose.DRILL, drawn_ratio=0.2)
    return DispatchRequest(
        id="r", draft=draft, state=RequestState.SETTLED, created_at=NOW, quote=answer, accepted_kw=accepted_kw
    )


def test_nothing_is_verified_before_any_event() -> None:
    assert verified_by((), now_s=0.0, valid_s=1.0) == NOTHING
    assert math.isnan(NOTHING.at_s)


def test_a_drawn_part_stands_for_the_whole_area_by_the_ratio_of_their_quotes() -> None:
    one = shown_by(settled(accepted_kw=400.0, whole_kw=2000.0), 280.0)
    assert one is not None
    assert one.kw == pytest.approx(1400.0), "seven tenths of what the area was quoted for"
    assert one.followed_ratio == pytest.approx(0.63)
    assert one.is_test
    assert one.at_s == DRAFT.end_at.timestamp()


def test_a_request_for_less_than_was_expected_is_no_test_for_others_made_up() -> None:
    one = shown_by(settled(accepted_kw=100.0), 100.0)
    assert one is not None
    assert (one.kw, one.is_test) == (100.0, False)


def test_a_drill_that_a_call_has_ended_is_no_test() -> None:
    step = Transition(at=NOW, actor="service", version=1, from_state=None, to_state=RequestState.SUPERSEDED, reason="")
    one = shown_by(replace(settled(accepted_kw=400.0), history=(step,)), 20.0)
    assert one is not None
    assert not one.is_test


def test_what_cannot_be_judged_shows_nothing() -> None:
    request = settled(accepted_kw=400.0)
    regulation = replace(request, draft=replace(DRAFT, product=Product.REGULATION))
    assert shown_by(request, math.nan) is None
    assert shown_by(regulation, 100.0) is None
    unquoted = shown_by(replace(request, quote=None), 100.0)
    assert unquoted is not None
    assert not unquoted.is_test


def test_a_test_that_falls_short_leaves_its_share_of_what_was_shown_before() -> None:
    short = Shown(kw=140.0, at_s=DAY_S, followed_ratio=0.665, is_test=True)
    assert verified_kw(FULL, short) == pytest.approx(700.0)
    assert verified_kw(short, FULL) == pytest.approx(700.0), "in whatever order"


def test_a_quote_that_has_become_honest_does_not_bring_back_what_is_not_there() -> None:
    short = Shown(kw=140.0, at_s=DAY_S, followed_ratio=0.665, is_test=True)
    honest = Shown(kw=700.0, at_s=2.0 * DAY_S, followed_ratio=1.0 * 0.665, is_test=True)
    assert verified_kw(FULL, short, honest, now_s=3.0 * DAY_S) == pytest.approx(700.0)


def test_devices_that_follow_again_bring_it_back_with_the_next_test() -> None:
    short = Shown(kw=140.0, at_s=DAY_S, followed_ratio=0.665, is_test=True)
    mended = Shown(kw=200.0, at_s=2.0 * DAY_S, followed_ratio=0.95, is_test=True)
    assert verified_kw(FULL, short, mended, now_s=3.0 * DAY_S) == pytest.approx(1000.0)


def test_a_lesser_call_raises_and_never_lowers_it() -> None:
    easy = Shown(kw=100.0, at_s=DAY_S, followed_ratio=0.3)
    assert verified_kw(FULL, easy) == 1000.0


def test_an_event_expires_and_one_of_unknown_time_does_not() -> None:
    late = Shown(kw=10.0, at_s=91.0 * DAY_S)
    found = verified_by((FULL, late), now_s=91.0 * DAY_S, valid_s=90.0 * DAY_S)
    assert (found.kw, found.at_s) == (10.0, 91.0 * DAY_S)
    assert verified_kw(Shown(kw=50.0), late, now_s=1e12) == 50.0
    assert math.isnan(verified_by((Shown(kw=50.0),), now_s=1e12, valid_s=1.0).at_s)


def test_what_raised_the_load_instead_verifies_nothing() -> None:
    assert verified_kw(Shown(kw=-5.0, at_s=1.0)) == 0.0


def test_only_what_may_still_decide_is_kept() -> None:
    old_test = Shown(kw=3.0, at_s=1.0, is_test=True)
    test = Shown(kw=1.0, at_s=5.0, is_test=True)
    best, last = Shown(kw=9.0, at_s=2.0), Shown(kw=4.0, at_s=8.0)
    assert worth_keeping([last, test, old_test, best]) == [best, test, last]
    assert worth_keeping([]) == []


def test_what_a_bad_test_would_leave_more_of_is_kept() -> None:
    half, whole = Shown(kw=9.0, at_s=1.0, followed_ratio=0.5), Shown(kw=10.0, at_s=2.0, followed_ratio=1.0)
    assert worth_keeping([whole, half]) == [half, whole]
    assert worth_keeping([replace(half, followed_ratio=0.9), whole]) == [whole]


def test_an_event_that_never_expires_is_outdone_by_none_that_does() -> None:
    lasting, dated = Shown(kw=5.0), Shown(kw=9.0, at_s=1.0)
    assert worth_keeping([dated, lasting]) == [lasting, dated]
    assert worth_keeping([lasting, replace(lasting, kw=4.0)]) == [lasting]


def test_forgetting_changes_nothing_that_is_verified() -> None:
    lots = random.Random(5)  # noqa: S311 - lots of a test

    def some(count: int, after_s: float) -> list[Shown]:
        return [
            Shown(
                kw=lots.choice([-1.0, 3.0, 9.0, 10.0]),
                at_s=math.nan if after_s == 0.0 and lots.random() < 0.1 else after_s + lots.randrange(5),
                followed_ratio=lots.choice([math.nan, 0.0, 0.3, 0.5, 1.0]),
                is_test=lots.random() < 0.3,
            )
            for _ in range(count)
        ]

    for _ in range(2000):
        past = [one if not math.isnan(one.at_s) else Shown(kw=one.kw) for one in some(5, 0.0)]
        later = some(lots.randrange(3), 5.0)
        for now_s in (6.0, 10.0, 13.0):
            valid = {"now_s": now_s, "valid_s": 8.0}
            assert verified_by([*worth_keeping(past), *later], **valid) == _like(verified_by([*past, *later], **valid))


def _like(one: Verified) -> Verified:
    """Return an equal of it, its unknown time included."""
    return replace(one, at_s=pytest.approx(one.at_s, nan_ok=True))


def test_areas_add_up_and_are_as_old_as_the_oldest() -> None:
    assert together([Verified(kw=5.0, at_s=9.0), Verified(kw=3.0, at_s=4.0), NOTHING]) == Verified(kw=8.0, at_s=4.0)
    assert together([]).kw == 0.0
