"""Which gateway holds which device: sessions are numbered, and the newest wins."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vpp.bus.messages.frames import ClaimBatch
from vpp.domain.telemetry import BoolArray, IdArray, RowArray

NOBODY = -1
_PLACE_BITS = 8


def connection_of(sessions: IdArray) -> IdArray:
    """Return the numbers of the connections that sessions stand for, as their link gave them out."""
    return sessions >> _PLACE_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What became of claims, shape ``(n,)`` each.

    Attributes:
        counts: The claim has changed or confirmed where a row is.
        losers: The gateway whose session of that row is older than another's, ``NOBODY`` if there is none.
        newest: The newest session of the row.
    """

    counts: BoolArray
    losers: npt.NDArray[np.int32]
    newest: IdArray


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

    def take(self, gateway: int, claims: ClaimBatch) -> Ruling:
        """Note sessions that began or ended at ``gateway``.

        Of several claims for one row only the last counts; a row beyond the fleet never does.
        """
        last = np.zeros(len(claims), dtype=np.bool_)
        _, from_end = np.unique(claims.rows[::-1], return_index=True)
        last[len(claims) - 1 - from_end] = True
        inside = last & (claims.rows < len(self))
        losers = np.full(len(claims), NOBODY, dtype=np.int32)
        if not len(self):
            return Ruling(counts=inside, losers=losers, newest=claims.sessions)
        rows = np.where(inside, claims.rows, 0)
        before = self._gateway[rows]
        ours = (before == gateway) & (claims.sessions == self._session[rows])
        up = inside & (claims.up > 0)
        begins = up & ((claims.sessions >= self._session[rows]) | ours)
        ends = inside & (claims.up == 0) & ours
        self._gateway[rows[begins]] = gateway
        self._session[rows[begins]] = claims.sessions[begins]
        self._gateway[rows[ends]] = NOBODY
        left = begins & (before != gateway)
        losers[left] = before[left]
        losers[up & ~begins] = gateway  # it tells late of what has been overtaken
        return Ruling(counts=begins | ends, losers=losers, newest=self._session[rows])

    def lose(self, gateway: int) -> RowArray:
        """Note that a gateway is gone; return the rows that had their session there."""
        rows = self.held(gateway)
        self._gateway[rows] = NOBODY
        return rows


class HeldSessions:
    """The sessions at one gateway, as it numbers them.

    A number is that of the connection, and then a mark of the gateway, so that no two gateways give out the same. A
    link that devices dial numbers its connections; for others it is the microsecond in which the device was found.
    Connections are numbered by clock, raised above whatever number was seen (Lamport 1978), so gateways' clocks that
    disagree cost a device that changes gateway one reconnection at the most.
    """

    def __init__(self, gateway: str) -> None:
        self._mark = zlib.crc32(gateway.encode()) & ((1 << _PLACE_BITS) - 1)
        self._latest = 0
        self._session: IdArray = np.zeros(0, dtype=np.int64)
        self._told: IdArray = np.zeros(0, dtype=np.int64)
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
            self._told = np.append(self._told, np.zeros(more, dtype=np.int64))
            self._up = np.append(self._up, np.zeros(more, dtype=np.bool_))

    def began(self, rows: Sequence[int], number: int, now_s: float) -> ClaimBatch:
        """Note the number of a connection that has begun; return claims for rows that had another one here before.

        The others are claimed once ``note`` hears that they are connected. Rows must be inside the fleet.
        """
        places = np.array(rows, dtype=np.int32)
        self._latest = max(self._latest, number)
        self._told[places] = (number << _PLACE_BITS) | self._mark
        renewed = places[self._up[places]]
        self._session[renewed] = self._told[renewed]
        return self._claims(renewed, now_s)

    def note(self, rows: RowArray, up: BoolArray, at_s: npt.NDArray[np.float64], now_s: float) -> ClaimBatch:
        """Note what a link says of its devices' connections; return the claims to tell the leader.

        Rows that never were here and are said to be away are nobody's news. Rows must be inside the fleet.
        """
        news = up | (self._session[rows] > 0)
        rows, up, at_s = rows[news], up[news], at_s[news]
        fresh = rows[up & ~self._up[rows]]
        if len(fresh):
            self._latest = max(self._latest + 1, int(now_s * 1e6))
            by_clock = (self._latest << _PLACE_BITS) | self._mark
            told = self._told[fresh]
            self._session[fresh] = np.where(told > self._session[fresh], told, by_clock)
        self._up[rows] = up
        return ClaimBatch(rows=rows, sessions=self._session[rows], up=up.astype(np.uint8), at_s=at_s)

    def overtaken(self, rows: RowArray, sessions: IdArray) -> None:
        """Forget the sessions here that are older than those elsewhere, shape ``(n,)`` each."""
        self._latest = max(self._latest, int(connection_of(sessions).max(initial=0)))
        inside = rows < len(self._up)
        rows, sessions = rows[inside], sessions[inside]
        self._up[rows[self._session[rows] < sessions]] = False

    def all(self, now_s: float) -> ClaimBatch:
        """Return a claim for every session here, for a leader that does not know of them."""
        return self._claims(np.flatnonzero(self._up).astype(np.int32), now_s)

    def _claims(self, rows: RowArray, now_s: float) -> ClaimBatch:
        return ClaimBatch(
            rows=rows,
            sessions=self._session[rows],
            up=np.ones(len(rows), dtype=np.uint8),
            at_s=np.full(len(rows), now_s),
        )
