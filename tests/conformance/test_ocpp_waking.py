"""Cars that sleep on after a pause are woken where an operator wants it, and nobody's limit is exceeded by it."""

import asyncio
import math
from collections.abc import Iterator

import pytest

from adapters.ocpp import OcppLink
from adapters.ocpp.control.waking import TRIES, Waker, WakeRule
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.profile_ids import WAKING, profile_id
from tests.conformance.bus_parts import until
from tests.conformance.ocpp_bench import ACCEPTED, EV, RawStation, Sink, central, clock, setpoints, station
from tests.conformance.test_ocpp_pacing import limits
from tests.conformance.test_ocpp_ways import begin
from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import InputError
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble
from vpp.runtime.clock import ScaledClock

RULES = WakeRule.read("O*@s1")
SPEED = 100.0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the times at which a link has looked for cars to be woken."""
    at_s, due = list[float](), Waker.due

    def looked(self: Waker, now_s: float) -> Iterator[int]:
        yield from due(self, now_s)
        at_s.append(now_s)

    monkeypatch.setattr(Waker, "due", looked)
    return at_s


async def left_alone(raw: RawStation, looks: list[float], until_s: float) -> None:
    """Wait until the link has looked after a time, and what it then sent has come."""
    await until(lambda: bool(looks) and looks[-1] > until_s)
    await raw.call("Heartbeat", {})


def falls_asleep(link: OcppLink, *, asleep: bool = True) -> None:
    """Say that the car at the first station does not wake, or has woken."""
    link._known.by_name["CP1"].troubles.set(EV, Trouble.DOES_NOT_WAKE, asleep)


async def has_a_car(link: OcppLink, sink: Sink, raw: RawStation, fast: ScaledClock, power_kw: float) -> None:
    """Begin a transaction and put a dispatch value in force."""
    await begin(raw)
    link.send(setpoints((5, EV, Layer.DISPATCH, power_kw, fast.now_s() + 9000.0)))
    assert await sink.outcome(5) == ACCEPTED


async def test_a_sleeping_car_is_given_nothing_then_six_amperes_then_what_was_in_force() -> None:
    sink, fast = Sink(), clock(SPEED)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 8.0)
        falls_asleep(link)
        await raw.asked_for("SetChargingProfile", 5)
        assert limits(raw) == [8000, 0, 3960, 8000]
        falls_asleep(link, asleep=False)
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 8.0)
        assert sink.told == [5]  # the link's own instructions have no outcome


async def test_without_a_value_in_force_nothing_is_left_behind() -> None:
    sink, fast = Sink(), clock(20.0)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await begin(raw)
        falls_asleep(link)
        assert await raw.asked_for("ClearChargingProfile") == {"id": profile_id(1, ProfilePurpose.TX, 0, WAKING)}
        assert limits(raw) == [0, 3960]
        falls_asleep(link, asleep=False)


@pytest.mark.parametrize("rules", [(), WakeRule.read("O*@elsewhere"), WakeRule.read("Two@*")])
async def test_no_other_station_is_disturbed(rules: tuple[WakeRule, ...], looks: list[float]) -> None:
    sink, fast = Sink(), clock(SPEED)
    async with central(sink, clock=fast, wake=rules) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 8.0)
        falls_asleep(link)
        await left_alone(raw, looks, fast.now_s() + 60.0)
        assert limits(raw) == [8000]


async def test_a_limit_below_six_amperes_is_never_exceeded_to_wake_a_car(looks: list[float]) -> None:
    sink, fast = Sink(), clock(SPEED)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 0.0)
        falls_asleep(link)
        await left_alone(raw, looks, fast.now_s() + 60.0)
        assert limits(raw) == [0]


async def test_an_instruction_that_comes_meanwhile_is_the_one_that_holds(looks: list[float]) -> None:
    sink, fast = Sink(), clock(10.0)
    async with central(sink, clock=fast, wake=RULES, profile_interval_s=10.0) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 8.0)
        falls_asleep(link)
        await raw.asked_for("SetChargingProfile", 4)
        link.send(setpoints((6, EV, Layer.DISPATCH, 0.0, fast.now_s() + 9000.0)))
        assert await sink.outcome(6) == ACCEPTED
        await left_alone(raw, looks, fast.now_s() + 40.0)
        assert limits(raw) == [8000, 0, 3960, 0]
        assert sink.values[EV, Quantity.LIMIT_KW] == 0.0


async def test_a_try_that_was_not_possible_does_not_count(looks: list[float]) -> None:
    sink, fast = Sink(), clock(2000.0)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 0.0)
        falls_asleep(link)
        await left_alone(raw, looks, fast.now_s() + 2000.0)
        link.send(setpoints((6, EV, Layer.DISPATCH, 8.0, fast.now_s() + 9000.0)))
        assert await sink.outcome(6) == ACCEPTED
        await raw.until(lambda: limits(raw)[-3:] == [0, 3960, 8000])


async def test_what_was_in_force_is_put_back_at_once_where_a_car_wakes_halfway() -> None:
    sink, fast = Sink(), clock(5.0)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await has_a_car(link, sink, raw, fast, 8.0)
        falls_asleep(link)
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 0.0)
        falls_asleep(link, asleep=False)
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 8.0)
        assert limits(raw) == [8000, 0, 8000]


async def test_a_car_that_sleeps_on_is_left_alone_after_some_tries(looks: list[float]) -> None:
    sink, fast = Sink(), clock(1000.0)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        await begin(raw)
        link.send(setpoints((5, EV, Layer.DISPATCH, 8.0, fast.now_s() + 1e6)))
        assert await sink.outcome(5) == ACCEPTED
        falls_asleep(link)
        await raw.until(lambda: len(limits(raw)) == 1 + 3 * TRIES)
        await left_alone(raw, looks, fast.now_s() + 1000.0)
        assert limits(raw) == [8000, *[0, 3960, 8000] * TRIES]


@pytest.mark.parametrize("text", ["Easee", "@s1", "Easee@", "a@b,c"])
def test_rules_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="MODEL@SITE"):
        WakeRule.read(text)


async def test_a_car_that_stays_at_nought_after_its_pause_is_noticed_and_woken() -> None:
    sink, fast = Sink(), clock(200.0)
    async with central(sink, clock=fast, wake=RULES) as link, station(link) as raw:
        start = {"connectorId": 1, "idTag": "AB", "meterStart": 5000, "timestamp": stamp(fast.now_s())}
        transaction = (await raw.call("StartTransaction", start))[2]["transactionId"]

        async def draws(watts: float) -> None:
            sample = {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}
            reading = {"timestamp": stamp(fast.now_s()), "sampledValue": [sample]}
            values = {"connectorId": 1, "transactionId": transaction, "meterValue": [reading]}
            await raw.call("MeterValues", values)

        await draws(9000)
        link.send(setpoints((5, EV, Layer.DISPATCH, 0.0, fast.now_s() + 9000.0)))
        assert await sink.outcome(5) == ACCEPTED
        await draws(0)
        link.send(setpoints((6, EV, Layer.RELEASE, math.nan, math.inf)))
        assert await sink.outcome(6) == ACCEPTED
        async with asyncio.timeout(PATIENCE_WALL_S):
            while len(limits(raw)) < 3:
                await draws(0)
                await fast.sleep(30.0)
        assert limits(raw)[1:3] == [0, 3960]
        await draws(9000)
        await sink.until(lambda: sink.values[EV, Quantity.TROUBLES] == 0.0)
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 9.0)
