"""Waits after commands that failed."""

import numpy as np
import pytest

from vpp.dispatch.commands.back_off import RowBackOff
from vpp.dispatch.rows.command_columns import BackOffColumns, blank_commands
from vpp.dispatch.rows.row_columns import repeated
from vpp.dispatch.settings import BackOff
from vpp.domain.setpoint import Layer

RULES = BackOff()
ROW = np.array([0], dtype=np.int32)


def fresh() -> tuple[BackOffColumns, RowBackOff]:
    own = repeated(blank_commands(), 2).back_off
    return own, RowBackOff(own, RULES)


def refuse(back_off: RowBackOff, layer: Layer, at_s: float) -> None:
    back_off.refused(ROW, np.array([layer], dtype=np.uint8), np.array([at_s]))


@pytest.mark.parametrize(("times", "wait_s"), [(1, 30.0), (2, 60.0), (3, 120.0), (9, RULES.retry_after_s)])
def test_a_row_that_is_not_reached_is_left_alone_for_longer_each_time(times: int, wait_s: float) -> None:
    own, back_off = fresh()
    for _ in range(times):
        back_off.unreachable(ROW, np.array([100.0]))
    assert own.retry_s[0] == own.away_s[0] == 100.0 + wait_s
    assert own.away_s[1] == -np.inf


def test_a_link_that_comes_up_ends_the_wait() -> None:
    own, back_off = fresh()
    back_off.unreachable(ROW, np.array([100.0]))
    back_off.reconnected(np.array([True, True]))
    assert own.retry_s[0] == own.away_s[0] == -np.inf
    assert own.failures[0] == 0


def test_the_first_refusals_are_excused_and_the_last_counts() -> None:
    own, back_off = fresh()
    for _ in range(RULES.refusals - 1):
        refuse(back_off, Layer.DISPATCH, 100.0)
        assert own.retry_s[0] == 100.0 + RULES.refused_retry_s
        assert own.blocked_s[0] == -np.inf
    refuse(back_off, Layer.DISPATCH, 200.0)
    assert own.blocked_s[0] == 200.0 + RULES.retry_after_s


def test_ignoring_counts_at_once_and_only_a_meter_takes_it_back() -> None:
    own, back_off = fresh()
    back_off.ignored(ROW, 100.0)
    assert own.blocked_s[0] > 100.0
    assert own.ignored[0]
    back_off.accepted(ROW)
    assert own.strikes[0] == 1
    back_off.confirmed(ROW)
    assert own.strikes[0] == 0


def test_a_refusal_holds_in_its_own_layer_only() -> None:
    own, back_off = fresh()
    refuse(back_off, Layer.DEFAULT, 100.0)
    refuse(back_off, Layer.RELEASE, 100.0)
    assert own.default_blocked_s[0] == 100.0 + RULES.retry_after_s
    assert own.retry_s[0] == 100.0 + RULES.unreachable_retry_s
    assert (own.strikes[0], own.blocked_s[0]) == (0, -np.inf)
