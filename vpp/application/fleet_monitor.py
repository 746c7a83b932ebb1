"""Live state of the fleet for the edges: snapshot, sessions, device health."""

from collections.abc import Callable, Mapping, Sequence

from vpp.application.loops.device_plane import DevicePlane
from vpp.application.watch.device_troubles import DeviceTroubles
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.health import DeviceHealth
from vpp.domain.session import ChargingSession
from vpp.domain.telemetry import BoolArray
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Clock
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest


class FleetMonitor:
    """Answers `vpp.ports.FleetStatus`.

    Args:
        clock: The only source of time.
        latest: Returns the latest snapshot.
        image: Holds the charging sessions.
        ingest: Knows what was refused.
        plane: Knows what devices report of themselves.
        troubles: Knows what is wrong with each device.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        latest: Callable[[], FleetState],
        image: ProcessImage,
        ingest: Ingest,
        plane: DevicePlane,
        troubles: DeviceTroubles,
    ) -> None:
        self._clock = clock
        self._latest = latest
        self._image = image
        self._ingest = ingest
        self._plane = plane
        self._troubles = troubles

    def fleet(self) -> FleetState:
        """Return the latest snapshot."""
        return self._latest()

    def sessions(self) -> Sequence[ChargingSession]:
        """Return the charging sessions of plugged-in cars."""
        return self._image.sessions.all(self._latest().energy_kwh)

    def card(self, row: int) -> Mapping[str, object]:
        """Return what a device reported of itself."""
        return self._plane.card(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Return the schedule that a device says it holds."""
        return await self._plane.device_schedule(row, duration_s)

    def health(self, row: int) -> DeviceHealth:
        """Return the troubles of a device and what was last refused of it."""
        refused = self._ingest.gate.last_refused(row, self._clock.now_s())
        return self._troubles.health(self._image.index, row, self._plane.card(row), refused)

    def rows_with(self, trouble: Trouble) -> BoolArray:
        """Return which rows of the latest snapshot have a trouble, shape ``(n_resources,)``."""
        return self._troubles.rows_with(trouble, len(self._latest()))

    def troubles(self) -> Mapping[Trouble, int]:
        """Return how many devices have each trouble now."""
        return self._troubles.counts.total
