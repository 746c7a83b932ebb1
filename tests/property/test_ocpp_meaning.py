# ruff: noqa: D102 - short methods of a sink whose names say what they do
"""Whatever stations say in whatever order, what the service is told of them makes sense."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kit.websocket.server import Listening
from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.dialects.v16 import Dialect16
from adapters.ocpp.dialects.v20 import Dialect20
from adapters.ocpp.messages import healing, schemas
from adapters.ocpp.messages.ocpp_j import CallFaultError, Json, Version, stamp
from adapters.ocpp.station.station_state import StationState
from tests.conformance.ocpp_bench import fleet, resource
from tests.conformance.test_ocpp_meaning import HandClock
from vpp.domain.session import SessionEnded, SessionEvent, SessionStarted
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch

P_MAX_KW = 11.0
ROWS = (0, 3)


@dataclass
class Told:
    """What the service was told."""

    samples: list[tuple[int, int, float, float]] = field(default_factory=list)
    events: list[SessionEvent] = field(default_factory=list)

    def telemetry(self, batch: TelemetryBatch) -> None:
        columns = (batch.rows.tolist(), batch.quantities.tolist(), batch.values.tolist(), batch.at_s.tolist())
        self.samples += zip(*columns, strict=True)

    def outcomes(self, batch: OutcomeBatch) -> None:
        assert len(batch.ids) == 0, "nothing was asked for"

    def session(self, event: SessionEvent) -> None:
        self.events.append(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        assert (adapter, bool(reason)) == ("ocpp", True)

    def healed(self, adapter: str, kind: str) -> None:
        assert adapter == "ocpp"
        assert kind in healing.KINDS


AGES_S = st.sampled_from((0.0, 0.0, 0.0, 1.0, 45.0, 300.0, 4000.0, -300.0, -7200.0, 700_000.0))
CONNECTORS = st.sampled_from((1, 1, 1, 2, 0, 7))
REGISTERS_WH = st.sampled_from((0, 5_000_000, 5_000_400, 5_001_000, 120, 900, -1, 10**12, 10**17))
POWERS_W = st.sampled_from((0, 11_000, 11, 7_000_000, -5))
IDS = st.sampled_from((1, 2, 77, -1, 0, 2**31, 2**63 - 1))
STATES_16 = st.sampled_from(
    ("Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Faulted", "Unavailable")
)
STATES_2 = st.sampled_from(("Available", "Occupied", "Faulted", "Unavailable", "Reserved", "Charging"))
CONTEXTS = st.sampled_from((None, "Transaction.Begin", "Transaction.End", "Sample.Clock"))


def reading(now_s: float, age_s: float, power: int | None, energy: int | None, context: str | None) -> Json:
    samples: list[Json] = []
    for name, value in (("Power.Active.Import", power), ("Energy.Active.Import.Register", energy)):
        if value is not None:
            samples.append({"measurand": name, "value": value, **({"context": context} if context else {})})
    return {"timestamp": stamp(now_s - age_s), "sampledValue": samples}


@st.composite
def messages(draw: st.DrawFn, version: Version) -> tuple[str, Callable[[float], Json]]:
    """Draw an action and its payload as of a time."""
    kind = draw(st.sampled_from(("meter", "meter", "meter", "state", "start", "stop", "boot")))
    age_s, connector, number = draw(AGES_S), draw(CONNECTORS), draw(IDS)
    power, energy = draw(st.none() | POWERS_W), draw(st.none() | REGISTERS_WH)
    context, state = draw(CONTEXTS), draw(STATES_16 if version is Version.V16 else STATES_2)
    offline, sequence, port = draw(st.booleans()), draw(st.integers(0, 9)), draw(st.sampled_from((1, 2)))
    whole = draw(st.booleans())

    def readings(now_s: float) -> list[Json]:
        return [reading(now_s, age_s, power, energy, context), reading(now_s, 60.0, power, energy, None)][: 1 + whole]

    def old(now_s: float) -> Json:
        at = stamp(now_s - age_s)
        return {
            "boot": {"chargePointVendor": "A", "chargePointModel": "B"},
            "meter": {"connectorId": connector, "transactionId": number, "meterValue": readings(now_s)},
            "state": {"connectorId": connector, "errorCode": "NoError", "status": state, "timestamp": at},
            "start": {"connectorId": connector, "idTag": "T", "meterStart": energy, "timestamp": at},
            "stop": {
                "transactionId": number,
                "meterStop": energy,
                "timestamp": at,
                **({"transactionData": readings(now_s)} if whole else {}),
            },
        }[kind]

    def new(now_s: float) -> Json:
        at = stamp(now_s - age_s)
        if kind == "boot":
            return {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "B"}}
        if kind == "state":
            return {"evseId": connector, "connectorId": port, "connectorStatus": state, "timestamp": at}
        event = {"meter": "Updated", "start": "Started", "stop": "Ended"}[kind]
        return {
            "eventType": event,
            "timestamp": at,
            "triggerReason": "Trigger",
            "seqNo": sequence,
            "offline": offline,
            "transactionInfo": {"transactionId": f"t{number}", "chargingState": "Charging" if power else "SuspendedEV"},
            "meterValue": readings(now_s),
            **({"evse": {"id": connector, "connectorId": port}} if whole else {}),
        }

    actions_16 = {"meter": "MeterValues", "state": "StatusNotification", "start": "StartTransaction"}
    actions_16 |= {"stop": "StopTransaction", "boot": "BootNotification"}
    if version is Version.V16:
        return actions_16[kind], old
    return actions_16[kind] if kind in ("state", "boot") else "TransactionEvent", new


def served(version: Version, charger: StationState, action: str, payload: Json) -> None:
    """Take a message as an endpoint does."""
    dialect = Dialect16() if version is Version.V16 else Dialect20(version)
    try:
        schemas.check_request(version, action, payload)
    except CallFaultError:
        try:
            payload = healing.heal(version, action, payload).payload
        except CallFaultError:
            return
    dialect.serve(charger, action, payload)


async def heard(version: Version, said: list[tuple[str, Callable[[float], Json], float]]) -> tuple[Told, HandClock]:
    told, clock = Told(), HandClock()
    link = OcppLink(clock=clock, listening=Listening(host="127.0.0.1", port=0))
    link.assign(fleet(resource(3, "CP1/2")))
    await link.start(told)
    charger = link._known.enter("CP1")
    assert charger is not None
    for action, payload, passed_s in said:
        await clock.sleep(passed_s)
        served(version, charger, action, payload(clock.now_s()))
        link._batcher.flush()
        link.card(0)
    await link.close()
    return told, clock


@pytest.mark.parametrize("version", list(Version))
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_told_of_a_station_makes_sense(version: Version, data: st.DataObject) -> None:
    passed = st.sampled_from((0.0, 1.0, 60.0, 60.0, 200.0, 7200.0))
    drawn = data.draw(st.lists(st.tuples(messages(version), passed), max_size=25))
    told, clock = asyncio.run(heard(version, [(*message, passed_s) for message, passed_s in drawn]))
    for row, quantity, value, at_s in told.samples:
        assert row in ROWS
        assert math.isfinite(value)
        assert at_s <= clock.now_s() + 1e-3
        assert quantity != Quantity.ENERGY_KWH or value >= 0.0
    for row in ROWS:
        registers = [value for r, quantity, value, _ in told.samples if (r, quantity) == (row, Quantity.ENERGY_KWH)]
        assert registers == sorted(registers), "a register never falls"
        begun = [e.meter_kwh for e in told.events if isinstance(e, SessionStarted | SessionEnded) and e.row == row]
        assert all(math.isnan(kwh) or kwh >= 0.0 for kwh in begun)
    running: dict[int, str] = {}
    for event in told.events:
        if isinstance(event, SessionStarted):
            assert running.get(event.row, event.session_id) == event.session_id, "one car at a connector"
            assert math.isfinite(event.at_s)
            running[event.row] = event.session_id
        elif isinstance(event, SessionEnded) and running.get(event.row) == event.session_id:
            del running[event.row]
