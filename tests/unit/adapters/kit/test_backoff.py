"""Back-off: doubling up to a bound, spread by jitter, one policy for any number of devices."""

import random

import pytest

from adapters.kit.backoff import Backoff


def test_waits_double_up_to_their_limit_and_start_over_after_a_success() -> None:
    backoff = Backoff(first_s=1.0, longest_s=8.0, jitter=(0.5, 1.0))
    for failures, full_s in enumerate((1.0, 2.0, 4.0, 8.0, 8.0), start=1):
        assert 0.5 * full_s <= backoff.wait_s(failures) <= full_s
    assert backoff.wait_s(1) <= 1.0


@pytest.mark.parametrize("failures", [0, 1])
def test_nothing_failed_yet_waits_as_the_first_failure(failures: int) -> None:
    assert Backoff(first_s=3.0, longest_s=9.0, jitter=(1.0, 1.0)).wait_s(failures) == 3.0


def test_any_number_of_failures_stays_within_the_bound() -> None:
    assert Backoff(first_s=1.0, longest_s=60.0, jitter=(1.0, 1.0)).wait_s(10**9) == 60.0


def test_a_wait_that_the_other_side_asked_for_doubles_in_place_of_the_first() -> None:
    backoff = Backoff(first_s=1.0, longest_s=120.0, jitter=(1.0, 1.0))
    assert [backoff.wait_s(n, first_s=40.0) for n in (1, 2, 3)] == [40.0, 80.0, 120.0]


def test_waits_are_spread_and_reproducible_with_a_seed() -> None:
    backoff = Backoff(first_s=1.0, longest_s=1.0, jitter=(0.5, 1.5))

    def draw(seed: int) -> list[float]:
        lot = random.Random(seed)  # noqa: S311 - jitter
        return [backoff.wait_s(1, lot.uniform) for _ in range(100)]

    assert draw(7) == draw(7)
    assert min(draw(7)) < 0.6
    assert max(draw(7)) > 1.4
