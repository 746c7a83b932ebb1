# ruff: noqa: D102 - short methods of a station in memory whose names say what they do
"""Whatever happens to links and gateways, a station never holds two profiles of one id, and every answer finds its own.

The station is a strict one: it replaces a profile by one of the same purpose, stack level and connector alone, and
keeps what it holds over every restart of ours.
"""

import asyncio
import itertools
import math
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kit.websocket.frames import CloseCode
from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.messages.ocpp_j import Json, Version, parse_stamp, stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.profile_ids import (
    COMMANDS_A_PLACE,
    OWN_DEFAULT,
    PROBE_PROFILE_ID,
    RESTATED,
    WAKING,
    command_number,
    profile_id,
)
from tests.conformance.ocpp_bench import Sink, fleet, link_of, resource, setpoints
from tests.conformance.test_ocpp_meaning import HandClock
from vpp.domain.setpoint import Layer

CONNECTORS = {1: 3, 2: 4, 3: 5}
"""Rows of the station's connectors."""
INDEX = fleet(*(resource(row, f"S/{connector}") for connector, row in CONNECTORS.items()))
PURPOSES = {
    name: "ChargingStationMaxProfile" if name.startswith("ChargePoint") else name
    for name in (*("TxProfile", "TxDefaultProfile", "ChargePointMaxProfile", "ChargingStationMaxProfile"),)
}
Place = tuple[int, str, int]


@dataclass
class Station:
    """A station with the profiles it holds, whoever its central system is.

    Attributes:
        held: Id and end of the profile in every place.
        moods: How it answers profiles: accepts, refuses, or takes it and its answer is lost.
    """

    version: Version
    clock: HandClock
    moods: "itertools.cycle[str]"
    held: dict[Place, tuple[int, float]] = field(default_factory=dict)
    transactions: dict[int, str] = field(default_factory=dict)

    def alive(self) -> dict[Place, int]:
        now_s = self.clock.now_s()
        return {place: number for place, (number, until_s) in self.held.items() if until_s > now_s}

    def answer(self, action: str, payload: Json) -> Json | None:
        """Return the answer to a call, ``None`` where it is lost."""
        match action:
            case "SetChargingProfile":
                return self._take(payload)
            case "ClearChargingProfile":
                return self._clear(payload)
            case "GetConfiguration":
                return {"configurationKey": []}
            case "GetVariables":
                asked = payload["getVariableData"]
                return {"getVariableResult": [{**one, "attributeStatus": "UnknownVariable"} for one in asked]}
            case "SetVariables":
                asked = [{key: one[key] for key in ("component", "variable")} for one in payload["setVariableData"]]
                return {"setVariableResult": [{**one, "attributeStatus": "Rejected"} for one in asked]}
            case _:
                return {"status": "Accepted"}

    def _take(self, payload: Json) -> Json | None:
        old = self.version is Version.V16
        profile = payload["csChargingProfiles" if old else "chargingProfile"]
        number = profile["chargingProfileId" if old else "id"]
        purpose = PURPOSES[profile["chargingProfilePurpose"]]
        place = (payload["connectorId" if old else "evseId"], purpose, profile["stackLevel"])
        assert 0 < number < 2**31
        others = {where for where, known in self.alive().items() if known == number and where != place}
        assert not others, f"{number} is held at {others} and sent for {place}"
        mood = next(self.moods)
        if mood == "refuses":
            return {"status": "Rejected"}
        until_s = parse_stamp(profile["validTo"]) if "validTo" in profile else math.inf
        self.held[place] = (number, until_s)
        return None if mood == "loses" else {"status": "Accepted"}

    def _clear(self, payload: Json) -> Json:
        number = payload.get("id", payload.get("chargingProfileId"))
        found = [place for place, known in self.alive().items() if known == number]
        for place in found:
            del self.held[place]
        return {"status": "Accepted" if found else "Unknown"}


class Wire:
    """A connection in memory."""

    congested = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Json]] = []

    def open(self, handler: object) -> None:
        """Nothing comes by itself."""

    def send(self, message: bytes) -> None:
        kind, message_id, *rest = orjson.loads(message)
        if kind == 2:
            self.calls.append((message_id, *rest))

    def close(self, code: CloseCode = CloseCode.OK) -> None:
        """Nobody listens any more."""

    cut = ping = close


class Plant:
    """One station, the link that serves it now, and what became of the commands."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.sink = Sink()
        self.sent: list[int] = []
        self.link: OcppLink
        self._wire: Wire | None = None
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Begin with a link that knows nothing of the station."""
        self.link = link_of(clock=self.station.clock, control_test=False, setups_per_s=1e6)
        self.link.assign(INDEX)
        await self.link.start(self.sink)

    async def restart(self) -> None:
        await self.link.close()
        self._wire = None
        await self.start()

    async def connect(self) -> None:
        self._wire = Wire()
        self.link._running.connected(self._wire, "S", self.station.version.value)  # type: ignore[arg-type]  # as a socket's
        await self.call("Heartbeat", {})

    async def lose(self) -> None:
        session = self.link._running.get("S")
        self._wire = None
        if session is not None:
            session.closed()
        await self.settle()

    async def call(self, action: str, payload: Json) -> None:
        session = self.link._running.get("S")
        if session is not None and self._wire is not None:
            session.message_received(orjson.dumps([2, f"m{next(self._numbers)}", action, payload]))
        await self.settle()

    async def settle(self) -> None:
        """Answer until nothing more is asked."""
        for _ in range(1000):
            await asyncio.sleep(0)
            session = self.link._running.get("S")
            if self._wire is None or session is None or not self._wire.calls:
                break
            message_id, action, payload = self._wire.calls.pop(0)
            answer = self.station.answer(action, payload)
            if answer is None:
                session.give_up()
                session.pump()
            else:
                session.message_received(orjson.dumps([3, message_id, answer]))
        self.link._batcher.flush()

    async def send(self, command_id: int, connector: int, layer: Layer, power_kw: float, lease_s: float) -> None:
        until_s = self.station.clock.now_s() + lease_s if layer is Layer.DISPATCH else math.inf
        self.sent.append(command_id)
        self.link.send(setpoints((command_id, CONNECTORS[connector], layer, power_kw, until_s)))
        await self.settle()

    async def begin(self, connector: int) -> None:
        at, number = stamp(self.station.clock.now_s()), f"t{next(self._numbers)}"
        if self.station.version is Version.V16:
            start = {"connectorId": connector, "idTag": number, "meterStart": 0, "timestamp": at}
            await self.call("StartTransaction", start)
        else:
            await self.call("TransactionEvent", self._event("Started", connector, number, at))
        self.station.transactions[connector] = number

    async def end(self, connector: int) -> None:
        number, at = self.station.transactions.pop(connector, None), stamp(self.station.clock.now_s())
        if number is None:
            return
        self.station.held.pop((connector, "TxProfile", 0), None)
        if self.station.version is Version.V16:
            state = {"connectorId": connector, "errorCode": "NoError", "status": "Available", "timestamp": at}
            await self.call("StatusNotification", state)
        else:
            await self.call("TransactionEvent", self._event("Ended", connector, number, at))

    @staticmethod
    def _event(kind: str, connector: int, number: str, at: str) -> Json:
        return {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": number},
            "evse": {"id": connector, "connectorId": 1},
        }

    async def boot(self) -> None:
        boots = {
            Version.V16: {"chargePointVendor": "A", "chargePointModel": "B"},
        }
        about = {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "B"}}
        await self.call("BootNotification", boots.get(self.station.version, about))
        session = self.link._running.get("S")
        if session is not None:
            session._quiet_before = 0.0  # it has taken the answer to its boot
            session.pump()
        await self.settle()


STEPS = st.sampled_from((1, 1, 2, 3400, COMMANDS_A_PLACE, 2 * COMMANDS_A_PLACE, 2**22, 2**31, 2**40))
CONNECTOR = st.sampled_from(tuple(CONNECTORS))
SENDS = st.tuples(
    st.just("send"),
    CONNECTOR,
    STEPS,
    st.sampled_from((*[Layer.DISPATCH] * 3, Layer.DEFAULT, Layer.RELEASE)),
    st.sampled_from((0.0, 5.0, 9.0)),
    st.sampled_from((60.0, 900.0, 1e6)),
)
OTHERS = st.one_of(
    st.tuples(st.sampled_from(("restart", "lose", "connect", "boot"))),
    st.tuples(st.sampled_from(("begin", "end")), CONNECTOR),
    st.tuples(st.just("wait"), st.sampled_from((1.0, 100.0, 2000.0))),
)
MOODS = st.lists(st.sampled_from(("accepts", "accepts", "accepts", "refuses", "loses")), min_size=1, max_size=7)


async def played(station: Station, first: int, steps: list[tuple]) -> Plant:
    plant, command_id = Plant(station), first
    await plant.start()
    await plant.connect()
    for what, *how in steps:
        if what == "wait":
            await station.clock.sleep(*how)
            plant.link._running.delivery.tick(station.clock.now_s())
            await plant.settle()
        elif what == "send":
            connector, step, layer, power_kw, lease_s = how
            command_id += step
            await plant.send(command_id, connector, layer, power_kw, lease_s)
        else:
            await getattr(plant, what)(*how)
    await plant.link.close()
    return plant


@pytest.mark.parametrize("version", list(Version))
@settings(max_examples=60, deadline=None)
@given(
    first=st.sampled_from((0, 2**31 - 4, 2**40, 2**62)),
    steps=st.lists(st.one_of(SENDS, SENDS, OTHERS), max_size=25),
    moods=MOODS,
)
def test_no_two_profiles_of_a_station_have_one_id_and_every_answer_finds_its_command(
    version: Version, first: int, steps: list[tuple], moods: list[str]
) -> None:
    station = Station(version, HandClock(), itertools.cycle(moods))
    plant = asyncio.run(played(station, first, steps))
    assert sorted(plant.sink.told) == plant.sent
    numbers = [command_number(number) for number in station.alive().values()]
    known = {command_number(profile_id(1, ProfilePurpose.TX, 0, command_id)) for command_id in plant.sent}
    assert set(numbers) <= known | {OWN_DEFAULT, RESTATED, WAKING}


@given(
    connector=st.integers(1, 126), other=st.integers(1, 126),
    places=st.tuples(*[st.sampled_from(((ProfilePurpose.TX, 0), (ProfilePurpose.TX_DEFAULT, 0),
        (ProfilePurpose.TX_DEFAULT, 1), (ProfilePurpose.STATION_MAX, 0)))] * 2),
    ids=st.tuples(*[st.one_of(st.integers(-2, 2**63 - 1), st.sampled_from((1, 2**22, COMMANDS_A_PLACE)))] * 2),
)  # fmt: skip
def test_profiles_of_two_places_never_have_one_id(
    connector: int, other: int, places: tuple[tuple[ProfilePurpose, int], ...], ids: tuple[int, ...]
) -> None:
    one, two = (profile_id(c, *place, i) for c, place, i in zip((connector, other), places, ids, strict=True))
    for number, command_id in ((one, ids[0]), (two, ids[1])):
        assert 0 < number < 2**31
        assert (number < PROBE_PROFILE_ID) == (command_id != OWN_DEFAULT)
        assert (command_number(number) > 0) == (command_id > 0)
    assert one != two or (connector, places[0]) == (other, places[1]) or ids == (OWN_DEFAULT, OWN_DEFAULT)
    again = profile_id(connector, *places[0], command_number(one))
    assert again == one
