"""The bench of baselines on days whose truth is known by construction."""

from datetime import date, timedelta

import numpy as np
import pytest

from vpp.lab.bench.baseline.calls import RAISE_RATIO, WARM_UP_DAYS, Game, drawn_calls, evidence_of
from vpp.lab.bench.baseline.judgement import judge
from vpp.lab.bench.baseline.played_days import PlayedDays, bench_fleet, play
from vpp.lab.bench.baseline.run import report
from vpp.lab.twin.environment.world_file import KIND_WORLD
from vpp.lab.twin.physics.weather import Weather
from vpp.settlement.baselines.methods.registry import METHODS

DATES = tuple(date(2026, 5, 4) + timedelta(days=n) for n in range(WARM_UP_DAYS + 12))
ROWS = 20
EXACT = ("same_type_days", "mid_8_of_10", "own_meter")


def same_days() -> PlayedDays:
    """Return days that are all alike, so that every average of days is the truth."""
    day_kw = np.tile(50.0 + 20.0 * np.sin(np.arange(96) / 15.0), (ROWS, 1))
    power_kw = np.tile(day_kw, (len(DATES), 1, 1))
    warmth_c = np.tile(20.0 + np.arange(len(DATES))[:, None] % 5, (1, 96))
    ids = tuple(f"r{row}" for row in range(ROWS))
    return PlayedDays(days=DATES, true_kw=power_kw, metered_kw=power_kw, temperature_c=warmth_c, ids=ids)


def test_on_days_that_are_alike_averages_are_exact_and_gain_what_gaming_raises() -> None:
    played, calls = same_days(), list(drawn_calls(DATES, 1))
    found = {name: judge("hvac", METHODS[name], played, calls, seed=1) for name in EXACT}
    for judged in found.values():
        assert judged.calls > 0
        assert judged.bias_ratio == pytest.approx(0.0, abs=1e-9)
        assert judged.rrmse_ratio == pytest.approx(0.0, abs=1e-9)
    assert found["same_type_days"].gain_ratio[Game.WINDOW] == pytest.approx(RAISE_RATIO)
    assert found["same_type_days"].gain_ratio[Game.NOTICE] == pytest.approx(0.0), "nothing after notice adjusts"
    assert found["mid_8_of_10"].gain_ratio[Game.WINDOW] == pytest.approx(0.0)
    assert 0.0 < found["mid_8_of_10"].gain_ratio[Game.REFERENCE] < RAISE_RATIO


def test_a_rule_whose_window_ends_at_the_event_can_be_raised_after_notice() -> None:
    for name in ("meter_before", "own_meter"):
        judged = judge("hvac", METHODS[name], same_days(), list(drawn_calls(DATES, 1)), seed=1)
        assert judged.gain_ratio[Game.NOTICE] > 0.05


def test_no_method_sees_the_event_of_the_rows_that_are_called() -> None:
    played, calls = same_days(), list(drawn_calls(DATES, 3))
    assert calls
    for call in calls:
        seen = evidence_of(played, call, Game.NONE, seed=3)
        assert np.isnan(seen.today_kw[np.ix_(~np.asarray(seen.held_out), seen.event)]).all()
        assert max(seen.days) < seen.today


def test_the_report_names_the_world_the_default_and_the_winner_of_a_class() -> None:
    played, calls = same_days(), list(drawn_calls(DATES, 1))
    found = [judge("hvac", method, played, calls, seed=1) for method in METHODS.values() if not method.needs]
    body = report(found, title="alike", days=12)
    rows = body["results"]
    assert isinstance(rows, list)
    assert body["world"] == "alike"
    assert [row["method"] for row in rows if row["default"]] == ["own_meter"]
    assert any(row["winner"] for row in rows)
    assert {"class", "method", "bias_ratio", "rrmse_ratio", "gaming_gain_ratio"} <= rows[0].keys()


def test_the_twin_is_played_without_a_command_and_its_meters_are_near_its_truth() -> None:
    found = play(bench_fleet(8), DATES[:1], seed=1, world=KIND_WORLD, weather=Weather.builtin())
    assert set(found) == {"ev", "pv", "hvac", "industry"}
    hvac = found["hvac"]
    assert hvac.true_kw.shape == (1, 4, 96)
    assert hvac.metered_kw == pytest.approx(hvac.true_kw, rel=0.1, abs=0.5)
    assert (found["pv"].true_kw <= 0.0).all()
