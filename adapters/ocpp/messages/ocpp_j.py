"""Constants of OCPP-J: versions, message types, error codes and time stamps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any

from vpp.domain.errors import FrameError

ADAPTER = "ocpp"
"""Name of this adapter in the registry, metrics and journal."""

Json = dict[str, Any]
"""A decoded JSON object."""


class Version(StrEnum):
    """WebSocket subprotocols, as the IANA registry spells them."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"
    V21 = "ocpp2.1"


PREFERENCE = (Version.V21, Version.V201, Version.V16)
"""The best both sides know is the first of these that the station offers."""


class MessageType(IntEnum):
    """First element of a frame."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4
    CALLRESULTERROR = 5
    """OCPP 2.1: the receiver could not use our CALLRESULT."""
    SEND = 6
    """OCPP 2.1: a CALL that takes no answer."""


class Fault(StrEnum):
    """What was wrong with a CALL, before its spelling in one version."""

    FORMAT = "format"
    TYPE = "type"
    OCCURRENCE = "occurrence"
    PROPERTY = "property"
    UNKNOWN_ACTION = "unknown_action"
    NOT_SUPPORTED = "not_supported"
    MESSAGE_TYPE = "message_type"
    FRAMEWORK = "framework"


_COMMON: Mapping[Fault, str] = {
    Fault.FORMAT: "FormatViolation",
    Fault.TYPE: "TypeConstraintViolation",
    Fault.OCCURRENCE: "OccurrenceConstraintViolation",
    Fault.PROPERTY: "PropertyConstraintViolation",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.NOT_SUPPORTED: "NotSupported",
    Fault.MESSAGE_TYPE: "MessageTypeNotSupported",
    Fault.FRAMEWORK: "RpcFrameworkError",
}

SPELLING: Mapping[Version, Mapping[Fault, str]] = {
    # The misspellings are the standards' own (OCPP-J 1.6 errata sheet, 5.1 and 5.2; kept in 2.0.1).
    Version.V16: {
        **_COMMON,
        Fault.FORMAT: "FormationViolation",
        Fault.OCCURRENCE: "OccurenceConstraintViolation",
        Fault.MESSAGE_TYPE: "FormationViolation",
        Fault.FRAMEWORK: "FormationViolation",
    },
    Version.V201: {**_COMMON, Fault.OCCURRENCE: "OccurenceConstraintViolation"},
    Version.V21: _COMMON,
}

UNREADABLE_ID = "-1"
"""Message id of a CALLERROR to a frame whose own id cannot be read (OCPP-J 2.0.1, 4.2.3)."""


class CallFaultError(FrameError):
    """A CALL that is answered with a CALLERROR.

    Args:
        fault: What was wrong.
        detail: Where and how, for the peer's log.
    """

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to the peer."""

    action: str
    payload: Json


class AnswerKind(IntEnum):
    """What came back for a CALL."""

    RESULT = 0
    ERROR = 1
    """A CALLERROR, or a CALLRESULT that violates its schema."""
    TIMEOUT = 2
    LOST = 3
    """The connection went away first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one CALL.

    Attributes:
        payload: Body of the CALLRESULT, empty otherwise.
        code: Error code of a CALLERROR, empty otherwise.
        took_s: Clock seconds from sending to this answer.
    """

    kind: AnswerKind
    payload: Json
    code: str = ""
    took_s: float = 0.0

    @property
    def status(self) -> str:
        """The ``status`` field, empty where there is none."""
        status = self.payload.get("status", "")
        return status if isinstance(status, str) else ""


def choose_version(offered: Sequence[str]) -> Version | None:
    """Return the best version both sides know, ``None`` if there is none.

    A station that names no subprotocol at all is taken for 1.6: older ones forget the header (steve#135 and others),
    and only 1.6 has such stations in the field.
    """
    if not offered:
        return Version.V16
    return next((version for version in PREFERENCE if version in offered), None)


@lru_cache(maxsize=256)
def stamp(at_s: float) -> str:
    """Return epoch seconds as RFC 3339 in UTC with milliseconds; a lease's end is written to thousands of stations."""
    whole_s, rest_us = divmod(round(at_s * 1e6), 1_000_000)
    return f"{_second(whole_s)}.{rest_us // 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(at_s: int) -> str:
    """Return a whole second without its zone: thousands of stations boot in one."""
    return datetime.fromtimestamp(at_s, tz=UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def parse_stamp(text: object) -> float:
    """Return epoch seconds of an RFC 3339 stamp, NaN if it is none; a stamp without an offset is taken as UTC."""
    if not isinstance(text, str):
        return math.nan
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
