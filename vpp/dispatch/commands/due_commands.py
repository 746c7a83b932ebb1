"""Due commands: the difference between the values wanted of a row and those it is believed to hold."""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray

NO_COMMAND = 255
_ANY_KW = 1e-6
"""A default of a row that does not modulate is a safe one: a transformer's limit counts on it to the watt."""
_DEFAULT, _DISPATCH, _RELEASE = int(Layer.DEFAULT), int(Layer.DISPATCH), int(Layer.RELEASE)


class Wanted(NamedTuple):
    """Values wanted of some rows, shape ``(len(rows),)`` each, read-only for compiled code.

    Attributes:
        rows: Fleet rows, rising.
        default_kw: Default value, NaN for no wish.
        dispatch_kw: Dispatch value, NaN where the row is to be free.
        until_s: Lease to give to a dispatch value.
        reachable: Rows whose link is up.
        urgent: Rows that do not wait for the outcome of an earlier command.
    """

    rows: RowArray
    default_kw: FloatArray
    dispatch_kw: FloatArray
    until_s: FloatArray
    reachable: BoolArray
    urgent: BoolArray


class Resend(NamedTuple):
    """Changes that are worth a command.

    Attributes:
        kw: Absolute change of a row that is switched or stepped.
        ratio: The same, relative to the value in force.
        modulated_kw: Absolute change of a row that modulates, NaN for other rows, shape ``(n_resources,)``.
        share_kw: Bound of the default value by a transformer's limit, NaN for none, shape ``(n_resources,)``; a default
            value above it is lowered however small the change.
        renew_s: A lease with less than this left is renewed.
    """

    kw: float
    ratio: float
    modulated_kw: FloatArray
    share_kw: FloatArray
    renew_s: float


@njit()
def due_layers(wanted: Wanted, commands: CommandColumns, resend: Resend, now_s: float) -> CodeArray:
    """Return the layer of the command that each row needs, ``NO_COMMAND`` for none, shape ``(len(rows),)``.

    Args:
        wanted: Values wanted.
        commands: Values in force and under way.
        resend: Changes that are worth a command.
        now_s: Epoch seconds.
    """
    (rows, default_kw, dispatch_kw, until_s, reachable, urgent) = wanted
    in_default, in_dispatch = commands.in_force.default_kw, commands.in_force.dispatch_kw
    lease_s, limited_s = commands.in_force.lease_s, commands.in_force.limited_s
    out_id, out_layer, out_kw = commands.unanswered.id, commands.unanswered.layer, commands.unanswered.power_kw
    retry_s, blocked_s = commands.back_off.retry_s, commands.back_off.blocked_s
    default_blocked_s, least_kw = commands.back_off.default_blocked_s, resend.modulated_kw
    action = np.full(len(rows), NO_COMMAND, dtype=np.uint8)
    for place in range(len(rows)):
        row = rows[place]
        out = out_id[row] > 0
        if not reachable[place] or now_s < retry_s[row] or (out and not urgent[place]):
            continue
        power, least = dispatch_kw[place], least_kw[row]
        if np.isnan(power) and limited_s[row] > now_s and not (out and out_layer[row] == _RELEASE):
            action[place] = _RELEASE
            continue
        if not np.isnan(power) and until_s[place] > now_s and now_s >= blocked_s[row]:
            under_way = out and out_layer[row] == _DISPATCH
            repeated = under_way and not _differs(power, out_kw[row], least, resend.kw, resend.ratio)
            ends = lease_s[row] - now_s < resend.renew_s and until_s[place] > lease_s[row] + 1.0
            if (ends or _differs(power, in_dispatch[row], least, resend.kw, resend.ratio)) and not repeated:
                action[place] = _DISPATCH
                continue
        above_share = in_default[row] > resend.share_kw[row] + _ANY_KW
        exact = _ANY_KW if np.isnan(least) or above_share else least
        changed = _differs(default_kw[place], in_default[row], exact, resend.kw, resend.ratio)
        if changed and now_s >= default_blocked_s[row]:
            action[place] = _DEFAULT
    return action


@njit()
def _differs(wanted_kw: float, held_kw: float, least_kw: float, resend_kw: float, resend_ratio: float) -> bool:
    """Return whether a wanted value is worth a command; a row that holds nothing always needs its value.

    ``least_kw`` is the least change worth a command to a row that modulates, NaN for other rows.
    """
    if np.isnan(wanted_kw):
        return False
    if np.isnan(held_kw):
        return True
    least = max(resend_kw, resend_ratio * abs(held_kw)) if np.isnan(least_kw) else least_kw
    return abs(wanted_kw - held_kw) > least
