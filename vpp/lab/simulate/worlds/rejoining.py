"""Several calls of a day: what an earlier one left behind is no part of the next.

A call that empties the stores changes the plan of the hours after it, and with it the defaults of all worlds. Stores of
a prepared world that never had the call cannot follow them: they are full where the plan charges. So where a call
begins and no other is held, the prepared world rejoins the actual one, and a call is judged against the city as the
call found it.
"""

from collections.abc import Iterable

from vpp.domain.request import DispatchRequest, RequestState
from vpp.lab.twin.fleet import Twin

_HELD = frozenset({RequestState.PRECONDITIONING, RequestState.RAMPING, RequestState.HOLDING})


class Rejoining:
    """Lets the prepared world of a twin rejoin the actual one at the begin of calls.

    Args:
        twin: The device side.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._held: frozenset[str] = frozenset()

    def follow(self, running: Iterable[DispatchRequest]) -> None:
        """Take the requests that are running now; to be called before devices answer their first commands."""
        held = frozenset(request.id for request in running if request.state in _HELD)
        if held - self._held and not held & self._held:
            self._twin.rejoin()
        self._held = held
