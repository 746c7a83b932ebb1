"""Commands that are due, row by row."""

import numpy as np
import pytest

from numerics.views import read_only
from vpp.dispatch.commands.due_commands import NO_COMMAND, Resend, Wanted, due_layers
from vpp.dispatch.rows.command_columns import CommandColumns, blank_commands
from vpp.dispatch.rows.row_columns import repeated, views
from vpp.domain.setpoint import Layer

NOW_S, LEASE_S = 1000.0, 300.0
NAN = np.nan


def layer(
    commands: CommandColumns,
    *,
    default_kw: float = NAN,
    dispatch_kw: float = NAN,
    urgent: bool = False,
    up: bool = True,
    modulated_kw: float = NAN,
    share_kw: float = NAN,
) -> int:
    """Return the layer that is due to the only row, which is switched or stepped unless ``modulated_kw`` is given."""
    wanted = Wanted(
        rows=np.zeros(1, dtype=np.int32),
        default_kw=np.array([default_kw]),
        dispatch_kw=np.array([dispatch_kw]),
        until_s=np.array([NOW_S + LEASE_S]),
        reachable=np.array([up]),
        urgent=np.array([urgent]),
    )
    resend = Resend(
        kw=0.1,
        ratio=0.02,
        modulated_kw=read_only(np.array([modulated_kw])),
        share_kw=read_only(np.array([share_kw])),
        renew_s=0.5 * LEASE_S,
    )
    return int(due_layers(views(wanted), views(commands), resend, NOW_S)[0])


@pytest.fixture
def commands() -> CommandColumns:
    return repeated(blank_commands(), 1)


def hold(commands: CommandColumns, dispatch_kw: float, lease_s: float = NOW_S + LEASE_S) -> None:
    held = commands.in_force
    held.dispatch_kw[0], held.lease_s[0], held.limited_s[0] = dispatch_kw, lease_s, lease_s


def test_nothing_is_due_without_a_wish(commands: CommandColumns) -> None:
    assert layer(commands) == NO_COMMAND


def test_a_wanted_value_is_due_once_it_differs(commands: CommandColumns) -> None:
    assert layer(commands, dispatch_kw=5.0) == Layer.DISPATCH
    hold(commands, 5.05)
    assert layer(commands, dispatch_kw=5.0) == NO_COMMAND
    hold(commands, 5.2)
    assert layer(commands, dispatch_kw=5.0) == Layer.DISPATCH


def test_a_lease_is_renewed_in_its_second_half(commands: CommandColumns) -> None:
    hold(commands, 5.0, NOW_S + 160.0)
    assert layer(commands, dispatch_kw=5.0) == NO_COMMAND
    hold(commands, 5.0, NOW_S + 140.0)
    assert layer(commands, dispatch_kw=5.0) == Layer.DISPATCH


def test_a_value_that_is_not_wanted_any_more_is_released_once(commands: CommandColumns) -> None:
    hold(commands, 5.0)
    assert layer(commands) == Layer.RELEASE
    commands.unanswered.id[0], commands.unanswered.layer[0] = 3, Layer.RELEASE
    assert layer(commands, urgent=True) == NO_COMMAND


def test_only_an_urgent_row_does_not_wait_for_an_answer(commands: CommandColumns) -> None:
    commands.unanswered.id[0], commands.unanswered.layer[0], commands.unanswered.power_kw[0] = 3, Layer.DISPATCH, 2.0
    assert layer(commands, dispatch_kw=5.0) == NO_COMMAND
    assert layer(commands, dispatch_kw=5.0, urgent=True) == Layer.DISPATCH
    assert layer(commands, dispatch_kw=2.0, urgent=True) == NO_COMMAND, "it is on its way"


def test_a_row_that_refuses_a_dispatch_value_still_gets_its_default(commands: CommandColumns) -> None:
    commands.back_off.blocked_s[0] = NOW_S + 1.0
    assert layer(commands, dispatch_kw=5.0, default_kw=3.0) == Layer.DEFAULT
    commands.back_off.default_blocked_s[0] = NOW_S + 1.0
    assert layer(commands, dispatch_kw=5.0, default_kw=3.0) == NO_COMMAND


def test_nothing_is_due_to_a_row_out_of_reach_or_left_alone(commands: CommandColumns) -> None:
    assert layer(commands, dispatch_kw=5.0, up=False) == NO_COMMAND
    commands.back_off.retry_s[0] = NOW_S + 1.0
    assert layer(commands, dispatch_kw=5.0) == NO_COMMAND


def test_a_default_above_a_share_of_a_transformer_is_lowered_within_the_dead_band(commands: CommandColumns) -> None:
    commands.in_force.default_kw[0] = 7.0
    assert layer(commands, default_kw=6.6, modulated_kw=0.5) == NO_COMMAND
    assert layer(commands, default_kw=6.6, modulated_kw=0.5, share_kw=6.6) == Layer.DEFAULT
    commands.in_force.default_kw[0] = 6.6
    assert layer(commands, default_kw=6.4, modulated_kw=0.5, share_kw=6.6) == NO_COMMAND
