"""Instructions on their way to a unit, and their possible outcomes."""

from dataclasses import dataclass

from vpp.domain.setpoint import Layer, OutcomeStatus, Reason

Verdict = tuple[OutcomeStatus, Reason]
ACCEPTED: Verdict = (OutcomeStatus.ACCEPTED, Reason.NONE)
NOT_CONNECTED: Verdict = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
TIMED_OUT: Verdict = (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
READBACK: Verdict = (OutcomeStatus.REJECTED, Reason.READBACK)
UNSUPPORTED: Verdict = (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
EXPIRED: Verdict = (OutcomeStatus.REJECTED, Reason.EXPIRED)
STALE_EPOCH: Verdict = (OutcomeStatus.REJECTED, Reason.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way.

    Attributes:
        sent_s: Epoch seconds at which it was handed over.
    """

    id: int
    row: int
    layer: Layer
    power_kw: float
    until_s: float
    sent_s: float

    def expired(self, now_s: float) -> bool:
        """Tell whether its lease has ended."""
        return self.layer is Layer.DISPATCH and self.until_s <= now_s
