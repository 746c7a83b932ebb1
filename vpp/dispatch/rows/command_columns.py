"""Columns in which commands are followed, row by row: in force, unanswered, unconfirmed, and left alone for a while.

``vpp.dispatch.commands`` owns and changes them; all others read. Diagram and table: ``docs/row-states.md``.
"""

from typing import NamedTuple

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray


class InForceColumns(NamedTuple):
    """Values devices are believed to hold; powers load positive, instants epoch seconds, ``(n_resources,)`` each.

    Attributes:
        default_kw: Default value in force, NaN where we never set one.
        dispatch_kw: Dispatch value in force, NaN where none is.
        lease_s: End of its lease.
        limited_s: Until when some dispatch value of ours may be in force, answered or not.
        since_kw: Accepted dispatch value that those accepted later, if any, hardly differ from.
        since_s: When it was accepted.
        released_s: When a release was last sent.
        uncontrolled_kw: Uncontrolled power noted with the last dispatch command.
        source: Its source, as a position in the outbox's list of sources, -1 for none.
    """

    default_kw: FloatArray
    dispatch_kw: FloatArray
    lease_s: FloatArray
    limited_s: FloatArray
    since_kw: FloatArray
    since_s: FloatArray
    released_s: FloatArray
    uncontrolled_kw: FloatArray
    source: RowArray


class UnansweredColumns(NamedTuple):
    """Commands sent and without outcome, shape ``(n_resources,)`` each.

    Attributes:
        id: The command, 0 where there is none; the others then mean nothing.
        layer: Its layer.
        power_kw: Its value, load positive.
        until_s: End of the lease it asks for.
        sent_s: When it was sent.
    """

    id: IdArray
    layer: CodeArray
    power_kw: FloatArray
    until_s: FloatArray
    sent_s: FloatArray


class UnconfirmedColumns(NamedTuple):
    """Commands accepted and not shown by any meter yet, shape ``(n_resources,)`` each.

    Attributes:
        id: The command, 0 where there is none; the others then mean nothing.
        layer: Its layer.
        power_kw: Its value, load positive.
        accepted_s: When it was accepted.
    """

    id: IdArray
    layer: CodeArray
    power_kw: FloatArray
    accepted_s: FloatArray


class BackOffColumns(NamedTuple):
    """Rows that are left alone for a while, shape ``(n_resources,)`` each.

    Attributes:
        failures: Unreachable outcomes in a row since the link last came up.
        away_s: It counts as unreachable before this instant; from then on it may be tried, and be called, again.
        retry_s: Nothing is sent before this instant.
        strikes: Dispatch commands refused in a row, or ignored since the last confirmed one.
        blocked_s: No dispatch value is tried before this instant.
        ignored: The last strike was for ignoring rather than refusing.
        default_blocked_s: No default value is tried before this instant.
    """

    failures: RowArray
    away_s: FloatArray
    retry_s: FloatArray
    strikes: RowArray
    blocked_s: FloatArray
    ignored: BoolArray
    default_blocked_s: FloatArray


class CommandColumns(NamedTuple):
    """All columns of commands."""

    in_force: InForceColumns
    unanswered: UnansweredColumns
    unconfirmed: UnconfirmedColumns
    back_off: BackOffColumns


def blank_commands() -> CommandColumns:
    """Return one row to which nothing was ever sent."""
    unknown, never, none = np.array([np.nan]), np.array([-np.inf]), np.zeros(1, dtype=np.int64)
    layer, count = np.zeros(1, dtype=np.uint8), np.zeros(1, dtype=np.int32)
    return CommandColumns(
        in_force=InForceColumns(
            default_kw=unknown,
            dispatch_kw=unknown,
            lease_s=never,
            limited_s=never,
            since_kw=unknown,
            since_s=never,
            released_s=never,
            uncontrolled_kw=unknown,
            source=np.array([-1], dtype=np.int32),
        ),
        unanswered=UnansweredColumns(id=none, layer=layer, power_kw=unknown, until_s=never, sent_s=never),
        unconfirmed=UnconfirmedColumns(id=none, layer=layer, power_kw=unknown, accepted_s=never),
        back_off=BackOffColumns(
            failures=count,
            away_s=never,
            retry_s=never,
            strikes=count,
            blocked_s=never,
            ignored=np.zeros(1, dtype=np.bool_),
            default_blocked_s=never,
        ),
    )
