"""The loops that measure the fast loop by hand still run, on a thousandth of the city."""

import sys

import pytest

from tests.load import fast_loop, regulation_loop

SHARE = ("--share", "0.001")


def test_the_stages_of_a_cycle_are_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fast_loop", *SHARE, "--hold-minutes", "1"])
    fast_loop.main()
    shown = capsys.readouterr().out
    for title in ("set-up", "idle", "ramp", "hold"):
        assert f"--- {title}\n" in shown


def test_ticks_of_regulation_are_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["regulation_loop", *SHARE, "--minutes", "1"])
    regulation_loop.main()
    assert "engine.tick " in (shown := capsys.readouterr().out)
    assert "tick p50" in shown
