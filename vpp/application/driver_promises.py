"""Drivers' wishes for charging sessions, stated by operators."""

from vpp.application.refusals import counting_refusals
from vpp.domain.errors import InputError
from vpp.domain.session import ChargingSession, Promise, SessionPromised, check_promise
from vpp.domain.timegrid import instant
from vpp.ports import Clock
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest


class DriverPromises:
    """Records drivers' wishes: energy by departure, a floor, opt-out or boost."""

    def __init__(self, *, clock: Clock, image: ProcessImage, ingest: Ingest, metrics: Metrics) -> None:
        self._clock = clock
        self._image = image
        self._ingest = ingest
        self._metrics = metrics

    async def record(self, session_id: str, promise: Promise) -> ChargingSession:
        """Record a wish and return its session.

        Raises:
            UnknownIdError: There is no such session.
            InputError: The wish makes no sense, or its departure is past.
        """
        self._image.sessions.find(session_id)
        now_s = self._clock.now_s()
        with counting_refusals(self._metrics, "promise"):
            check_promise(promise, now_s)
            if promise.departure_s <= now_s:
                raise InputError("departure_at", instant(promise.departure_s).isoformat(), "an instant in the future")
        self._ingest.session(SessionPromised(session_id=session_id, promise=promise))
        return self._image.sessions.find(session_id)
