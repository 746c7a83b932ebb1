"""Messages of the sites as samples, presence and outcomes, without the network."""

import math
from collections.abc import Mapping

from adapters.kit.batching import Batcher
from adapters.mqtt import payload
from adapters.mqtt.command_queue import CommandQueue
from adapters.mqtt.payload import DeviceReading
from adapters.mqtt.rejections import Rejection, Rejections
from adapters.mqtt.site_clock import SiteClock
from adapters.mqtt.site_directory import SiteDirectory
from adapters.mqtt.state_of_charge import SocScales
from adapters.mqtt.topics import Leaf, leaf_of, site_of
from vpp.domain.errors import FrameError, InputError
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, mask_of

_PLAUSIBLE_FACTOR = 10.0
"""Above that many times the nameplate a power is taken for watts under a wrong name."""
_RECENT_S = 120.0
"""A status that the broker kept counts as news if it is no older."""
_POWERS = (Quantity.POWER_KW, Quantity.P_MIN_KW, Quantity.P_MAX_KW, Quantity.LIMIT_KW)


class Inbox:
    """Turns messages into samples, presence and outcomes; a bad one is counted and harms no other.

    Args:
        directory: The sites and devices there are.
        queue: The commands whose outcomes are awaited.
        batcher: Where everything goes.
    """

    def __init__(self, directory: SiteDirectory, queue: CommandQueue, batcher: Batcher) -> None:
        self._directory = directory
        self._queue = queue
        self._batcher = batcher
        self._rejections = Rejections(batcher)
        self._clocks: dict[str, SiteClock] = {}
        self._soc_scales = SocScales()
        self._latest: dict[int, tuple[float, Mapping[Quantity, float]]] = {}
        self._readers = {Leaf.TELEMETRY: self._telemetry, Leaf.OUTCOME: self._outcome, Leaf.STATUS: self._status}

    def take(self, topic_name: str, message: bytes, now_s: float, *, retained: bool = False) -> None:
        """Read one message; never raises for what is in it.

        Args:
            topic_name: Its topic.
            message: Its payload.
            now_s: When it arrived, epoch seconds.
            retained: The broker kept it; it may be of any age, and its sender may be gone.
        """
        site = site_of(topic_name)
        reader = self._readers.get(leaf_of(topic_name))  # type: ignore[call-overload]  # a Leaf is a str
        if reader is None:
            self._rejections.add(site, Rejection.UNKNOWN_TOPIC, topic_name)
            return
        try:
            reader(site, message, now_s, retained=retained)
        except FrameError as error:
            self._rejections.add(site, Rejection.MALFORMED, error)
        except InputError as error:
            self._rejections.add(site, Rejection.INVALID_FIELD, error)

    def latest(self, row: int) -> tuple[float, Mapping[Quantity, float]] | None:
        """Return when a device last reported and what, ``None`` before its first report."""
        return self._latest.get(row)

    def forget(self, row: int) -> None:
        """Forget what the device of a row reported: it has left."""
        self._latest.pop(row, None)
        self._soc_scales.forget(row)

    def clock_offset_s(self, site: str) -> float:
        """Return how far a site's clock is behind ours, 0 while that is unknown or too small to matter."""
        clock = self._clocks.get(site)
        return 0.0 if clock is None else clock.offset_s

    def _telemetry(self, site: str, message: bytes, now_s: float, *, retained: bool) -> None:
        if not self._directory.rows(site):
            self._rejections.add(site, Rejection.UNKNOWN_SITE, f"telemetry of site {site!r}, which is not registered")
            return
        if retained:
            self._rejections.add(site, Rejection.RETAINED, "telemetry that the broker kept; send it without retain")
            return
        stamp_s, readings, faults = payload.parse_telemetry(message)
        for fault in faults:
            self._rejections.add(site, Rejection.INVALID_FIELD, fault)
        at_s = self._instant_s(site, stamp_s, now_s)
        if at_s is None:
            return
        if self._directory.proves_return(site, at_s):
            self._batcher.presence(self._directory.arrived(site), now_s, connected=True)
        for reading in readings:
            self._reading(site, reading, at_s, now_s)

    def _instant_s(self, site: str, stamp_s: float, now_s: float) -> float | None:
        """Return when a live message was measured by our clock, ``None`` for one that says nothing of now."""
        clock = self._clocks.setdefault(site, SiteClock())
        before_s = clock.offset_s
        clock.note(stamp_s, now_s)
        if bool(before_s) != bool(clock.offset_s):
            mask = mask_of((Trouble.CLOCK_OFF,) if clock.offset_s else ())
            for row in self._directory.rows(site):
                self._batcher.sample(row, Quantity.TROUBLES, mask, now_s)
        at_s = clock.instant_s(stamp_s, now_s)
        if at_s is None:
            late = stamp_s < now_s
            apart = f"{abs(now_s - stamp_s):.0f} s {'ago' if late else 'ahead'}"
            self._rejections.add(site, Rejection.OLD if late else Rejection.FUTURE, f"stamped {apart}")
        return at_s

    def _reading(self, site: str, reading: DeviceReading, at_s: float, now_s: float) -> None:
        row = self._directory.row(site, reading.device)
        if row is None:
            self._rejections.add(site, Rejection.UNKNOWN_DEVICE, f"device {reading.device!r} is not registered")
            return
        values = self._plausible(site, row, reading)
        if self._directory.set_device(row, online=reading.online):
            self._batcher.presence([row], now_s, connected=reading.online and self._directory.is_online(site))
        for quantity, value in values.items():
            self._batcher.sample(row, quantity, value, at_s)
        if at_s >= self._latest.get(row, (at_s, {}))[0]:
            self._latest[row] = (at_s, values)

    def _plausible(self, site: str, row: int, reading: DeviceReading) -> Mapping[Quantity, float]:
        """Return the plausible values of a reading; each other one is counted and dropped by itself."""
        values: Mapping[Quantity, float] = reading.values
        most_kw = _PLAUSIBLE_FACTOR * self._directory.nameplate_kw(row)
        for quantity in _POWERS:
            if abs(values.get(quantity, 0.0)) > most_kw > 0.0:
                values = self._without(site, row, reading, values, quantity)
        for kind in reading.healed:
            self._batcher.healed(kind)
        if reading.per_cent is not None:
            self._soc_scales.refused(row, reading.per_cent)
        if self._soc_scales.known(row) and Quantity.SOC in values:
            return self._read_charge(site, row, reading, dict(values))
        return values

    def _without(
        self, site: str, row: int, reading: DeviceReading, values: Mapping[Quantity, float], quantity: Quantity
    ) -> Mapping[Quantity, float]:
        field, span_kw = f"{quantity.name.lower()} of {reading.device}", self._directory.nameplate_kw(row)
        accepted = f"kW; its nameplate says {span_kw} kW (watts go under ..._w)"
        self._rejections.add(site, Rejection.IMPLAUSIBLE, InputError(field, values[quantity], accepted))
        if quantity is Quantity.POWER_KW:
            return values  # it goes on to the gate, which refuses it and shows it on the device
        return {other: value for other, value in values.items() if other is not quantity}

    def _read_charge(
        self, site: str, row: int, reading: DeviceReading, values: dict[Quantity, float]
    ) -> dict[Quantity, float]:
        """Return the values with the state of charge 0-1 of a device that has sent per cent before."""
        reported = values[Quantity.SOC]
        share = self._soc_scales.share(row, reported)
        if math.isnan(share):
            fault = InputError(
                f"soc of {reading.device}", reported, "a share from 0 to 1; its other values were per cent"
            )
            self._rejections.add(site, Rejection.IMPLAUSIBLE, fault)
            del values[Quantity.SOC]
        elif share != reported:
            self._batcher.healed("soc_per_cent")
            values[Quantity.SOC] = share
        return values

    def _outcome(self, site: str, message: bytes, now_s: float, *, retained: bool) -> None:
        if retained:
            self._rejections.add(site, Rejection.RETAINED, "an outcome that the broker kept; send it without retain")
            return
        _, answers, faults = payload.parse_outcomes(message)
        for answer in answers:
            queued = self._queue.settle(answer.id, site, answer.device)
            if queued is not None:
                self._batcher.outcome(queued.command.id, queued.row, answer.status, answer.reason, now_s)
            elif answer.id > self._queue.highest_id or self._queue.is_under_way(answer.id):
                self._rejections.add(site, Rejection.UNKNOWN_COMMAND, f"outcome of {answer.id}, not asked of {site}")
        for fault in faults:
            self._rejections.add(site, Rejection.INVALID_FIELD, fault)

    def _status(self, site: str, message: bytes, now_s: float, *, retained: bool) -> None:
        online, sent_at_s = payload.parse_status(message)
        if not self._directory.rows(site):
            self._rejections.add(site, Rejection.UNKNOWN_SITE, f"status of site {site!r}, which is not registered")
            return
        if online:
            # A retained status shows who was there: unless it was sent just now, the next live message shows who is.
            fresh = not retained or (sent_at_s is not None and abs(now_s - sent_at_s) <= _RECENT_S)
            if fresh and not self._directory.predates_loss(sent_at_s):
                self._batcher.presence(self._directory.arrived(site), now_s, connected=True)
            return
        self._batcher.presence(self._directory.lost(site, now_s), now_s, connected=False)
        for queued in self._queue.give_up(site):
            self._batcher.outcome(queued.command.id, queued.row, OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED, now_s)
