"""Connectors on a grid of instants: plugged in or not, since when, and until when the driver says."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Sessions of connectors, in any order; ``n`` of them.

    Attributes:
        port: Code of the connector, shape ``(n,)``.
        start_s: Epoch seconds of plugging in, shape ``(n,)``.
        end_s: Epoch seconds of unplugging, shape ``(n,)``.
        stated_s: Departure as the driver stated it when plugging in, NaN where nothing was, shape ``(n,)``.
    """

    port: IntArray
    start_s: FloatArray
    end_s: FloatArray
    stated_s: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """State of every connector at every instant; ``T`` instants, ``C`` connectors.

    What is told of an instant was known then: the end of a running session is not.

    Attributes:
        plugged: Whether a car was plugged in, shape ``(T, C)``.
        since_h: Hours since that began, infinite where nothing was seen before, shape ``(T, C)``.
        stated_h: Hours until the stated departure of the car, NaN without car or statement, shape ``(T, C)``.
        seen: Whether a session of the connector had begun by then, shape ``(T, C)``.
    """

    plugged: BoolArray
    since_h: FloatArray
    stated_h: FloatArray
    seen: BoolArray

    @classmethod
    def of(cls, sessions: Sessions, connectors: int, instants_s: FloatArray) -> "Timeline":
        """Return the states of connectors.

        Args:
            sessions: Of any of them; overlapping sessions of a connector count as one.
            connectors: Their number.
            instants_s: Epoch seconds, rising, shape ``(T,)``.
        """
        shape = (len(instants_s), connectors)
        plugged, seen = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        since_h, stated_h = np.full(shape, np.inf), np.full(shape, np.nan)
        order = np.lexsort((sessions.start_s, sessions.port))
        bounds = np.searchsorted(sessions.port[order], np.arange(connectors + 1))
        for port in range(connectors):
            mine = order[bounds[port] : bounds[port + 1]]
            if not len(mine):
                continue
            start_s = sessions.start_s[mine]
            until_s = np.maximum.accumulate(sessions.end_s[mine])
            last = np.searchsorted(start_s, instants_s, side="right") - 1
            at = np.flatnonzero(last >= 0)
            place = last[at]
            busy = until_s[place] > instants_s[at]
            began_s = np.where(busy, start_s[place], until_s[place])
            plugged[at, port], seen[at, port] = busy, True
            since_h[at, port] = (instants_s[at] - began_s) / 3600.0
            stated = (sessions.stated_s[mine][place] - instants_s[at]) / 3600.0
            stated_h[at, port] = np.where(busy, stated, np.nan)
        return cls(plugged=plugged, since_h=since_h, stated_h=stated_h, seen=seen)
