"""Which gateway holds which device: sessions are numbered, and the newest wins."""

import zlib

import numpy as np
import numpy.typing as npt

from vpp.bus.frames import ClaimBatch
from vpp.domain.telemetry import BoolArray, IdArray, RowArray

NOBODY = -1
_PLACE_BITS = 16


class SessionRegistry:
    """What the leader knows of every row: the gateway its session is at, and the session's number.

    A gateway is a small whole number here. An end counts only for the very session it belongs to, so a late close
    never tears down the new one (ts-ocpp#19, lbbrhzn/ocpp#2122).
    """

    def __init__(self) -> None:
        self._gateway: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._session: IdArray = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._gateway)

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows, which never shrinks."""
        more = count - len(self)
        if more > 0:
            self._gateway = np.append(self._gateway, np.full(more, NOBODY, dtype=np.int32))
            self._session = np.append(self._session, np.zeros(more, dtype=np.int64))

    def gateways(self, rows: RowArray) -> npt.NDArray[np.int32]:
        """Return the gateway of each row, ``NOBODY`` where it has no session, shape ``(n,)``."""
        return self._gateway[rows]

    def held(self, gateway: int) -> RowArray:
        """Return the rows whose session is at ``gateway``."""
        return np.flatnonzero(self._gateway == gateway).astype(np.int32)

    def take(self, gateway: int, claims: ClaimBatch) -> BoolArray:
        """Note sessions that began or ended at ``gateway``; return which of them count, shape ``(n,)``.

        Of several claims for one row only the last counts; a row beyond the fleet never does.
        """
        last = np.zeros(len(claims), dtype=np.bool_)
        _, from_end = np.unique(claims.rows[::-1], return_index=True)
        last[len(claims) - 1 - from_end] = True
        counts = last & (claims.rows < len(self))
        rows = np.where(counts, claims.rows, 0)
        if not len(self):
            return counts
        ours = (self._gateway[rows] == gateway) & (claims.sessions == self._session[rows])
        begins = counts & (claims.up > 0) & ((claims.sessions >= self._session[rows]) | ours)
        ends = counts & (claims.up == 0) & ours
        self._gateway[rows[begins]] = gateway
        self._session[rows[begins]] = claims.sessions[begins]
        self._gateway[rows[ends]] = NOBODY
        return np.asarray(begins | ends)

    def lose(self, gateway: int) -> RowArray:
        """Note that a gateway is gone; return the rows that had their session there."""
        rows = self.held(gateway)
        self._gateway[rows] = NOBODY
        return rows


class HeldSessions:
    """The sessions at one gateway, as it numbers them.

    A number is the instant of the session's begin in milliseconds, raised where that would not be above the one
    before, and then a mark of the gateway, so that no two gateways give out the same. Gateways' clocks must agree to
    better than the time in which a device comes back elsewhere.
    """

    def __init__(self, gateway: str) -> None:
        self._mark = zlib.crc32(gateway.encode()) & ((1 << _PLACE_BITS) - 1)
        self._latest = 0
        self._session: IdArray = np.zeros(0, dtype=np.int64)
        self._up: BoolArray = np.zeros(0, dtype=np.bool_)

    @property
    def count(self) -> int:
        """How many rows have their session here."""
        return int(np.count_nonzero(self._up))

    def is_up(self, row: int) -> bool:
        """Tell whether a row has its session here."""
        return row < len(self._up) and bool(self._up[row])

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows, which never shrinks."""
        more = count - len(self._up)
        if more > 0:
            self._session = np.append(self._session, np.zeros(more, dtype=np.int64))
            self._up = np.append(self._up, np.zeros(more, dtype=np.bool_))

    def note(self, rows: RowArray, up: BoolArray, at_s: npt.NDArray[np.float64], now_s: float) -> ClaimBatch:
        """Note what a link says of its devices' connections; return the claims to tell the leader.

        Rows that never were here and are said to be away are nobody's news. Rows must be inside the fleet.
        """
        news = up | (self._session[rows] > 0)
        rows, up, at_s = rows[news], up[news], at_s[news]
        begins = up & ~self._up[rows]
        if begins.any():
            self._latest = max(self._latest + 1, int(now_s * 1000.0))
            self._session[rows[begins]] = (self._latest << _PLACE_BITS) | self._mark
        self._up[rows] = up
        return ClaimBatch(rows=rows, sessions=self._session[rows], up=up.astype(np.uint8), at_s=at_s)

    def all(self, now_s: float) -> ClaimBatch:
        """Return a claim for every session here, for a leader that does not know of them."""
        rows = np.flatnonzero(self._up).astype(np.int32)
        return ClaimBatch(
            rows=rows,
            sessions=self._session[rows],
            up=np.ones(len(rows), dtype=np.uint8),
            at_s=np.full(len(rows), now_s),
        )
