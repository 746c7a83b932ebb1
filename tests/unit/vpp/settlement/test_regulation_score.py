"""Scores of regulation against hand-computed values, and signals to test with."""

from pathlib import Path

import numpy as np
import pytest

from vpp.dispatch.regulation.signal_table import Signal, parse_signal, read_signal
from vpp.domain.errors import InputError
from vpp.lab.twin.signals import regd_like
from vpp.settlement.agc_score import GUANGDONG, HUNAN, JIANGSU, NORTH_CHINA, SCORES, commands_of, judged
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


def _step(rate_kw_per_s: float, wait_s: float, off_kw: float) -> Trace:
    """A command of 50 kW at 10 s for 100 kW reserved; the answer waits, ramps, and stays off by a little."""
    time_s = np.arange(0.0, 301.0)
    signal = np.where(time_s >= 10.0, 50.0, 0.0)
    response = np.clip((time_s - 10.0 - wait_s) * rate_kw_per_s, 0.0, 50.0)
    response = np.where(response >= 50.0, 50.0 - off_kw, response)
    return Trace(time_s=time_s, signal_kw=signal, response_kw=response, capacity_kw=100.0)


def test_a_command_is_measured_by_rate_deviation_wait_and_depth() -> None:
    commands = commands_of(_step(rate_kw_per_s=1.0, wait_s=5.0, off_kw=0.5), dead_band=0.02, target_band=0.01)
    assert len(commands.depth) == 1
    assert commands.depth[0] == pytest.approx(0.5)
    # It has left the dead band of 2 kW with the first sample above it, 3 s after it began to move.
    assert commands.wait_s[0] == pytest.approx(8.0)
    assert commands.rate_per_min[0] == pytest.approx(0.6, abs=0.02)
    assert commands.deviation[0] == pytest.approx(0.005, abs=2e-4)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # rate 60 %/min, deviation 0.5 %, wait 8 s
        (NORTH_CHINA, (2 - 0.015 / 0.6) * (2 - 0.005 / 0.015) * (2 - 8 / 60)),
        (JIANGSU, (2 - 0.015 / 0.6) * (2 - 0.005 / 0.015)),
        (GUANGDONG, 0.25 * (2 * 5.0 + (1 - 8 / 300) + (1 - 0.005 / 0.015))),
        (HUNAN, 0.4 * 0.6 + 0.3 * (1 - 8 / 60) + 0.3 * (1 - 0.005 / 0.02)),
    ],
)
def test_each_province_weighs_the_same_command_its_way(rule: object, expected: float) -> None:
    score = rule.score(_step(rate_kw_per_s=1.0, wait_s=5.0, off_kw=0.5))  # type: ignore[attr-defined] # a rule
    assert score.total == pytest.approx(expected, rel=0.02)


def test_bounds_of_the_provinces_hold() -> None:
    nothing = Trace(
        time_s=np.arange(0.0, 301.0),
        signal_kw=np.where(np.arange(301) >= 10, 50.0, 0.0),
        response_kw=np.zeros(301),
        capacity_kw=100.0,
    )
    at_once = _step(rate_kw_per_s=1e6, wait_s=0.0, off_kw=0.0)
    assert NORTH_CHINA.score(nothing).total == pytest.approx(0.1**3)
    assert HUNAN.score(nothing).total == pytest.approx(0.0)
    assert not HUNAN.score(nothing).qualified
    assert HUNAN.score(at_once).parts["k1_rate"] == 3.0
    assert HUNAN.score(at_once).total <= 2.0
    assert GUANGDONG.score(at_once).parts["k1_rate"] == 5.0


def test_less_latency_is_never_worth_less_in_any_province() -> None:
    by_wait = [judged(_step(rate_kw_per_s=1.0, wait_s=wait, off_kw=0.2)) for wait in (0.0, 4.0, 10.0, 30.0)]
    for rule in set(SCORES) - {"pjm"}:
        totals = [found[rule]["total"] for found in by_wait]
        assert totals == sorted(totals, reverse=True)


def test_every_rule_names_its_source() -> None:
    assert all(rule.source and rule.name == name for name, rule in SCORES.items())


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


def test_the_seeded_signal_is_the_same_each_time_neutral_and_within_bounds() -> None:
    signal, again = (regd_like(seed=3, duration_s=86_400.0) for _ in range(2))
    assert (signal.value == again.value).all()
    assert not (signal.value == regd_like(seed=4, duration_s=86_400.0).value).all()
    assert np.abs(signal.value).max() <= 1.0
    assert abs(signal.value.mean()) < 1e-3
    swing_h = np.ptp(np.cumsum(signal.value)) * 2.0 / 3600.0
    assert swing_h < 0.6, "hours of full power that a battery would need"
    assert 10.0 < signal.mileage_per_h < 25.0


def test_a_signal_holds_each_value_until_the_next() -> None:
    signal = Signal(time_s=np.array([0.0, 10.0]), value=np.array([0.1, 0.2]))
    assert signal.at(np.array([-1.0, 0.0, 9.9, 10.0, 99.0])) == pytest.approx([np.nan, 0.1, 0.1, 0.2, 0.2], nan_ok=True)
    resampled = signal.resampled(4.0)
    assert (resampled.time_s.tolist(), resampled.value.tolist()) == ([0.0, 4.0, 8.0], [0.1, 0.1, 0.1])
    with pytest.raises(InputError, match="step_s"):
        signal.resampled(0.0)
    with pytest.raises(InputError, match="duration_s"):
        regd_like(seed=0, duration_s=1.0)


def test_a_users_table_is_read_with_instants_or_seconds_and_shares_or_kw(tmp_path: Path) -> None:
    path = tmp_path / "agc.csv"
    path.write_text("target_kw,time\n-120,0\n30.5,4.0\n")
    signal = read_signal(path)
    assert (signal.unit, signal.time_s.tolist(), signal.value.tolist()) == ("target_kw", [0.0, 4.0], [-120.0, 30.5])
    instants = parse_signal(b"time,value\n2026-07-15T14:00:00+08:00,0.5\n2026-07-15T14:00:02+08:00,-1\n")
    assert np.diff(instants.time_s).tolist() == [2.0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "header line"),
        (b"time,value\n", "header line"),
        (b"when,value\n0,0\n", "columns time and value"),
        (b"time,value\n0,0\n4\n", "row 2.*2 fields"),
        (b"time,value\n0,0\nlater,0\n", "row 2, time"),
        (b"time,value\n2026-07-15T14:00:00,0\n", "row 1, time.*offset"),
        (b"time,value\n0,0\n0,0\n", "row 2, time.*after"),
        (b"time,value\n0,1.5\n", "row 1, value.*-1 to 1"),
        (b"time,value\n0,nan\n", "row 1, value"),
        (b"time,target_kw\n0,inf\n", "row 1, target_kw.*kW"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_table_that_makes_no_sense_names_its_row(table: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_signal(table)
