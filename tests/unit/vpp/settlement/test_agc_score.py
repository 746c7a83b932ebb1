"""Provincial scores of regulation against hand-computed values."""

import numpy as np
import pytest

from vpp.settlement.agc_score import GUANGDONG, HUNAN, JIANGSU, NORTH_CHINA, SCORES, commands_of, judged
from vpp.settlement.regulation_score import Trace


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
    provinces = set(SCORES) - {"pjm"}
    assert len(provinces) == 4
    for rule in provinces:
        totals = [found[rule]["total"] for found in by_wait]
        assert totals == sorted(totals, reverse=True)


def test_every_rule_names_its_source() -> None:
    assert len(SCORES) == 5
    assert all(rule.source and rule.name == name for name, rule in SCORES.items())
