"""Only what was measured in a quarter of an hour is metered in it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.settlement.performance_parts import INDEX
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.trouble import Trouble, mask_of
from vpp.telemetry.metering import Frame, MeteredMeans

BEGIN_S = 1_784_088_000.0
STALE_S = 180.0
POWER, CONNECTED, TROUBLES = int(Quantity.POWER_KW), int(Quantity.CONNECTED), int(Quantity.TROUBLES)
Sample = tuple[float, float]
"""Seconds after the begin, and kW; an infinite power is a lost link."""


def metered(samples: list[Sample], *, until_s: float = 2000.0, row: int = 0) -> dict[float, Frame]:
    """Return the last frame of every interval by its begin, in seconds after the first."""
    means, frames = MeteredMeans(INDEX, BEGIN_S, STALE_S), {}
    waiting = sorted(samples)
    now_s = 0.0
    while now_s <= until_s:
        heard = [sample for sample in waiting if sample[0] <= now_s]
        waiting = waiting[len(heard) :]
        batch = [
            (row, CONNECTED, 0.0, BEGIN_S + at_s) if np.isinf(kw) else (row, POWER, kw, BEGIN_S + at_s)
            for at_s, kw in heard
        ]
        for frame in means.take(TelemetryBatch.of(batch), BEGIN_S + now_s):
            frames[frame[0] - BEGIN_S] = frame
        now_s += 10.0
    return frames


def every(period_s: float, kw: float, from_s: float = 0.0, until_s: float = 1000.0) -> list[Sample]:
    return [(at_s, kw) for at_s in np.arange(from_s, until_s, period_s).tolist()]


def mean_and_share(frame: Frame, row: int = 0) -> tuple[float, float]:
    return float(frame[1][row]), float(frame[2][row])


def test_a_steady_device_is_metered_altogether() -> None:
    frame = metered(every(30.0, 8.0))[0.0]
    assert mean_and_share(frame) == (pytest.approx(8.0), pytest.approx(1.0))
    assert np.isnan(frame[1][1]), "others are unknown, not zero"
    assert frame[2][1] == 0.0


def test_the_mean_is_weighted_by_time_whatever_the_sample_times() -> None:
    samples = [*every(30.0, 10.0, until_s=300.0), *every(30.0, 40.0, from_s=300.0)]
    assert mean_and_share(metered(samples)[0.0]) == (pytest.approx(30.0), pytest.approx(1.0))


@pytest.mark.parametrize("period_s", [5.0, 30.0, 60.0])
def test_what_follows_the_last_sample_of_a_silent_device_is_not_metered(period_s: float) -> None:
    mean_kw, share = mean_and_share(metered(every(period_s, 20.0, until_s=361.0))[0.0])
    assert mean_kw == pytest.approx(20.0)
    assert share == pytest.approx(360.0 / 900.0)


def test_a_gap_is_not_bridged_by_the_value_before_it() -> None:
    samples = [*every(30.0, 20.0, until_s=301.0), *every(30.0, 20.0, from_s=600.0)]
    mean_kw, share = mean_and_share(metered(samples)[0.0])
    assert (mean_kw, share) == (pytest.approx(20.0), pytest.approx(600.0 / 900.0))


def test_one_missed_report_is_bridged_only_where_the_power_stayed_the_same() -> None:
    before, same, other = (
        every(30.0, 20.0, until_s=301.0),
        every(30.0, 20.0, from_s=360.0),
        every(30.0, 60.0, from_s=360.0),
    )
    assert mean_and_share(metered([*before, *same])[0.0])[1] == pytest.approx(1.0)
    assert mean_and_share(metered([*before, *other])[0.0])[1] == pytest.approx(840.0 / 900.0)


@pytest.mark.parametrize("period_s", [300.0, 900.0])
def test_a_device_that_reports_seldom_is_metered_once_its_period_is_known(period_s: float) -> None:
    frames = metered(every(period_s, 7.0, until_s=5000.0), until_s=6000.0)
    assert mean_and_share(frames[1800.0]) == (pytest.approx(7.0), pytest.approx(1.0))


def test_a_burst_of_readings_does_not_make_the_next_regular_one_late() -> None:
    burst = [(420.0 + k, 8.0) for k in range(30)]
    samples = sorted([*every(60.0, 8.0), *burst])
    assert mean_and_share(metered(samples)[0.0]) == (pytest.approx(8.0), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("troubles", "mean_kw"), [((Trouble.POWER_FROM_REGISTER, Trouble.CLOCK_OFF), 40.0), ((), 160.0 / 3.0)]
)
def test_a_power_from_the_register_counts_for_the_stretch_it_is_the_mean_of(
    troubles: tuple[Trouble, ...], mean_kw: float
) -> None:
    # Truly 60 kW until the middle of the interval and 20 kW from then on, read off a register every five minutes.
    readings = [*every(300.0, 60.0, from_s=-900.0, until_s=301.0), (600.0, 40.0), (900.0, 20.0)]
    means, frames = MeteredMeans(INDEX, BEGIN_S - 900.0, STALE_S), {}
    means.take(TelemetryBatch.of([(0, TROUBLES, float(mask_of(troubles)), BEGIN_S - 900.0)]), BEGIN_S - 900.0)
    for at_s, kw in readings:
        for frame in means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s)]), BEGIN_S + at_s):
            frames[frame[0]] = frame
    assert mean_and_share(frames[BEGIN_S]) == (pytest.approx(mean_kw), pytest.approx(1.0))


def test_a_lost_link_ends_what_is_metered() -> None:
    samples = [*every(30.0, 8.0, until_s=300.0), (305.0, np.inf), *every(30.0, 8.0, from_s=330.0)]
    assert mean_and_share(metered(samples)[0.0])[1] == pytest.approx((270.0 + 570.0) / 900.0)


def test_an_impossible_value_is_no_measurement_of_what_lies_around_it() -> None:
    samples = [(at_s, 1e6 if at_s == 450.0 else 8.0) for at_s, _ in every(30.0, 8.0)]
    assert mean_and_share(metered(samples)[0.0]) == (pytest.approx(8.0), pytest.approx(840.0 / 900.0))


def test_a_sample_from_the_future_counts_as_of_now() -> None:
    ahead = [(at_s, 8.0) for at_s, _ in every(30.0, 8.0)]
    means, frames = MeteredMeans(INDEX, BEGIN_S, STALE_S), []
    for at_s, kw in ahead:
        batch = TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s + 400.0)])
        frames += means.take(batch, BEGIN_S + at_s)
    assert mean_and_share(frames[-1]) == (pytest.approx(8.0), pytest.approx(1.0))


def test_a_clock_that_is_five_minutes_slow_makes_an_interval_late_not_incomplete() -> None:
    means, frames = MeteredMeans(INDEX, BEGIN_S - 900.0, STALE_S), {}
    for at_s, kw in every(30.0, 8.0, until_s=1400.0):
        for frame in means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s - 300.0)]), BEGIN_S + at_s):
            frames[frame[0]] = frame
    assert mean_and_share(frames[BEGIN_S]) == (pytest.approx(8.0), pytest.approx(1.0))
    assert means.final_until_s == BEGIN_S + 900.0


def test_an_interval_is_given_out_as_it_ends_and_again_when_it_is_final() -> None:
    means = MeteredMeans(INDEX, BEGIN_S, STALE_S)
    told = []
    for at_s, kw in every(60.0, 8.0, from_s=20.0, until_s=1100.0):
        told += means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s)]), BEGIN_S + at_s)
        if at_s == 860.0:
            told += means.take(TelemetryBatch.of([]), BEGIN_S + 905.0)
    assert [frame[0] for frame in told] == [BEGIN_S, BEGIN_S]
    assert [mean_and_share(frame)[1] for frame in told] == pytest.approx([840.0 / 900.0, 880.0 / 900.0])
    assert means.final_until_s == BEGIN_S + 900.0


def test_a_loop_that_stood_still_closes_what_it_missed_as_unknown() -> None:
    means = MeteredMeans(INDEX, BEGIN_S, STALE_S)
    for at_s, kw in every(30.0, 8.0, until_s=1201.0):
        means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s)]), BEGIN_S + at_s)
    frames = means.take(TelemetryBatch.of([(0, POWER, 8.0, BEGIN_S + 20_000.0)]), BEGIN_S + 20_000.0)
    assert [frame[0] for frame in frames] == [BEGIN_S + 900.0], (
        "nothing was metered since, so there is nothing to store"
    )
    assert means.final_until_s > BEGIN_S + 18_000.0


def test_rows_that_join_begin_unknown() -> None:
    means = MeteredMeans(replace(INDEX, resources=INDEX.resources[:2]), BEGIN_S, STALE_S)
    for at_s, kw in every(30.0, 8.0, until_s=450.0):
        means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s)]), BEGIN_S + at_s)
    means.resize(INDEX)
    frames = []
    for at_s in np.arange(450.0, 1000.0, 30.0).tolist():
        both = TelemetryBatch.of([(row, POWER, 8.0, BEGIN_S + at_s) for row in (0, 3)])
        frames += means.take(both, BEGIN_S + at_s)
    assert frames[-1][2].tolist() == pytest.approx([1.0, 0.0, 0.0, 0.5])


def test_a_device_in_the_row_of_another_is_metered_by_its_own_period_alone() -> None:
    """The former device reported every 20 s, so 120 s without a report would have been a gap."""
    means, alone = MeteredMeans(INDEX, BEGIN_S, STALE_S), MeteredMeans(INDEX, BEGIN_S, STALE_S)
    for at_s, kw in every(20.0, 5.0, until_s=300.0):
        means.take(TelemetryBatch.of([(0, POWER, kw, BEGIN_S + at_s)]), BEGIN_S + at_s)
    means.take(TelemetryBatch.of([(0, CONNECTED, np.nan, BEGIN_S + 300.0)]), BEGIN_S + 300.0)
    frames = [_next_device(one) for one in (means, alone)]
    own, fresh = (next(frame for frame in taken if frame[0] == BEGIN_S + 900.0) for taken in frames)
    assert mean_and_share(own) == mean_and_share(fresh) == (pytest.approx(9.6), pytest.approx(240.0 / 900.0))
    assert frames[0][0][2][0] == pytest.approx(280.0 / 900.0), "what the former device metered stays"


def _next_device(means: MeteredMeans) -> list[Frame]:
    """Return the frames of a device that reports every two minutes."""
    heard = [
        means.take(TelemetryBatch.of([(0, POWER, at_s / 100.0, BEGIN_S + at_s)]), BEGIN_S + at_s)
        for at_s in (900.0, 1020.0, 1140.0)
    ]
    return [frame for frames in (*heard, means.take(TelemetryBatch.of([]), BEGIN_S + 1800.0)) for frame in frames]
