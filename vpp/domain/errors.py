"""The tree of errors; each leaf states the recovery expected of its catcher.

::

    VppError
    |-- RetryError          the same call may succeed later
    |   |-- DeviceUnreachableError
    |   |-- BusError        the bus between our processes is away, or no answer came
    |   |-- StorageError    the database is locked, full or away
    |   `-- UnverifiedError  the record is not verified yet, or does not hold
    |-- SkipError           drop this item, keep its neighbours
    |   |-- InputError      a field of something given to us
    |   |-- UnknownIdError  an id that is not registered
    |   |   `-- ForgottenError  an id whose retention is over
    |   |-- ConflictError   the state of the thing does not allow this
    |   |   `-- VersionError another version of it stands than the caller has read
    |   `-- FrameError      a frame or row that does not parse
    `-- StopError           go no further
        |-- ConfigurationError
        |-- AuditError      the journal's hash chain is broken
        |-- SpoolFullError  decisions cannot be written, and memory for them is full
        `-- DeposedError    another service leads under a higher epoch
"""

from enum import StrEnum
from typing import ClassVar

_MOST_SHOWN = 300


def brief(value: object) -> str:
    """Return the text of a value from outside, cut where it is long; never raises."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a structure of thousands of levels
        return f"a value of type {type(value).__name__} too large to show"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


class Recovery(StrEnum):
    """Recovery expected of a catcher."""

    RETRY = "retry"
    SKIP = "skip"
    STOP = "stop"


class VppError(Exception):
    """Root of everything this project raises on purpose."""

    recovery: ClassVar[Recovery] = Recovery.STOP


class RetryError(VppError):
    """The same call may succeed later."""

    recovery = Recovery.RETRY


class DeviceUnreachableError(RetryError):
    """A device did not answer in time or has no connection."""


class BusError(RetryError):
    """The bus is away, or no answer has come in time."""


class StorageError(RetryError):
    """The database is locked, full or away; nothing was written."""


class UnverifiedError(RetryError):
    """The record is not verified yet, or does not hold; nothing new is promised."""


class SkipError(VppError):
    """This item cannot be used; its neighbours can."""

    recovery = Recovery.SKIP


class InputError(SkipError):
    """A field holds a value that is not accepted.

    Args:
        field: Name of the field as its sender knows it, e.g. ``"target_kw"``.
        value: The value that was given.
        accepted: What is accepted instead, as the end of the sentence "give ...".
    """

    def __init__(self, field: str, value: object, accepted: str) -> None:
        super().__init__(f"{field}: {brief(value)} is not accepted; give {accepted}")
        self.field = field
        self.value = value
        self.accepted = accepted


class UnknownIdError(SkipError):
    """An id is not registered.

    Args:
        kind: Kind of thing, e.g. ``"area"``.
        identity: The id.
    """

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"{kind} {identity!r} is not known")
        self.kind = kind
        self.identity = identity


class ForgottenError(UnknownIdError):
    """A thing was forgotten because its retention was over.

    Args:
        kind: Kind of thing, e.g. ``"request"``.
        identity: The id.
        when: Words that say when it was forgotten, and where its record is.
    """

    def __init__(self, kind: str, identity: str, when: str) -> None:
        super().__init__(kind, identity)
        self.args = (f"{kind} {identity!r} was forgotten {when}",)


class ConflictError(SkipError):
    """The state of an existing thing does not allow this."""


class VersionError(ConflictError):
    """Another version of a thing stands than the one its caller has read."""


class FrameError(SkipError):
    """A frame, row or payload that does not parse."""


class StopError(VppError):
    """Going on would do harm."""


class ConfigurationError(StopError):
    """A setting that is not accepted."""


class AuditError(StopError):
    """The journal's hash chain is broken."""


class SpoolFullError(StopError):
    """Decisions cannot be written, and memory for them is full."""


class DeposedError(StopError):
    """Another service leads under a higher epoch; nothing was written."""
