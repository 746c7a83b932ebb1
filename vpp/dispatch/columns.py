"""Row tables that grow with the fleet: one typed array per column, existing rows kept."""

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Self

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray

_UNKNOWN = MappingProxyType({"fill": np.nan})
_NEVER = MappingProxyType({"fill": -np.inf})
_ZERO = MappingProxyType({"fill": 0})
_NOBODY = MappingProxyType({"fill": -1})


def _floats() -> FloatArray:
    return np.empty(0, dtype=np.float64)


def _ids() -> IdArray:
    return np.empty(0, dtype=np.int64)


def _rows() -> RowArray:
    return np.empty(0, dtype=np.int32)


def _codes() -> CodeArray:
    return np.empty(0, dtype=np.uint8)


def _bools() -> BoolArray:
    return np.empty(0, dtype=np.bool_)


@dataclass(slots=True, kw_only=True)
class RowTable:
    """Base of tables whose fields are arrays of shape ``(n_rows,)``.

    The ``fill`` in a field's metadata is the value of a row nothing is known about.
    """

    def grow(self, count: int) -> Self:
        """Lengthen every column to ``count`` rows; return the table."""
        for f in fields(self):
            old = getattr(self, f.name)
            more = np.full(max(0, count - len(old)), f.metadata["fill"], dtype=old.dtype)
            setattr(self, f.name, np.concatenate((old, more)))
        return self


@dataclass(slots=True, kw_only=True)
class CommandTable(RowTable):
    """What every row should do, what it is believed to do, and what is under way; powers load positive.

    Attributes:
        default_kw: Default value believed to be in force, NaN where we never set one.
        dispatch_kw: Dispatch value believed to be in force, NaN where none is.
        lease_s: End of its lease.
        limited_s: Until when some dispatch value of ours may be in force, answered or not.
        out_id: Command without outcome, 0 where there is none; ``out_*`` describe it.
        wait_id: Accepted command without metered confirmation, 0 where there is none; ``wait_*`` describe it.
        wait_s: When it was accepted.
        since_kw: Accepted dispatch value that those accepted later, if any, hardly differ from.
        since_s: When it was accepted.
        failures: Unreachable outcomes in a row since the link last came up.
        away_s: It counts as unreachable before this instant; from then on it may be tried, and be called, again.
        retry_s: Nothing is sent before this instant.
        strikes: Dispatch commands refused in a row, or ignored since the last confirmed one.
        blocked_s: No dispatch is tried before this instant.
        ignored: The last strike was for ignoring rather than refusing.
        default_blocked_s: No default value is tried before this instant.
        released_s: When a release was last sent.
        free_kw: Free power noted with the last dispatch command.
        source: Who asked for it, as a position in the outbox's list of sources, -1 for nobody.
    """

    default_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    dispatch_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    lease_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    limited_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    out_id: IdArray = field(default_factory=_ids, metadata=_ZERO)
    out_layer: CodeArray = field(default_factory=_codes, metadata=_ZERO)
    out_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    out_until_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    out_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    wait_id: IdArray = field(default_factory=_ids, metadata=_ZERO)
    wait_layer: CodeArray = field(default_factory=_codes, metadata=_ZERO)
    wait_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    wait_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    since_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    since_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    failures: RowArray = field(default_factory=_rows, metadata=_ZERO)
    away_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    retry_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    strikes: RowArray = field(default_factory=_rows, metadata=_ZERO)
    blocked_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    ignored: BoolArray = field(default_factory=_bools, metadata=_ZERO)
    default_blocked_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    released_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    free_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    source: RowArray = field(default_factory=_rows, metadata=_NOBODY)


@dataclass(slots=True, kw_only=True)
class RosterTable(RowTable):
    """What the controller holds of every row; powers load positive.

    Attributes:
        owner: Number of the request a row works for, -1 for none.
        setpoint_kw: Power it was asked to take, NaN where it is free.
        free_kw: Power it would take if it were free, as seen when it was first commanded.
        anchor_kw: Its baseline at that moment, for scaling ``free_kw`` with the baseline's shape.
        cap_kw: Power it is limited to for a transformer's sake, NaN where it is not.
        lost_s: When its link was lost, NaN while it is up.
        returning_s: When it was let go, NaN once its meter shows it or it was taken again.
        paused_s: Since when its charging pauses, NaN while it does not.
        resumed_s: When its last pause ended.
        taken_s: Since when it works for its request, NaN while it works for none.
        intended_kw: Give that the re-dispatch plan asked of it when it was last looked at, NaN without one.
        home_s: When it goes home after its request, NaN where it does not wait for that.
        live: Something above, or in the outbox, may be other than nothing; rows that are not live are passed over.
    """

    owner: RowArray = field(default_factory=_rows, metadata=_NOBODY)
    setpoint_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    free_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    anchor_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    cap_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    lost_s: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    returning_s: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    paused_s: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    resumed_s: FloatArray = field(default_factory=_floats, metadata=_NEVER)
    taken_s: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    intended_kw: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    home_s: FloatArray = field(default_factory=_floats, metadata=_UNKNOWN)
    live: BoolArray = field(default_factory=_bools, metadata=_ZERO)
