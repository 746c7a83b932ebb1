"""Default values in force, as gateways need them: a station may connect to another gateway next."""

import numpy as np

from vpp.bus.leader.background import BackgroundTasks, publish_once
from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Kind, encode
from vpp.bus.messages.frames import FRAME_ROWS, default_frames
from vpp.bus.transport import subjects as to
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.fleet.amendment import changed_rows
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.registered_defaults import changed_defaults
from vpp.ports import Bus


class DefaultValues:
    """The last default value that each device has accepted, kept for gateways alone.

    Transport memory: what the service believes to be in force at a device is the business of `vpp.dispatch`, which
    learns it from the same outcomes and is the only one to decide by it.
    """

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self._bus: Bus | None = None
        self._power_kw: FloatArray = np.zeros(0)

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows, which never shrinks."""
        grown = np.full(count, np.nan)
        grown[: len(self._power_kw)] = self._power_kw
        self._power_kw = grown

    def assign(self, before: FleetIndex, after: FleetIndex) -> None:
        """Take another state of the fleet.

        A device that stays holds the default of its registration of before until it accepts another one; of a row whose
        device has left nothing is known.
        """
        self.resize(len(after))
        rows, held_kw = changed_defaults(before, after)
        self._power_kw[rows] = np.where(np.isnan(self._power_kw[rows]), held_kw, self._power_kw[rows])
        for row in changed_rows(before, after):
            if before.resources[row].address != after.resources[row].address or after.resources[row].retired:
                self._power_kw[row] = np.nan

    def start(self, bus: Bus) -> None:
        """Announce on ``bus`` what comes into force from now on."""
        self._bus = bus

    def remember(self, row: int, power_kw: float) -> None:
        """State the default value in force at ``row`` from before a restart."""
        self._power_kw[row] = power_kw

    def accepted(self, batch: SetpointBatch, places: IdArray) -> None:
        """Note the commands at ``places`` of a batch, which devices accepted; gateways hear of the defaults in them."""
        places = places[batch.layers[places] == Layer.DEFAULT]
        rows, power_kw = batch.rows[places], batch.power_kw[places]
        self._power_kw[rows] = power_kw
        if self._bus is not None:
            for content in default_frames(rows, power_kw):
                self._tasks.start(publish_once(self._bus, to.DEFAULTS, content))

    def page(self, _: str, content: bytes) -> bytes:
        """Answer a gateway: the default values in force from a row on, one frame at the most."""
        _, first = master_data.asked(content)
        rows = np.flatnonzero(~np.isnan(self._power_kw[first:])).astype(np.int32)[:FRAME_ROWS] + np.int32(first)
        return encode(Kind.DEFAULTS, {"rows": rows, "power_kw": self._power_kw[rows]})
