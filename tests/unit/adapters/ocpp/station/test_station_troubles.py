"""Masks of what is the matter with a station's rows, and what the service hears of them."""

import asyncio

from adapters.kit.batching import Batcher
from adapters.ocpp.station.station_troubles import StationTroubles
from tests.conformance.ocpp_bench import Sink, clock
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, mask_of

ROW = 3


def troubles_of(sink: Sink) -> tuple[StationTroubles, Batcher]:
    """Return masks that a sink hears of."""
    now = clock()
    batcher = Batcher("ocpp", sink=sink)
    return StationTroubles(batcher, now.now_s), batcher


def test_a_mask_is_told_when_it_changes_and_only_then() -> None:
    async def tell() -> None:
        sink = Sink()
        troubles, batcher = troubles_of(sink)
        troubles.set(ROW, Trouble.FAULTED, False)
        troubles.set(ROW, Trouble.FAULTED, True)
        troubles.set(ROW, Trouble.FAULTED, True)
        troubles.set(ROW, Trouble.CLOCK_OFF, True)
        batcher.flush()
        assert sink.samples == 2
        assert sink.values[ROW, Quantity.TROUBLES] == mask_of((Trouble.FAULTED, Trouble.CLOCK_OFF))
        assert troubles.has(ROW, Trouble.FAULTED)
        assert not troubles.has(ROW, Trouble.MEASURED_ONLY)
        for trouble in (Trouble.FAULTED, Trouble.CLOCK_OFF):
            troubles.set(ROW, trouble, False)
        batcher.flush()
        assert sink.values[ROW, Quantity.TROUBLES] == 0.0

    asyncio.run(tell())


def test_a_station_that_has_gone_elsewhere_leaves_no_mask_behind() -> None:
    async def tell() -> None:
        sink = Sink()
        troubles, batcher = troubles_of(sink)
        troubles.set(ROW, Trouble.FAULTED, True)
        troubles.forget([ROW])
        assert troubles.mask(ROW) == 0
        troubles.report(ROW)
        batcher.flush()
        assert sink.values[ROW, Quantity.TROUBLES] == 0.0

    asyncio.run(tell())
