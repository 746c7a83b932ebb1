"""The link without sockets: outcomes, telemetry, sessions."""

from datetime import datetime

import numpy as np
import pytest

from vpp.domain.resource import ResourceClass
from vpp.domain.session import SessionEvent, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.lab.twin.environment.world_file import KIND_WORLD, Cadence, Devices, World
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.link import TwinLink
from vpp.lab.twin.physics.faults import FaultRates
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.lab.twin.worlds import ACTUAL
from vpp.ports import DeviceLink, DeviceWorld, LinkSink

NOON_S = 1_752_638_400.0


class HandClock:
    """Time that a test moves by hand."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def now(self) -> datetime:
        """The instant."""
        return instant(self.at_s)

    def now_s(self) -> float:
        """The instant in epoch seconds."""
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        """Move time on."""
        self.at_s += seconds

    async def sleep_until(self, at_s: float) -> None:
        """Move time on."""
        self.at_s = max(self.at_s, at_s)

    def wall(self, seconds: float) -> float:
        """One to one."""
        return seconds


class Ears:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.batches: list[TelemetryBatch] = []
        self.told: dict[int, tuple[OutcomeStatus, Reason]] = {}
        self.heard: list[SessionEvent] = []

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Keep the batch."""
        self.batches.append(batch)

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Keep the outcomes; each may come once."""
        for i, status, reason in zip(batch.ids.tolist(), batch.status, batch.reasons, strict=True):
            assert i not in self.told
            self.told[i] = (OutcomeStatus(status), Reason(reason))

    def session(self, event: SessionEvent) -> None:
        """Keep the event."""
        self.heard.append(event)

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Must not happen."""
        raise AssertionError(adapter, reason)

    healed = rejected_frame


class Bench:
    """A twin, its link and the ears on it."""

    def __init__(self, *, faults: FaultRates | None = None, name: str = "twin", world: World = KIND_WORLD) -> None:
        self.twin = Twin(
            demo_fleet(scale=0.2),
            seed=1,
            start_s=NOON_S,
            sessions=BuiltinSessions(1),
            weather=Weather.builtin(),
            faults=FaultRates.none() if faults is None else faults,
            world=world,
        )
        self.clock = HandClock(NOON_S)
        self.link = TwinLink(self.twin, self.clock, name=name)
        self.ears = Ears()
        self.link.assign(self.twin.index)
        self.next_id = 1

    def send(self, rows: list[int], power_kw: float, *, layer: Layer = Layer.DISPATCH, lease_s: float = 900.0) -> None:
        """Send one instruction to each row."""
        count = len(rows)
        self.link.send(
            SetpointBatch(
                ids=np.arange(self.next_id, self.next_id + count, dtype=np.int64),
                rows=np.array(rows, dtype=np.int32),
                layers=np.full(count, layer, dtype=np.uint8),
                power_kw=np.full(count, power_kw),
                until_s=np.full(count, self.clock.at_s + lease_s),
                epoch=1,
            )
        )
        self.next_id += count

    def run(self, seconds: float) -> None:
        """Let seconds pass one by one."""
        end_s = self.clock.at_s + seconds
        while self.clock.at_s < end_s:
            self.clock.at_s += 1.0
            self.twin.advance(self.clock.at_s)
            self.link.pump(self.clock.at_s)

    def rows(self, cls: ResourceClass) -> list[int]:
        """Rows of a class."""
        return np.flatnonzero(self.twin.index.is_class(cls)).tolist()


def test_the_twin_and_its_link_keep_the_ports_they_promise() -> None:
    bench = Bench()
    world: DeviceWorld = bench.twin
    link: DeviceLink = bench.link
    sink: LinkSink = bench.ears
    assert world.index is bench.twin.index
    assert link.name == "twin"
    assert callable(sink.telemetry)


async def test_every_instruction_comes_back_once_and_is_obeyed() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    rows = bench.rows(ResourceClass.STORAGE)
    bench.send(rows, -60.0)
    assert not bench.ears.told
    bench.run(30)
    assert list(bench.ears.told.values()) == [(OutcomeStatus.ACCEPTED, Reason.NONE)] * len(rows)
    assert bench.twin.power_kw[ACTUAL, rows] == pytest.approx(np.full(len(rows), -60.0))


async def test_a_newer_instruction_replaces_one_that_still_waits() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    row = bench.rows(ResourceClass.STORAGE)[0]
    for power_kw in (-10.0, -20.0, -30.0):
        bench.send([row], power_kw)
    assert bench.ears.told == {2: (OutcomeStatus.REJECTED, Reason.EXPIRED)}
    bench.run(10)
    assert bench.ears.told[1] == bench.ears.told[3] == (OutcomeStatus.ACCEPTED, Reason.NONE)
    assert bench.twin.dispatch_kw()[row] == -30.0


async def test_refusals_dark_devices_and_dead_leases_are_told_apart() -> None:
    bench = Bench(faults=FaultRates(refuse_ratio=1.0, ignore_ratio=0.0, dropouts_per_hour=0.0))
    await bench.link.start(bench.ears)
    rows = bench.rows(ResourceClass.STORAGE)
    bench.twin.drop(np.array(rows[:1], dtype=np.int32))
    bench.send(rows[:2], -10.0)
    bench.send(rows[2:3], -10.0, lease_s=0.0)
    bench.run(10)
    assert bench.ears.told == {
        1: (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED),
        2: (OutcomeStatus.REJECTED, Reason.REFUSED),
        3: (OutcomeStatus.REJECTED, Reason.EXPIRED),
    }


async def test_an_ignorer_says_yes_and_does_nothing() -> None:
    bench = Bench(faults=FaultRates(refuse_ratio=0.0, ignore_ratio=1.0, dropouts_per_hour=0.0))
    await bench.link.start(bench.ears)
    rows = bench.rows(ResourceClass.STORAGE)
    bench.send(rows, -10.0)
    bench.run(10)
    assert {status for status, _ in bench.ears.told.values()} == {OutcomeStatus.ACCEPTED}
    assert (bench.twin.power_kw[ACTUAL, rows] == 0.0).all()


async def test_connections_meters_and_present_cars_are_told_at_start() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    quantities = np.concatenate([b.quantities for b in bench.ears.batches])
    assert (quantities == Quantity.CONNECTED).sum() == len(bench.twin.index)
    assert (quantities == Quantity.POWER_KW).sum() == len(bench.twin.index)
    started = [e for e in bench.ears.heard if isinstance(e, SessionStarted)]
    promised = [e for e in bench.ears.heard if isinstance(e, SessionPromised)]
    assert len(started) == len(promised) == int(bench.twin.sessions.plugged().sum())
    assert started[0].session_id.startswith(f"{bench.twin.index.resources[started[0].row].id}:")


async def test_a_lost_link_is_told_once() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    bench.ears.batches.clear()
    bench.twin.drop(np.array([4], dtype=np.int32))
    bench.run(25)
    lost = [b for b in bench.ears.batches if (b.quantities == Quantity.CONNECTED).any()]
    assert len(lost) == 1
    assert lost[0].rows.tolist() == [4]
    assert not any((b.rows == 4).any() for b in bench.ears.batches if b is not lost[0])


async def test_a_link_of_one_protocol_serves_its_rows_only() -> None:
    bench = Bench(name="modbus")
    await bench.link.start(bench.ears)
    told = set(np.concatenate([b.rows for b in bench.ears.batches]).tolist())
    assert told == set(bench.rows(ResourceClass.PV)) | set(bench.rows(ResourceClass.STORAGE))
    bench.send(bench.rows(ResourceClass.EV)[:1], 1.0)
    assert bench.ears.told == {1: (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)}


async def test_closing_returns_what_is_outstanding() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    bench.send(bench.rows(ResourceClass.HVAC), 100.0)
    await bench.link.close()
    assert {status for status, _ in bench.ears.told.values()} == {OutcomeStatus.UNREACHABLE}


async def test_an_opt_out_at_a_station_without_its_link_is_reported_once_it_is_back() -> None:
    bench = Bench()
    await bench.link.start(bench.ears)
    car = np.flatnonzero(bench.twin.sessions.plugged())[:1].astype(np.int32)
    bench.twin.drop(car)
    bench.twin.sessions.opt_out(car)
    bench.ears.heard.clear()
    bench.link.pump(NOON_S)
    assert not bench.ears.heard
    bench.twin.restore(car)
    bench.link.pump(NOON_S)
    bench.link.pump(NOON_S)
    (event,) = bench.ears.heard
    assert isinstance(event, SessionPromised)
    assert event.promise.opted_out


async def test_a_report_is_handed_over_after_its_delay_with_the_time_of_its_reading() -> None:
    slow = KIND_WORLD.model_copy(update={"devices": Devices(delay_s=Cadence(modbus=3.0))})
    bench = Bench(name="modbus", world=slow)
    await bench.link.start(bench.ears)
    bench.ears.batches.clear()
    lateness_s: list[float] = []
    for _ in range(30):
        bench.run(1)
        lateness_s += [bench.clock.at_s - float(batch.at_s[0]) for batch in bench.ears.batches]
        bench.ears.batches.clear()
    assert set(lateness_s) == {3.0}


async def test_a_delay_shorter_than_the_models_step_is_lost_in_it() -> None:
    slow = KIND_WORLD.model_copy(update={"devices": Devices(delay_s=Cadence(modbus=3.0))})
    bench = Bench(name="modbus", world=slow)
    await bench.link.start(bench.ears)
    bench.ears.batches.clear()
    for _ in range(4):
        bench.clock.at_s += 60.0
        bench.twin.advance(bench.clock.at_s)
        bench.link.pump(bench.clock.at_s)
    assert [float(batch.at_s[0]) for batch in bench.ears.batches] == [NOON_S + 60.0 * k for k in (1, 2, 3, 4)]
