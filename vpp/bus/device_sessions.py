"""Device sessions: the connection of a device to one gateway, numbered so that the newest wins.

Not to be taken for charging sessions (`vpp.domain.session`), which belong to cars.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vpp.bus.messages.frames import ClaimBatch
from vpp.domain.telemetry import BoolArray, IdArray, RowArray

NOBODY = -1
_GATEWAY_BITS = 8


def connection_of(sessions: IdArray) -> IdArray:
    """Return the numbers of the connections that sessions stand for, as their link gave them out."""
    return sessions >> _GATEWAY_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Decision on the claims of a gateway, shape ``(n,)`` each.

    Attributes:
        counts: The claim has changed or confirmed the session of its row.
        losers: The gateway whose session of that row is older than another's, ``NOBODY`` if there is none.
        newest: The newest session of the row.
    """

    counts: BoolArray
    losers: npt.NDArray[np.int32]
    newest: IdArray


class SessionDirectory:
    """The session of every row at the leader: the code of its gateway, and its number.

    An end counts only for the very session it belongs to, so a late close never tears down the new one (ts-ocpp#19,
    lbbrhzn/ocpp#2122).
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
        """Take sessions that began or ended at ``gateway``.

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
        losers[up & ~begins] = gateway  # its claim is late: a newer session is elsewhere
        return Ruling(counts=begins | ends, losers=losers, newest=self._session[rows])

    def lose(self, gateway: int) -> RowArray:
        """End the sessions at a gateway that is gone; return their rows."""
        rows = self.held(gateway)
        self._gateway[rows] = NOBODY
        return rows


class HeldSessions:
    """The sessions at one gateway, and the numbers it gives them.

    A number is that of the connection, followed by 8 bits that stand for the gateway, so that no two gateways give out
    the same. A link that devices dial numbers its connections; for others it is the microsecond in which the device was
    found. Connections are numbered by clock, raised above every number seen (Lamport 1978), so gateways whose clocks
    disagree cost a device that changes between them one reconnection at the most.
    """

    def __init__(self, gateway: str) -> None:
        self._gateway_bits = zlib.crc32(gateway.encode()) & ((1 << _GATEWAY_BITS) - 1)
        self._latest = 0
        self._session: IdArray = np.zeros(0, dtype=np.int64)
        self._connection: IdArray = np.zeros(0, dtype=np.int64)
        self._up: BoolArray = np.zeros(0, dtype=np.bool_)

    @property
    def count(self) -> int:
        """Number of rows that have their session here."""
        return int(np.count_nonzero(self._up))

    def is_up(self, row: int) -> bool:
        """Return whether a row has its session here."""
        return row < len(self._up) and bool(self._up[row])

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows, which never shrinks."""
        more = count - len(self._up)
        if more > 0:
            self._session = np.append(self._session, np.zeros(more, dtype=np.int64))
            self._connection = np.append(self._connection, np.zeros(more, dtype=np.int64))
            self._up = np.append(self._up, np.zeros(more, dtype=np.bool_))

    def began(self, rows: Sequence[int], number: int, now_s: float) -> ClaimBatch:
        """Take the number of a connection that has begun; return claims for rows that had another one here before.

        The others are claimed once ``note`` hears that they are connected. Rows must be inside the fleet.
        """
        places = np.array(rows, dtype=np.int32)
        self._latest = max(self._latest, number)
        self._connection[places] = (number << _GATEWAY_BITS) | self._gateway_bits
        renewed = places[self._up[places]]
        self._session[renewed] = self._connection[renewed]
        return self._claims(renewed, now_s)

    def note(self, rows: RowArray, up: BoolArray, at_s: npt.NDArray[np.float64], now_s: float) -> ClaimBatch:
        """Take a link's statement of its devices' connections; return the claims for the leader.

        Nothing is claimed for rows that were never here and are stated as away. Rows must be inside the fleet.
        """
        known = up | (self._session[rows] > 0)
        rows, up, at_s = rows[known], up[known], at_s[known]
        fresh = rows[up & ~self._up[rows]]
        if len(fresh):
            self._latest = max(self._latest + 1, int(now_s * 1e6))
            by_clock = (self._latest << _GATEWAY_BITS) | self._gateway_bits
            stated = self._connection[fresh]
            self._session[fresh] = np.where(stated > self._session[fresh], stated, by_clock)
        self._up[rows] = up
        return ClaimBatch(rows=rows, sessions=self._session[rows], up=up.astype(np.uint8), at_s=at_s)

    def superseded(self, rows: RowArray, sessions: IdArray) -> None:
        """End the sessions here that are older than ``sessions`` elsewhere, shape ``(n,)`` each."""
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
