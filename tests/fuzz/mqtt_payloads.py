"""MQTT payloads and topics as no gateway should send them, with a good site on the same inbox."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from structlog.testing import capture_logs

from adapters.kit.batching import Batcher
from adapters.mqtt.command_queue import CommandQueue, QueuedCommand
from adapters.mqtt.inbox import Inbox
from adapters.mqtt.payload import Command, DeviceReading, status, telemetry
from adapters.mqtt.site_directory import SiteDirectory
from tests.fleets import at_one_site
from tests.fuzz.engine import Tally
from tests.fuzz.mutate import dumped, mutated_bytes, mutated_json
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.fleet.index import FleetIndex

NAME = "mqtt-payloads"
SHARE = 0.28
_NOW_S = 1_784_100_000.0
_SOUND_EVERY = 100
_FRESH_EVERY = 400
_GOOD_ROW = 0
_DEVICES = ("hall/b1", "hall/b2", "park/b1")
_LEAVES = ("telemetry", "telemetry", "telemetry", "outcome", "status")
_TOPICS = ("vpp/v1/sites/hall/command", "vpp/v1/sites/", "", "a/b", "vpp/v1/sites/nobody/telemetry", "vpp/v1/sites/#/x")

Input = tuple[str, bytes, bool, float]
"""Topic, payload, whether the broker kept it, and seconds since the one before."""


def inputs(rng: random.Random) -> Iterator[Input]:
    """Iterate messages that were made wrong somewhere."""
    while True:
        leaf, site = rng.choice(_LEAVES), rng.choice(("hall", "hall", "park", "nobody"))
        topic = f"vpp/v1/sites/{site}/{leaf}" if rng.random() < 0.97 else rng.choice(_TOPICS)
        body = dumped(mutated_json(rng, _message(rng, leaf), rng.choice((0, 1, 1, 2, 4))))
        if rng.random() < 0.3:
            body = mutated_bytes(rng, body, rng.choice((1, 1, 3, 9)))
        yield topic, body, rng.random() < 0.1, rng.choice((0.0, 0.1, 1.0, 3.0))


def _message(rng: random.Random, leaf: str) -> dict[str, Any]:
    at = instant(_NOW_S + rng.choice((0.0, -5.0, -400.0, -9e4, 700.0))).isoformat()
    if leaf == "status":
        return {"online": rng.random() < 0.7, "at": at}
    if leaf == "outcome":
        word = rng.choice(("accepted", "rejected", "maybe"))
        return {
            "at": at,
            "outcomes": [{"id": rng.randrange(1, 9), "device": "b1", "status": word, "reason": "refused"}],
        }
    names = ("power_kw", "power_w", "energy_kwh", "energy_wh", "soc", "p_min_kw", "p_max_kw", "limit_kw")
    devices = [
        {"id": rng.choice(("b1", "b2", "b9")), "online": rng.random() < 0.9}
        | {name: rng.choice((0.0, 0.5, 1.0, 7, 40, -50.0, 49_000)) for name in names if rng.random() < 0.6}
        for _ in range(rng.randrange(4))
    ]
    return {"at": at, "devices": devices}


@dataclass
class _Sink:
    """Notes what is heard of the good device."""

    power_kw: float = float("nan")
    samples: int = 0
    faults: list[str] = field(default_factory=list)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Look at every sample."""
        self.samples += len(batch.rows)
        columns = (batch.rows.tolist(), batch.quantities.tolist(), batch.values.tolist(), batch.at_s.tolist())
        for row, quantity, value, at_s in zip(*columns, strict=True):
            if quantity == Quantity.SOC and not 0.0 <= value <= 1.0:
                self.faults.append(f"a charge of {value}")
            if not abs(value) < 1e15 or not abs(at_s) < 1e11:
                self.faults.append(f"{Quantity(quantity).name} {value} at {at_s}")
            if (row, quantity) == (_GOOD_ROW, Quantity.POWER_KW):
                self.power_kw = value

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes."""

    def session(self, event: SessionEvent) -> None:
        """Take none."""
        self.faults.append(f"a car: {event}")

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Take the reason."""

    def healed(self, adapter: str, kind: str) -> None:
        """Take the kind."""


@dataclass
class _Hearing:
    """An inbox with all it needs."""

    sink: _Sink
    directory: SiteDirectory = field(default_factory=SiteDirectory)
    queue: CommandQueue = field(default_factory=lambda: CommandQueue(30.0))
    delivery: Batcher = field(default_factory=partial(Batcher, "mqtt", flush_wall_s=None))
    now_s: float = _NOW_S

    def __post_init__(self) -> None:
        self.delivery.open(self.sink)
        self.directory.assign(_fleet())
        self.inbox = Inbox(self.directory, self.queue, self.delivery)


async def run(inputs: Iterator[Input], tally: Tally) -> None:
    """Let an inbox take every message; the good site reports in between and must be heard."""
    sink = _Sink()
    hearing = _Hearing(sink)
    with capture_logs():
        for number, (topic, body, kept, seconds) in enumerate(inputs):
            if number % _FRESH_EVERY == 0:
                hearing = _Hearing(sink)  # stamps are of one quarter of an hour
            hearing.now_s += seconds
            try:
                hearing.inbox.take(topic, body, hearing.now_s, retained=kept)
                _send_something(hearing.queue, number, hearing.now_s)
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
                tally.crash(f"{type(error).__name__}: {error}", body)
            if number % _SOUND_EVERY == 0:
                _report(hearing, tally, float(number % 40))
    for fault in sink.faults:
        tally.crash(fault)
    tally.notes["samples taken"] = sink.samples


def _report(hearing: _Hearing, tally: Tally, power_kw: float) -> None:
    now_s = hearing.now_s
    hearing.inbox.take("vpp/v1/sites/good/status", status(online=True, at_s=now_s), now_s)
    reading = DeviceReading(device="b1", values={Quantity.POWER_KW: power_kw})
    hearing.inbox.take("vpp/v1/sites/good/telemetry", telemetry(now_s, [reading]), now_s)
    hearing.delivery.flush()
    tally.heard(answered=hearing.sink.power_kw == power_kw)


def _send_something(queue: CommandQueue, number: int, now_s: float) -> None:
    """Keep commands under way, so that outcomes meet some."""
    command = Command(id=number % 9 + 1, device="b1", layer=Layer.DISPATCH, power_kw=1.0, until_s=now_s + 60.0, epoch=1)
    queue.add(QueuedCommand(row=1, site="hall", command=command))
    queue.take_due(now_s)
    queue.overdue(now_s)


def _fleet() -> FleetIndex:
    return at_one_site(
        tuple(
            Resource(
                id=address,
                site_id="s",
                resource_class=ResourceClass.STORAGE,
                adapter=Adapter.MQTT,
                address=address,
                p_min_kw=-50.0,
                p_max_kw=50.0,
                capacity_kwh=100.0,
            )
            for address in ("good/b1", *_DEVICES)
        ),
        limit_kw=9.0,
        export_limit_kw=0.0,
    )
