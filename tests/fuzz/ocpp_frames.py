"""OCPP-J messages of stations gone mad: calls and answers of all three versions, by structure and by bytes."""

import asyncio
import importlib.resources
import random
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from typing import Any

import orjson

from adapters.kit.websocket.frames import Opcode, masked
from adapters.ocpp.messages.ocpp_j import Version
from tests.conformance.ocpp_bench import setpoints
from tests.fuzz.engine import Tally
from tests.fuzz.mutate import ODD_VALUES, dumped, mutated_bytes, mutated_json
from tests.fuzz.ocpp_ground import FIRST_ROW, HOSTILE, Ground, Line, ground
from tests.fuzz.schema_values import Schema, drawn
from vpp.domain.setpoint import Layer

NAME = "ocpp-frames"
SHARE = 0.42
BATCH = 24
"""Messages of one station before it is heard whether it is still served."""
_MASK = b"\x11\x22\x33\x44"
_THEIR_ID = b"@id@"
"""Stands for the message id of the call that the central system waits for."""
_FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
_OFTEN = (
    *("BootNotification", "StatusNotification", "Heartbeat", "MeterValues", "TransactionEvent", "DataTransfer"),
    *("StartTransaction", "StopTransaction", "NotifyEVChargingNeeds", "NotifyReport", "Authorize"),
)
_ASKED = (
    *("SetChargingProfile", "ClearChargingProfile", "GetConfiguration", "ChangeConfiguration", "TriggerMessage"),
    *("GetVariables", "SetVariables", "GetCompositeSchedule"),
)
_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, -1, 2.0, "2", None, True, 10**30)


def inputs(rng: random.Random) -> Iterator[tuple[Version, bytes]]:
    """Iterate messages and the version they are of."""
    while True:
        version = rng.choice(tuple(Version))
        message = _answer(rng, version) if rng.random() < 0.3 else _call(rng, version)
        steps = rng.choice((0, 1, 1, 1, 2, 5))
        data = dumped(mutated_json(rng, message, steps))
        yield version, mutated_bytes(rng, data, rng.choice((1, 2, 4))) if rng.random() < 0.3 else data


async def run(inputs: Iterator[tuple[Version, bytes]], tally: Tally) -> None:
    """Have hostile stations of each version speak at once, in batches, while they are sent instructions."""
    async with ground(tally) as place:
        stations = [_Hostile(place, name, tuple(Version)[n % 3]) for n, name in enumerate(HOSTILE)]
        numbers = count(1)
        while batch := list(islice(inputs, BATCH * len(stations))):
            _instruct(place, numbers)
            by_version = {version: [data for of, data in batch if of is version] for version in Version}
            shares = (by_version[one.version][at // 3 :: len(stations) // 3] for at, one in enumerate(stations))
            await asyncio.gather(*(one.say(share) for one, share in zip(stations, shares, strict=True)))
            await place.ask_neighbour()
        for one in stations:
            one.close()
        tally.notes["reconnections"] = sum(one.connections for one in stations)
        tally.notes["healed"] = place.sink.repaired.total()


class _Hostile:
    """One station and the connection it has just now."""

    def __init__(self, place: Ground, name: str, version: Version) -> None:
        self.version = version
        self.connections = 0
        self._place = place
        self._name = name
        self._line: Line | None = None
        self._asked = b"none"
        self._sentinels = count()

    async def say(self, messages: list[bytes]) -> None:
        """Send messages, and then one whose answer shows that they were dealt with, or that we were cut off."""
        line = await self._connected()
        sentinel = f"s{next(self._sentinels)}"
        end = orjson.dumps([2, sentinel, "Heartbeat", {}])
        said = (message.replace(_THEIR_ID, self._asked) for message in messages)
        await line.send(b"".join(masked(Opcode.TEXT, message, _MASK) for message in (*said, end)))
        while not self._has_answered(line, sentinel):
            if not await line.read():
                self.close()
                return

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _connected(self) -> Line:
        if self._line is None:
            self._line = await self._place.dial()
            self.connections += 1
            if not await self._line.upgrade(self._name, self.version):
                raise AssertionError(f"{self._name} was not let in")
        return self._line

    def _has_answered(self, line: Line, sentinel: str) -> bool:
        found = False
        for _, payload in line.frames():
            message = orjson.loads(payload) if payload[:1] == b"[" else [None]
            if message[0] == 2:
                self._asked = str(message[1]).encode()
            found = found or message[:2] == [3, sentinel]
        return found


def _instruct(place: Ground, numbers: "count[int]") -> None:
    """Have the central system wait for an answer of everybody."""
    rows = range(FIRST_ROW, FIRST_ROW + len(HOSTILE))
    place.link.send(setpoints(*((next(numbers), row, Layer.DISPATCH, 5.0, 2e9) for row in rows)))


def _call(rng: random.Random, version: Version) -> list[Any]:
    schemas = _requests(version)
    often = [name for name in _OFTEN if name in schemas]
    action = rng.choice(often if rng.random() < 0.8 else list(schemas))
    message_id = rng.choice(("1", "2", f"m{rng.randrange(10**9)}", "x" * 36, "x" * 37, ""))
    frame = [2, message_id, action, drawn(rng, schemas[action])]
    return frame if rng.random() < 0.95 else [rng.choice(_TYPES), *frame[1 : rng.randrange(1, 5)]]


def _answer(rng: random.Random, version: Version) -> list[Any]:
    """Return an answer to what the central system has asked, of an action it may have asked for."""
    message_id = rng.choice(("@id@", "@id@", "@id@", "-1", "7"))
    if rng.random() < 0.3:
        code = rng.choice(("NotSupported", "GenericError", "InternalError", "", *ODD_VALUES))
        return [4, message_id, code, "", {}][: rng.choice((1, 2, 3, 4, 5))]
    responses = _responses(version)
    action = rng.choice([name for name in _ASKED if name in responses])
    return [3, message_id, drawn(rng, responses[action])]


@cache
def _requests(version: Version) -> dict[str, Schema]:
    return {name.removesuffix("Request"): one for name, one in _schemas(version).items() if not _is_response(name)}


@cache
def _responses(version: Version) -> dict[str, Schema]:
    return {name.removesuffix("Response"): one for name, one in _schemas(version).items() if _is_response(name)}


def _is_response(name: str) -> bool:
    return name.endswith("Response")


@cache
def _schemas(version: Version) -> dict[str, Schema]:
    folder = importlib.resources.files("ocpp") / _FOLDERS[version] / "schemas"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return {file.name.removesuffix(".json"): orjson.loads(file.read_text(encoding="utf-8-sig")) for file in files}
