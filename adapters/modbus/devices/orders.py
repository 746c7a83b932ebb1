"""Orders as a device takes them, and what a read-back shows of them."""

from dataclasses import dataclass
from enum import Enum, auto

from vpp.domain.errors import SkipError
from vpp.domain.setpoint import Layer


class UnsupportedError(SkipError):
    """The device has no way to do what was asked."""


class Check(Enum):
    """Result of a read-back."""

    AGREES = auto()
    DIFFERS = auto()
    NO_TIMER = auto()
    """Everything is as it was written but for the reversion timer, which stays 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One instruction as a device takes it.

    Attributes:
        power_kw: Net power, load positive.
        lease_s: Seconds until the device falls back by itself; used for ``Layer.DISPATCH`` only.
        held: A dispatch value is in force now.
    """

    layer: Layer
    power_kw: float
    lease_s: float
    held: bool
