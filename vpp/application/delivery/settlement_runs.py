"""Settlement attempts, one by one: a failure keeps its cause, is tried again, and delays no other request."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from vpp.domain.errors import Recovery, VppError
from vpp.domain.timegrid import instant
from vpp.domain.units import STEP_S
from vpp.ports import Journal, News
from vpp.runtime.supervisor import fault_of

_log = structlog.get_logger(__name__)
FAILED = "settlement.failed"
ALARM = "alarm"
_AGAIN_S = float(STEP_S)
"""Period of attempts: late meters arrive by the quarter of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A request that is over and could not be settled.

    Attributes:
        cause: In words.
        since_s: Epoch seconds of the first attempt that failed.
        tried_s: Epoch seconds of the last.
    """

    cause: str
    since_s: float
    tried_s: float

    def body(self) -> dict[str, object]:
        """Return it for the API."""
        return {"cause": self.cause, "since_at": instant(self.since_s), "tried_at": instant(self.tried_s)}


class SettlementRuns:
    """Attempts settlements one by one and keeps those that failed, with their cause."""

    def __init__(self, journal: Journal, news: News) -> None:
        self._journal = journal
        self._news = news
        self._failed: dict[str, Unsettled] = {}

    @property
    def failed(self) -> Mapping[str, Unsettled]:
        """The requests that could not be settled, by id."""
        return self._failed

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop what failed of some requests."""
        for request_id in request_ids:
            self._failed.pop(request_id, None)

    async def attempt(self, request_id: str, settle: Callable[[], Awaitable[None]], now_s: float) -> None:
        """Settle one request, unless it failed a short while ago.

        Args:
            request_id: The request.
            settle: Measures and settles it; called at most once.
            now_s: Epoch seconds.

        Raises:
            StopError: The service must not go on; every other fault is kept as the request's cause.
        """
        known = self._failed.get(request_id)
        if known is not None and now_s - known.tried_s < _AGAIN_S:
            return
        fault = await fault_of(settle())
        if fault is None:
            if self._failed.pop(request_id, None) is not None:
                self._publish(request_id, now_s, "cleared", "")
            return
        if isinstance(fault, VppError) and fault.recovery is Recovery.STOP:
            raise fault
        self._note(request_id, str(fault) or type(fault).__name__, now_s, fault)

    def _note(self, request_id: str, cause: str, now_s: float, fault: Exception) -> None:
        known = self._failed.get(request_id)
        if known is not None and known.cause == cause:
            self._failed[request_id] = replace(known, tried_s=now_s)
            return
        since_s = now_s if known is None else known.since_s
        self._failed[request_id] = Unsettled(cause=cause, since_s=since_s, tried_s=now_s)
        self._journal.append(FAILED, now_s, {"request_id": request_id, "cause": cause})
        _log.error("settlement failed", request_id=request_id, cause=cause, exc_info=fault)
        self._publish(request_id, now_s, "set", cause)

    def _publish(self, request_id: str, now_s: float, state: str, cause: str) -> None:
        self._news.publish(
            ALARM, now_s, {"alarm": "settlement_failed", "state": state, "request_id": request_id, "cause": cause}
        )
