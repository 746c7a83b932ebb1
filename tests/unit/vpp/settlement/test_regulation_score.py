"""The performance score of regulation against hand-computed values."""

import numpy as np
import pytest

from vpp.domain.errors import InputError
from vpp.lab.twin.signals import regd_like
from vpp.settlement.regulation_score import PjmScore, Trace

PUBLISHED = {2: 0.991, 4: 0.980, 6: 0.961, 10: 0.946, 20: 0.896, 30: 0.849, 60: 0.726}
"""PJM score of a RegD-like signal by pure latency in seconds, from the project's measurements (optimizer.md, F)."""


def _trace(signal: np.ndarray, response: np.ndarray, *, step_s: float = 10.0, capacity_kw: float = 100.0) -> Trace:
    time_s = step_s * np.arange(len(signal))
    return Trace(time_s=time_s, signal_kw=signal, response_kw=response, capacity_kw=capacity_kw)


def _wave(count: int = 360) -> np.ndarray:
    return 50.0 * np.sin(2.0 * np.pi * np.arange(count) / 90.0)


def test_a_perfect_answer_scores_one() -> None:
    score = PjmScore().score(_trace(_wave(), _wave()))
    assert score.total == pytest.approx(1.0)
    assert score.qualified


def test_an_answer_half_as_large_loses_precision_only() -> None:
    score = PjmScore().score(_trace(_wave(), 0.5 * _wave()))
    assert score.parts == pytest.approx({"correlation": 1.0, "delay": 1.0, "precision": 0.5})
    assert score.total == pytest.approx((1.0 + 1.0 + 0.5) / 3.0)


def test_an_answer_thirty_seconds_late_loses_a_tenth_of_the_delay_score() -> None:
    late = np.concatenate([np.zeros(3), _wave(367)[:-3]])[: len(_wave())]
    score = PjmScore().score(_trace(_wave(), late))
    # The last of the twelve blocks has no room to shift and finds its best match at once.
    assert score.over_time["delay"][1:11] == pytest.approx(np.full(10, 0.9))


def test_no_answer_scores_nothing_and_forfeits_the_hour() -> None:
    score = PjmScore().score(_trace(_wave(), np.zeros(360)))
    assert score.total == pytest.approx(0.0)
    assert not score.qualified


def test_a_constant_signal_is_judged_by_its_slope() -> None:
    flat = np.full(360, 20.0)
    ramp = 20.0 + 10.0 * (np.arange(30) / 29.0 - 0.5)
    held = PjmScore().score(_trace(flat, flat))
    drifting = PjmScore().score(_trace(flat, np.tile(ramp, 12)))
    assert held.total == pytest.approx(1.0)
    assert drifting.parts["correlation"] == pytest.approx(0.5)


def test_hours_count_alike_and_less_than_five_minutes_are_no_score() -> None:
    signal = _wave(720)
    response = np.concatenate([signal[:360], np.zeros(360)])
    assert PjmScore().score(_trace(signal, response)).over_time["hour"] == pytest.approx([1.0, 0.0], abs=1e-9)
    assert np.isnan(PjmScore().score(_trace(signal[:20], signal[:20])).total)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_score_falls_with_latency_as_published(seed: int) -> None:
    signal = regd_like(seed=seed, duration_s=86_400.0)
    totals = []
    for latency_s in PUBLISHED:
        late = np.concatenate([np.zeros(latency_s // 2), signal.value[: -latency_s // 2]])
        trace = Trace(time_s=signal.time_s, signal_kw=signal.value, response_kw=late, capacity_kw=1.0)
        totals.append(PjmScore().score(trace).total)
    assert totals == sorted(totals, reverse=True)
    assert totals == pytest.approx(list(PUBLISHED.values()), abs=0.03)


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity_kw": 0.0},
        {"time_s": np.array([0.0, 0.0])},
        {"signal_kw": np.array([0.0, np.nan])},
        {"response_kw": np.array([0.0])},
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    good = {"time_s": np.arange(2.0), "signal_kw": np.zeros(2), "response_kw": np.zeros(2), "capacity_kw": 1.0}
    with pytest.raises(InputError):
        Trace(**{**good, **changes})  # type: ignore[arg-type] # on purpose
