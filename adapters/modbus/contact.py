"""State of the contact with one unit, as the endpoint that polls it sees it."""

from dataclasses import dataclass

_LOST_AFTER = 2
"""Silences in a row after which a unit counts as lost."""


@dataclass(slots=True, kw_only=True)
class Contact:
    """Contact with one unit.

    Attributes:
        due_s: When it is to be polled next.
        connected: It answers; ``None`` before the first try.
        since_s: Since when that is so.
        silences: Tries in a row without an answer.
        loss_logged: Its loss was logged, so its recovery will be.
        reported_troubles: Bit mask of troubles reported last, ``None`` before the first.
        ack_s: How long the last instruction took, ``None`` before the first.
        why: Why it cannot be used, empty where it can; for its card.
        left: It is served no more; what is under way ends without a report, for its row may have another device.
    """

    due_s: float
    connected: bool | None = None
    since_s: float = 0.0
    silences: int = 0
    loss_logged: bool = False
    reported_troubles: int | None = None
    ack_s: float | None = None
    why: str = ""
    left: bool = False

    @property
    def lost(self) -> bool:
        """It was silent often enough to count as lost, or has never answered."""
        return self.silences >= _LOST_AFTER or self.connected is None

    def hand_over(self, due_s: float) -> None:
        """Forget its state: another process polls it now."""
        self.connected, self.loss_logged, self.reported_troubles, self.silences = None, False, None, 0
        self.due_s = min(self.due_s, due_s)
