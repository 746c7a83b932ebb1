"""Benchmark peer: a central system of the ``ocpp`` package on ``websockets``, as they ship.

It handles meter values as ours does (every reading as a number in the state of its station) and validates messages,
as the package does by default. Compression is off, for no station here offers it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import ocpp.v16
import ocpp.v16.call_result
from ocpp.routing import on
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from adapters.ocpp.messages.ocpp_j import Version, parse_stamp


class ChargePoint(ocpp.v16.ChargePoint):  # type: ignore[misc]  # the package ships no annotations
    """A station, as the package represents it."""

    values: dict[str, tuple[float, float]]
    now: Callable[[], str]

    @on("BootNotification")  # type: ignore[untyped-decorator]  # as above
    def on_boot(self, **_: object) -> ocpp.v16.call_result.BootNotification:
        """Accept it."""
        return ocpp.v16.call_result.BootNotification(current_time=self.now(), interval=300, status="Accepted")

    @on("StatusNotification")  # type: ignore[untyped-decorator]  # as above
    def on_status(self, **_: object) -> ocpp.v16.call_result.StatusNotification:
        """Take its status."""
        return ocpp.v16.call_result.StatusNotification()

    @on("MeterValues")  # type: ignore[untyped-decorator]  # as above
    def on_meter_values(self, meter_value: list[Any], **_: object) -> ocpp.v16.call_result.MeterValues:
        """Keep every reading as a number with its time."""
        for reading in meter_value:
            at_s = parse_stamp(reading["timestamp"])
            for sample in reading["sampled_value"]:
                self.values[sample["measurand"]] = (float(sample["value"]), at_s)
        return ocpp.v16.call_result.MeterValues()


async def serve_peer(host: str, now: Callable[[], str], listening: Callable[[int], None]) -> None:
    """Serve until cancelled; ``listening`` receives the port."""

    async def talk(connection: ServerConnection) -> None:
        path = "" if connection.request is None else connection.request.path
        point = ChargePoint(path.rpartition("/")[2], connection)
        point.values, point.now = {}, now
        try:
            await point.start()
        except ConnectionClosed:
            return

    async with serve(talk, host, 0, subprotocols=[Version.V16.value], compression=None, backlog=4096) as server:  # type: ignore[list-item]  # NewType of str
        listening(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()
