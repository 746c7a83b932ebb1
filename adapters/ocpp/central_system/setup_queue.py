"""Set-up of stations after a boot or reconnection, at a rate and never during a rush.

Set-up is some ten messages a station: abilities, defaults, intervals, present state. Done at once it would multiply
the load of a rush.
"""

from adapters.kit.admission import RushDetector, TokenBucket
from adapters.ocpp.central_system.session import Session

SETUPS_AT_ONCE = 500
"""Set-ups that begin without delay after a quiet time."""


class SetupQueue:
    """Stations whose set-up has not begun, the longest waiting first.

    Args:
        per_s: Set-ups a second.

    Attributes:
        rush: Counts the stations that connect.
    """

    def __init__(self, per_s: float) -> None:
        self.rush = RushDetector()
        self._rate = TokenBucket(per_s, max(SETUPS_AT_ONCE, per_s))
        self._waiting: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, session: Session) -> bool:
        return session in self._waiting

    def add(self, session: Session) -> None:
        """Queue a session; its turn comes with the next tick at the earliest."""
        self._waiting[session] = None

    def discard(self, session: Session) -> None:
        """Drop a session that has ended."""
        self._waiting.pop(session, None)

    def start_due(self, now: float, speaking: Session | None = None) -> None:
        """Begin the set-ups whose turn it is at loop time ``now``; ``speaking`` is answered first and pumps itself."""
        while self._waiting and not self.rush.is_on(now) and self._rate.take(now):
            session = next(iter(self._waiting))
            del self._waiting[session]
            session.add(session.dialect.setup(session.station))
            if session is not speaking:
                session.pump_safely()

    def tick(self, now: float) -> None:
        """Judge whether there is a rush, and begin what is due."""
        self.rush.tick(now)
        self.start_due(now)
