"""Our link before a broker and a gateway that are not ours: Debian's mosquitto, and a site written with plain paho."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from adapters.mqtt.link import MqttLink
from tests.conformance.test_mqtt_sites import AHU_1, AHU_2, Sink, fleet
from tests.patience import PATIENCE_WALL_S
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.domain.timegrid import instant
from vpp.runtime.clock import ScaledClock

_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin")
pytestmark = pytest.mark.skipif(_MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")
_SITE = "vpp/v1/sites/mall"


class PahoGateway:
    """A site gateway as somebody else writes it: paho's own thread, the last will, JSON by the standard library."""

    def __init__(self, port: int, clock: ScaledClock, protocol: int = paho.MQTTv311) -> None:
        self._clock = clock
        self.commands: list[dict[str, object]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="mall", protocol=protocol)
        self.client.will_set(f"{_SITE}/status", json.dumps({"online": False}), qos=1, retain=True)
        self.client.on_connect = self._greet
        self.client.on_message = self._obey
        self.client.connect("127.0.0.1", port, keepalive=5)
        self.client.loop_start()

    def _greet(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"{_SITE}/command", qos=1)
        client.publish(f"{_SITE}/status", json.dumps({"online": True, "at": self._at()}), qos=1, retain=True)

    def _obey(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        commands = json.loads(message.payload)["commands"]
        self.commands += commands
        answers = [{"id": c["id"], "device": c["device"], "status": "accepted"} for c in commands]
        client.publish(f"{_SITE}/outcome", json.dumps({"at": self._at(), "outcomes": answers}), qos=1)

    def _at(self, age_s: float = 0.0) -> str:
        return instant(self._clock.now_s() - age_s).isoformat()

    def report(self, power_kw: object, *, age_s: float = 0.0, retain: bool = False) -> None:
        """Report one device."""
        body = {"at": self._at(age_s), "devices": [{"id": "ahu-1", "power_kw": power_kw, "soc": None}]}
        self.client.publish(f"{_SITE}/telemetry", json.dumps(body), qos=1, retain=retain).wait_for_publish(
            PATIENCE_WALL_S
        )

    def vanish(self) -> None:
        """Lose the connection without a word."""
        wire = self.client.socket()
        self.client.loop_stop()
        assert wire is not None
        wire.close()

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """Run mosquitto on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {number} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(str(_MOSQUITTO), "-c", str(settings), stdout=quiet, stderr=quiet)
    async with asyncio.timeout(PATIENCE_WALL_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", number)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                break
    yield number
    process.terminate()
    await process.wait()


@pytest.fixture
def clock() -> ScaledClock:
    return ScaledClock.starting(datetime(2026, 7, 1, 10, tzinfo=UTC), 20.0)


async def _link(port: int, clock: ScaledClock, sink: Sink) -> MqttLink:
    link = MqttLink(url=f"mqtt://127.0.0.1:{port}", clock=clock)
    link.assign(fleet())
    await link.start(sink)
    return link


def _lease(clock: ScaledClock, identity: int, power_kw: float) -> SetpointBatch:
    return SetpointBatch(
        ids=np.array([identity], dtype=np.int64),
        rows=np.array([AHU_1], dtype=np.int32),
        layers=np.array([Layer.DISPATCH], dtype=np.uint8),
        power_kw=np.array([power_kw]),
        until_s=np.array([clock.now_s() + 900.0]),
        epoch=1,
    )


@pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])
async def test_a_foreign_gateway_is_heard_obeys_and_is_missed(port: int, clock: ScaledClock, protocol: int) -> None:
    sink = Sink()
    link = await _link(port, clock, sink)
    gateway = await asyncio.to_thread(PahoGateway, port, clock, protocol)
    await sink.until(lambda: sink.connected(AHU_1) == 1.0)
    await asyncio.to_thread(gateway.report, 41.5)
    await sink.until(lambda: sink.power(AHU_1) == 41.5)
    link.send(_lease(clock, 7, 20.0))
    await sink.until(lambda: sink.results == [(7, OutcomeStatus.ACCEPTED, Reason.NONE)])
    assert [(c["id"], c["device"], c["power_kw"]) for c in gateway.commands] == [(7, "ahu-1", 20.0)]

    await asyncio.to_thread(gateway.report, float("nan"))
    await asyncio.to_thread(gateway.report, "41,5")
    await asyncio.to_thread(gateway.report, 42.5)
    await sink.until(lambda: sink.power(AHU_1) == 42.5)
    assert sink.rejected == ["invalid_field"]
    await asyncio.to_thread(gateway.vanish)
    await sink.until(lambda: sink.connected(AHU_1) == 0.0)
    await link.close()


async def test_what_a_broker_kept_of_a_gateway_that_is_gone_is_no_news(port: int, clock: ScaledClock) -> None:
    ghost = await asyncio.to_thread(PahoGateway, port, clock)
    await asyncio.to_thread(ghost.report, 77.0, age_s=3 * 86_400.0, retain=True)
    old = json.dumps({"online": True, "at": "2026-06-28T10:00:00+00:00"})
    kept = ghost.client.publish(f"{_SITE}/status", old, qos=1, retain=True)
    await asyncio.to_thread(kept.wait_for_publish, PATIENCE_WALL_S)
    await asyncio.to_thread(ghost.close)  # a farewell in good order publishes no will

    sink = Sink()
    link = await _link(port, clock, sink)
    await sink.until(lambda: sink.rejected == ["retained"])
    assert sink.connected(AHU_1) is None
    assert sink.power(AHU_1) is None

    alive = await asyncio.to_thread(PahoGateway, port, clock)
    await asyncio.to_thread(alive.report, 12.0)
    await sink.until(lambda: sink.power(AHU_1) == 12.0)
    assert sink.connected(AHU_1) == sink.connected(AHU_2) == 1.0
    await asyncio.to_thread(alive.close)
    await link.close()


async def test_garbage_and_bombs_of_one_site_cost_the_others_nothing(port: int, clock: ScaledClock) -> None:
    sink = Sink()
    link = await _link(port, clock, sink)
    gateway = await asyncio.to_thread(PahoGateway, port, clock)
    bombs = (b"\xff\xfe", b"{", b"[" * 500_000, b'{"a":' * 100_000, b"x" * (2 << 20), b"")
    for site in ("plant", "mall"):
        for bomb in bombs:
            gateway.client.publish(f"vpp/v1/sites/{site}/telemetry", bomb, qos=1)
    await asyncio.to_thread(gateway.report, 12.0)
    await sink.until(lambda: sink.power(AHU_1) == 12.0)
    assert sink.rejected == ["malformed"] * (2 * len(bombs))
    assert sink.values[AHU_1, Quantity.CONNECTED] == 1.0
    await asyncio.to_thread(gateway.close)
    await link.close()
