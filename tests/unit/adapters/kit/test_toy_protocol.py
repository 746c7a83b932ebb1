"""A toy protocol from the kit, on real sockets: what a first link has to do, and what the kit does for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.server import Listening
from tests.conformance.ocpp_bench import ACCEPTED, Sink, clock, fleet, resource, setpoints
from tests.patience import PATIENCE_WALL_S
from tests.unit.adapters.kit import toy_protocol
from tests.unit.adapters.kit.toy_protocol import NAME, Meter, ToyLink
from vpp.domain.errors import InputError
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex
from vpp.ports import DeviceLink

M1, M2 = 3, 4
"""Rows of the two meters, behind the three stations of ``fleet()``."""
REJECTED, UNREACHABLE = OutcomeStatus.REJECTED, OutcomeStatus.UNREACHABLE


class MeterSink(Sink):
    """A sink of the toy's."""

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Keep the reason."""
        assert adapter == NAME.value
        self.rejected.append(reason)
        self._news.set()

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Keep the refusal."""
        assert refused.adapter == NAME.value
        self.refused_connections.append(refused)
        self._news.set()


def meters() -> FleetIndex:
    """Return a fleet with two meters, ``m1`` and ``m2``."""
    return fleet(resource(M1, "m1", adapter=NAME), resource(M2, "m2", adapter=NAME))


@asynccontextmanager
async def toy(sink: Sink, **rules: Any) -> AsyncIterator[ToyLink]:  # noqa: ANN401 - any field of EntryRules
    """Run the link."""
    link = ToyLink(clock=clock(), listening=Listening(host="127.0.0.1", port=0), entry=EntryRules(**rules))
    link.check(meters())
    link.assign(meters())
    await link.start(sink)
    try:
        yield link
    finally:
        await link.close()


def dialled(link: ToyLink, device: str) -> connect:
    """Return a meter's connection, to be entered."""
    return connect(f"ws://127.0.0.1:{link.server.port}/{device}", subprotocols=[NAME.value], compression=None)


async def heard(meter: ClientConnection) -> dict[str, Any]:
    """Return the next setpoint a meter gets."""
    message: dict[str, Any] = json.loads(await meter.recv())
    return message


def test_the_toy_is_under_two_hundred_lines_and_a_device_link() -> None:
    assert len(Path(toy_protocol.__file__).read_text(encoding="utf-8").splitlines()) < 200
    link: DeviceLink = ToyLink(clock=clock(), listening=Listening(host="127.0.0.1", port=0))
    with pytest.raises(InputError, match="each once"):
        link.check(fleet(resource(3, "m1", adapter=NAME), resource(4, "m1", adapter=NAME)))


async def test_two_meters_report_and_their_telemetry_reaches_the_sink() -> None:
    sink = MeterSink()
    async with toy(sink) as link, dialled(link, "m1") as one, dialled(link, "m2") as two:
        await one.send('{"power_kw": 4.2}')
        await two.send('{"power_kw": -1.5}')
        assert await sink.value(M1, Quantity.POWER_KW) == 4.2
        assert await sink.value(M2, Quantity.POWER_KW) == -1.5
        assert (sink.values[M1, Quantity.CONNECTED], sink.values[M2, Quantity.CONNECTED]) == (1.0, 1.0)
        assert (link.card(M1), link.card(0)) == ({"connected": True}, {})
        await one.close()
        await sink.until(lambda: sink.values[M1, Quantity.CONNECTED] == 0.0)
        assert sink.values[M2, Quantity.CONNECTED] == 1.0


async def test_a_setpoint_gets_its_outcome_and_a_newer_one_replaces_one_that_waits() -> None:
    sink = MeterSink()
    async with toy(sink) as link, dialled(link, "m1") as meter:
        until_s = clock().now_s() + 900.0
        await sink.value(M1, Quantity.CONNECTED)
        link.send(setpoints((1, M1, Layer.DISPATCH, 3.0, until_s)))
        assert await heard(meter) == {"id": 1, "kw": 3.0, "until_s": until_s}
        link.send(setpoints((2, M1, Layer.DISPATCH, 2.0, until_s), (3, M1, Layer.RELEASE, 0.0, until_s)))
        assert await sink.outcome(2) == (REJECTED, Reason.EXPIRED)
        await meter.send('{"id": 1, "ok": true}')
        assert await sink.outcome(1) == ACCEPTED
        assert (await heard(meter))["kw"] is None
        await meter.send('{"id": 3}')
        assert await sink.outcome(3) == (REJECTED, Reason.REFUSED)
        assert sink.told == [2, 1, 3]


async def test_what_cannot_be_answered_comes_back_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_protocol, "ANSWER_WALL_S", 0.05)
    sink = MeterSink()
    async with toy(sink) as link:
        link.send(setpoints((1, M1, Layer.DISPATCH, 3.0, 2e9)))
        assert await sink.outcome(1) == (UNREACHABLE, Reason.NOT_CONNECTED)
        async with dialled(link, "m1") as meter:
            await sink.value(M1, Quantity.CONNECTED)
            link.send(setpoints((2, M1, Layer.DISPATCH, 3.0, 2e9)))
            assert await sink.outcome(2) == (UNREACHABLE, Reason.TIMEOUT)
            monkeypatch.undo()
            link.send(setpoints((3, M1, Layer.DISPATCH, 3.0, 2e9), (4, M1, Layer.DISPATCH, 2.0, 2e9)))
            assert [(await heard(meter))["id"] for _ in range(2)] == [2, 3]
        assert await sink.outcome(3) == await sink.outcome(4) == (UNREACHABLE, Reason.NOT_CONNECTED)


@pytest.mark.parametrize("hostile", ["", "null", '{"power_kw": "much"}', "[" * 100_000, '{"password": 1}'])
async def test_a_hostile_frame_cuts_its_sender_alone(hostile: str) -> None:
    sink = MeterSink()
    async with toy(sink) as link, dialled(link, "m1") as bad, dialled(link, "m2") as good:
        await bad.send(hostile)
        with pytest.raises(ConnectionClosed):
            await bad.recv()
        await sink.until(lambda: sink.rejected == ["json"])
        await good.send('{"power_kw": 2.0}')
        assert await sink.value(M2, Quantity.POWER_KW) == 2.0


async def test_an_exception_in_the_protocol_itself_cuts_its_sender_alone(
    monkeypatch: pytest.MonkeyPatch, logs: list[dict[str, Any]]
) -> None:
    sink = MeterSink()
    take = Meter.message_received

    def fail(self: Meter, raw: bytes) -> None:
        if raw == b"{}":
            raise ZeroDivisionError
        take(self, raw)

    monkeypatch.setattr(Meter, "message_received", fail)
    async with toy(sink) as link, dialled(link, "m1") as bad, dialled(link, "m2") as good:
        await bad.send("{}")
        with pytest.raises(ConnectionClosed):
            await bad.recv()
        await sink.until(lambda: sink.rejected == ["crash"])
        assert [line["log_level"] for line in logs] == ["error"]
        await good.send('{"power_kw": 2.0}')
        assert await sink.value(M2, Quantity.POWER_KW) == 2.0


async def test_strangers_are_refused_and_reported_and_the_newest_connection_of_a_meter_counts() -> None:
    sink = MeterSink()
    async with toy(sink, authenticate=lambda device, _: device != "m2") as link, dialled(link, "m1") as old:
        for stranger, status in (("m9", 404), ("m2", 401)):
            with pytest.raises(InvalidStatus) as error:
                async with dialled(link, stranger):
                    pass
            assert error.value.response.status_code == status
        refused = [(one.identity, one.reason) for one in sink.refused_connections]
        assert refused == [("m9", "unknown_station"), ("m2", "unauthorized")]
        async with dialled(link, "m1") as new:
            with pytest.raises(ConnectionClosed):
                await old.recv()
            await new.send('{"power_kw": 1.0}')
            assert await sink.value(M1, Quantity.POWER_KW) == 1.0
            assert sink.values[M1, Quantity.CONNECTED] == 1.0


async def test_a_closed_link_leaves_no_connection_behind() -> None:
    sink = MeterSink()
    async with toy(sink) as link:
        meter = await dialled(link, "m1")
        await sink.value(M1, Quantity.CONNECTED)
        link.send(setpoints((1, M1, Layer.DISPATCH, 3.0, 2e9)))
    async with asyncio.timeout(PATIENCE_WALL_S):
        await meter.wait_closed()
    assert sink.ended[1] == (UNREACHABLE, Reason.NOT_CONNECTED)
