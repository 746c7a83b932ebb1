"""Admission: token bucket, queue of handshakes, and the detection of a rush."""

import math

from adapters.kit.admission import Admission, RushDetector, TokenBucket


def test_a_bucket_lets_through_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(8.0, 5.0)
    assert sum(bucket.take(0.0) for _ in range(20)) == 5
    assert sum(bucket.take(1.0) for _ in range(20)) == 5
    assert sum(bucket.take(1.0 + n / 8.0) for n in range(1, 21)) == 20
    assert TokenBucket(math.inf, 0.0).take(0.0)


def test_the_longer_the_queue_the_later_may_those_turned_away_come_back() -> None:
    admission = Admission(10.0, 10.0)
    waits = [admission.admit(0.0, has_priority=lambda: False) for _ in range(1010)]
    assert waits[:10] == [0.0] * 10
    assert 1.0 <= waits[10] <= 1.5
    assert 100.0 <= waits[-1] <= 150.0
    assert admission.admit(0.0, has_priority=lambda: True) == 0.0


def test_nobody_is_asked_to_wait_longer_than_ten_minutes() -> None:
    admission = Admission(1.0, 1.0)
    waits = [admission.admit(0.0, has_priority=lambda: False) for _ in range(2_000)]
    assert max(waits) == Admission.LONGEST_WAIT_S == 600.0


def test_a_rush_outlasts_a_lull_between_gusts_and_a_trickle_is_none() -> None:
    rush = RushDetector()
    assert not rush.is_on(0.0)
    for _ in range(RushDetector.MANY + 1):
        rush.arrived()
    rush.tick(0.1)
    rush.tick(0.6)
    assert rush.is_on(0.9)
    assert not rush.is_on(0.1 + RushDetector.CALM_WALL_S)
    for tick in range(20, 40):
        rush.arrived()
        rush.tick(tick * 0.1)
        assert not rush.is_on(tick * 0.1)
