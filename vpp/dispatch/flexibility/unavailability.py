"""Reasons why a device is unavailable to a request."""

from enum import IntEnum


class Unavailability(IntEnum):
    """Why a row cannot be activated; the first that applies. The names stand in shortfall causes and losses."""

    NONE = 0
    DISCONNECTED = 1
    UNREACHABLE = 2
    STALE = 3
    REFUSED = 4
    IGNORED = 5
    PROMISED = 6
    EMPTY = 7
    OUT_OF_SERVICE = 8
