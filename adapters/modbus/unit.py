"""One unit behind a connection: polled in turn, given one instruction at a time."""

from dataclasses import dataclass

from adapters.modbus.control import Order, UnsupportedError
from adapters.modbus.device import Device
from adapters.modbus.wire import BehindGatewayError, NoAnswerError, RefusedError, Wire
from vpp.domain.errors import FrameError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason

_LOST_AFTER = 2
"""Silences in a row after which a unit counts as lost."""
_LONGEST_BACKOFF = 5
"""A silent unit is asked again after 2, 4, ... at most 2**5 poll intervals."""
_MOVED_CODE = 0x02
"""Illegal data address: the map is not the one we learnt."""
_PROTOCOL_CODES = {0x00, 0x01, _MOVED_CODE}

Verdict = tuple[OutcomeStatus, Reason]
ACCEPTED: Verdict = (OutcomeStatus.ACCEPTED, Reason.NONE)
NOT_CONNECTED: Verdict = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way.

    Attributes:
        sent_s: Epoch seconds at which it was handed over.
    """

    id: int
    row: int
    layer: Layer
    power_kw: float
    until_s: float
    sent_s: float

    def expired(self, now_s: float) -> bool:
        """Tell whether its lease has ended."""
        return self.layer is Layer.DISPATCH and self.until_s <= now_s


@dataclass(slots=True, kw_only=True)
class Unit:
    """A device in one fleet row.

    Attributes:
        due_s: When it is to be polled next.
        connected: Its link is up; ``None`` before the first try.
        silences: Tries in a row without an answer.
        lease_until_s: When its dispatch value ends, as far as known.
        told: Its loss was logged, so its recovery will be.
        ack_s: How long the last instruction took.
        said: Last words on why it cannot be used, for its card.
    """

    row: int
    number: int
    device: Device
    due_s: float
    connected: bool | None = None
    since_s: float = 0.0
    silences: int = 0
    lease_until_s: float = 0.0
    told: bool = False
    ack_s: float | None = None
    said: str = ""

    @property
    def lost(self) -> bool:
        """It was silent, or absent, often enough to say so."""
        return self.silences >= _LOST_AFTER or self.connected is None

    def backoff_s(self, poll_s: float) -> float:
        """Return how long to leave a silent unit alone; the first silence may be chance."""
        return float(poll_s * 2.0 ** min(max(self.silences - 1, 0), _LONGEST_BACKOFF))

    async def poll(self, wire: Wire, now_s: float) -> None:
        """Read what changes, learning the device first if need be.

        Raises:
            DeviceUnreachableError: No connection, or no answer.
            RefusedError: It will not be read; after an illegal address it is learnt anew.
            FrameError: What it holds makes no sense.
        """
        try:
            await self._learn(wire, now_s)
            for read in self.device.reads():
                self.device.store(read, await wire.read(self.number, read.address, read.count, read.table))
        except RefusedError as error:
            self.device.known = self.device.known and error.code != _MOVED_CODE
            raise
        self._note_lease(now_s)

    async def obey(self, wire: Wire, command: Command, now_s: float, lease_s: float) -> Verdict:
        """Carry out one instruction: write, read back, compare; raises NoConnectionError only."""
        try:
            verdict = await self._carry_out(wire, command, now_s, lease_s)
        except RefusedError as error:
            self.said = str(error)
            return _refusal(error.code)
        except (UnsupportedError, FrameError) as error:
            self.said = str(error)
            unsupported = isinstance(error, UnsupportedError)
            return OutcomeStatus.REJECTED, Reason.UNSUPPORTED if unsupported else Reason.PROTOCOL
        except BehindGatewayError:
            return NOT_CONNECTED
        except NoAnswerError:
            return OutcomeStatus.UNREACHABLE, Reason.TIMEOUT
        if verdict == ACCEPTED and command.layer is not Layer.DEFAULT:
            self.lease_until_s = command.until_s if command.layer is Layer.DISPATCH else 0.0
        return verdict

    async def _learn(self, wire: Wire, now_s: float) -> None:
        if not self.device.known:
            await self.device.learn(wire, self.number)
            self._note_lease(now_s)

    def _note_lease(self, now_s: float) -> None:
        left_s = self.device.lease_left_s()
        if left_s >= 0.0:
            self.lease_until_s = now_s + left_s

    async def _carry_out(self, wire: Wire, command: Command, now_s: float, lease_s: float) -> Verdict:
        await self._learn(wire, now_s)
        held = self.lease_until_s > now_s
        order = Order(layer=command.layer, power_kw=command.power_kw, lease_s=lease_s, held=held)
        instruction = self.device.instruction(order)
        for address, values in instruction.writes:
            await wire.write(self.number, address, values)
        for read in instruction.reads:
            self.device.store(read, await wire.read(self.number, read.address, read.count, read.table))
        return ACCEPTED if instruction.confirmed() else (OutcomeStatus.REJECTED, Reason.READBACK)


def _refusal(code: int) -> Verdict:
    return OutcomeStatus.REJECTED, Reason.PROTOCOL if code in _PROTOCOL_CODES else Reason.REFUSED
