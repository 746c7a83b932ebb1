"""The uplink of a gateway: order, bounds, and what gives way."""

import numpy as np

from vpp.bus.device_sessions import HeldSessions
from vpp.bus.gateway.uplink import Uplink
from vpp.bus.messages.codec import Kind, decode
from vpp.bus.messages.frames import telemetry_of
from vpp.domain.session import SessionEnded
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.runtime.clock import SYSTEM_CLOCK


def uplink(*, most: int = 1000) -> Uplink:
    made = Uplink(HeldSessions("g1"), SYSTEM_CLOCK, most_samples=most)
    made.resize(10)
    return made


def power(row: int, value: float) -> TelemetryBatch:
    return TelemetryBatch.of([(row, Quantity.POWER_KW, value, 1.0)])


async def test_news_of_a_car_keep_their_place_among_the_samples_of_its_row() -> None:
    up = uplink()
    up.telemetry(power(1, 1.0))
    up.session(SessionEnded(session_id="a", row=1, at_s=1.0, meter_kwh=1.0))
    up.telemetry(power(2, 2.0))
    up.telemetry(power(1, 3.0))
    frames = [decode(frame) for frame in up.take()]
    assert [frame.kind for frame in frames] == [Kind.TELEMETRY, Kind.CARS, Kind.TELEMETRY]
    assert telemetry_of(frames[0]).values.tolist() == [1.0, 2.0], "another row's need not wait"
    assert telemetry_of(frames[2]).values.tolist() == [3.0]
    assert up.take() == []
    assert not up.work.is_set()


async def test_what_waits_too_long_gives_way_to_what_is_newer_but_never_what_is_precious() -> None:
    up = uplink(most=3)
    up.session(SessionEnded(session_id="a", row=1, at_s=1.0, meter_kwh=1.0))
    for number in range(6):
        up.telemetry(power(2, float(number)))
    frames = [decode(frame) for frame in up.take()]
    assert [frame.kind for frame in frames] == [Kind.TELEMETRY, Kind.CARS, Kind.REJECTED]
    assert telemetry_of(frames[0]).values.tolist() == [3.0, 4.0, 5.0]
    assert frames[2].array("count").tolist() == [3]


async def test_a_long_queue_leaves_in_messages_of_bounded_length() -> None:
    up = uplink(most=10**6)
    up.resize(200_000)
    many = np.arange(150_000, dtype=np.int32)
    up.telemetry(
        TelemetryBatch(
            rows=many,
            quantities=np.zeros(len(many), dtype=np.uint8),
            values=many.astype(np.float64),
            at_s=np.ones(len(many)),
        )
    )
    heard: list[int] = []
    while frames := up.take():
        assert sum(len(frame) + 4 for frame in frames) < 1_000_000
        heard += [row for frame in frames for row in telemetry_of(decode(frame)).rows.tolist()]
    assert heard == many.tolist()
