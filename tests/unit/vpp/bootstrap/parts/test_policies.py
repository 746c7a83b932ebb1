"""Policies of planner and dispatcher follow the settings."""

import pytest

from vpp.bootstrap.parts.policies import dispatch_settings, planning_policy
from vpp.config import Settings


def test_reserve_windows_and_their_recovery_reach_the_planner() -> None:
    settings = Settings.load(
        reserve_windows="13-15=1000,20-22=2000",
        reserve_recovery_kw=500.0,
        regulation_kw=7.0,
        release_minutes=15.0,
        rebound_watch_minutes=60.0,
    )
    policy = planning_policy(settings)
    assert [(w.from_hour, w.until_hour) for w in policy.reserve.windows] == [(13.0, 15.0), (20.0, 22.0)]
    assert policy.regulation_kw == 7.0
    assert policy.reserve.refill is not None
    assert (policy.reserve.refill.power_kw, policy.reserve.refill.after_h) == (500.0, 1.25)
    bare = planning_policy(Settings.load())
    assert (bare.reserve.windows, bare.reserve.refill, bare.regulation_kw) == ((), None, 0.0)


@pytest.mark.parametrize(("sample_s", "confirm_s"), [(10.0, 120.0), (60.0, 180.0)])
def test_a_setpoint_is_confirmed_within_two_samples_and_an_answer(sample_s: float, confirm_s: float) -> None:
    commands = dispatch_settings(Settings.load(sample_s=sample_s, call_timeout_s=60.0)).commands
    assert (commands.confirmation.within_s, commands.back_off.answer_s) == (confirm_s, 180.0)
