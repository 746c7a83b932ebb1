"""Leased commands and their outcomes as parallel arrays, one element a command."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray


class Layer(IntEnum):
    """The one of a device's two values that a command sets.

    A device follows its ``DISPATCH`` value while the lease holds and falls back by itself to its ``DEFAULT`` value
    (OCPP: dispatch profile over TxDefaultProfile; SunSpec 704: WSet over WSetRvrt).
    """

    DEFAULT = 0
    """Holds until replaced; carries the plan, or the safe default."""
    DISPATCH = 1
    """Holds until the lease ends at ``until_s``; carries a request."""
    RELEASE = 2
    """Ends the dispatch value now; ``power_kw`` is ignored."""


class OutcomeStatus(IntEnum):
    """Answer of the device side to a command."""

    ACCEPTED = 0
    REJECTED = 1
    UNREACHABLE = 2


class Reason(IntEnum):
    """Reason of an outcome, from a bounded list (it becomes a metric label)."""

    NONE = 0
    REFUSED = 1
    """The device refused."""
    NOT_CONNECTED = 2
    TIMEOUT = 3
    UNSUPPORTED = 4
    """The device has no such function."""
    PROTOCOL = 5
    """The device's answer does not parse, or is an error."""
    EXPIRED = 6
    """The lease had ended before it could be sent."""
    READBACK = 7
    """Accepted, but the device reads back something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointBatch:
    """Commands to any number of devices.

    Attributes:
        ids: Command ids of 64 bits, positive, unique for ever, rising, shape ``(n,)``.
        rows: Fleet rows, shape ``(n,)``.
        layers: ``Layer`` codes, shape ``(n,)``.
        power_kw: Net power, load positive, shape ``(n,)``. For EV chargers a ceiling, for storage, V2G, HVAC and
            industry the power to take, for photovoltaics the most that may be fed in (negative).
        until_s: Epoch seconds at which the lease ends, shape ``(n,)``; infinite for ``Layer.DEFAULT``.
        epoch: Leader epoch that issued it; receivers refuse an epoch below the highest they have seen.
    """

    ids: IdArray
    rows: RowArray
    layers: CodeArray
    power_kw: FloatArray
    until_s: FloatArray
    epoch: int

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.ids, self.rows, self.layers, self.power_kw, self.until_s)}
        if len(shapes) != 1:
            raise InputError("SetpointBatch", sorted(shapes), "five arrays of one shape (n,)")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: "IdArray | RowArray") -> "SetpointBatch":
        """Return the commands at positions ``chosen``."""
        return SetpointBatch(
            ids=self.ids[chosen],
            rows=self.rows[chosen],
            layers=self.layers[chosen],
            power_kw=self.power_kw[chosen],
            until_s=self.until_s[chosen],
            epoch=self.epoch,
        )

    def outcomes(self, status: OutcomeStatus, reason: Reason, at_s: float) -> "OutcomeBatch":
        """Return one outcome for all of these commands, at ``at_s`` epoch seconds."""
        count = len(self)
        return OutcomeBatch(
            ids=self.ids,
            rows=self.rows,
            status=np.full(count, status, dtype=np.uint8),
            reasons=np.full(count, reason, dtype=np.uint8),
            at_s=np.full(count, at_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeBatch:
    """Outcomes of commands; exactly one for every command handed to a link.

    Attributes:
        ids: Command ids, shape ``(n,)``.
        rows: Fleet rows, shape ``(n,)``.
        status: ``OutcomeStatus`` codes, shape ``(n,)``.
        reasons: ``Reason`` codes, shape ``(n,)``.
        at_s: Epoch seconds of the answer, shape ``(n,)``.
    """

    ids: IdArray
    rows: RowArray
    status: CodeArray
    reasons: CodeArray
    at_s: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: "BoolArray | IdArray") -> "OutcomeBatch":
        """Return the outcomes at positions ``chosen``, or where it is true."""
        return OutcomeBatch(
            ids=self.ids[chosen],
            rows=self.rows[chosen],
            status=self.status[chosen],
            reasons=self.reasons[chosen],
            at_s=self.at_s[chosen],
        )
