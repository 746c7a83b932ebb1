"""Regulation where meters are read as seldom as their protocols have it: a minute for stations, 15 s for storage."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.story.city import VirtualCity, small_twin
from vpp.domain.regulation import RegulationStanding
from vpp.domain.request import DispatchRequest, Product, Quote
from vpp.domain.resource import Adapter
from vpp.domain.setpoint import Layer
from vpp.lab.twin.environment.world_file import KIND_WORLD, Cadence, Devices
from vpp.lab.twin.signals import regd_like
from vpp.planning.quote.regulation_quote import UNQUALIFIED
from vpp.settlement.regulation_score import PjmScore, Trace

WORLD = KIND_WORLD.model_copy(
    update={
        "devices": Devices(
            cadence_s=Cadence(ocpp=60.0, modbus=15.0, mqtt=60.0), delay_s=Cadence(ocpp=4.0, modbus=0.5, mqtt=3.0)
        )
    }
)
HALF_A_PERIOD_S = 7.5
FAR_TOO_MUCH_KW, MINUTES, LEAST_SCORE = 1e6, 15.0, 0.85
"""One battery that refuses is missed for twenty seconds, and there are ten."""
SHARE = 0.35
"""Part of the offer that is asked for, so that storage alone is enough."""
WANTED_SCORE = 0.968
"""What storage is expected to reach here, and stations that are read once a minute are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One request, played to its settlement."""

    offered: Quote
    request: DispatchRequest
    standing: RegulationStanding
    connection: Trace
    settled: dict[str, float]
    adapters: set[str]


@pytest.fixture(name="day", scope="module")
def _day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return asyncio.run(_played(tmp_path_factory.mktemp("seldom")))


async def _played(directory: Path) -> Day:
    twin = small_twin()
    twin.world = WORLD
    city = VirtualCity(twin, directory, report_s=4.0, watch_minutes=1.0)
    city.settings = city.settings.model_copy(update={"regulation_score": WANTED_SCORE})
    await city.found()
    offered = (await city.ask(city.draft(FAR_TOO_MUCH_KW, minutes=MINUTES, product=Product.REGULATION))).quote
    assert offered is not None
    target_kw = float(round(SHARE * offered.p50_kw))
    request = await city.commit(city.draft(target_kw, minutes=MINUTES, product=Product.REGULATION))
    start_s = request.draft.start_at.timestamp()
    signal = regd_like(seed=3, duration_s=60.0 * MINUTES, step_s=4.0, start_s=start_s)
    await city.plant.take_signal(request.id, signal.time_s, signal.value, unit="value")
    before = len(city.wire.sent)
    await city.play_until(start_s + 60.0 * MINUTES)
    told = {
        city.index.resources[row].adapter for _, row, layer, _ in city.wire.sent[before:] if layer == Layer.DISPATCH
    }
    request = await city.play_out(request.id)
    performance = city.plant.performance(request.id)
    connection = city.connection_points.trace(request.id, target_kw)
    assert performance is not None
    assert connection is not None
    day = Day(
        offered=offered,
        request=request,
        standing=city.plant.regulation(request.id),
        connection=connection,
        settled=dict(performance.regulation["pjm"]),
        adapters={adapter.value for adapter in told},
    )
    await city.close()
    return day


def test_no_more_is_offered_than_is_expected_to_be_followed_well_and_the_rest_is_named(day: Day) -> None:
    assert day.offered.regulation_score is not None
    assert day.offered.regulation_score >= WANTED_SCORE
    assert day.offered.p50_kw > 0.0
    assert f"up: {UNQUALIFIED}" in {limit.name for limit in day.offered.limits}


def test_devices_that_are_read_once_a_minute_are_left_alone_while_others_are_enough(day: Day) -> None:
    assert day.adapters == {Adapter.MODBUS.value}


def test_the_signal_is_followed_by_the_meters_of_the_grid_and_by_those_that_are_settled(day: Day) -> None:
    assert PjmScore().score(day.connection).total >= LEAST_SCORE
    assert day.settled["total"] >= LEAST_SCORE


def test_what_is_settled_is_what_meters_showed_at_the_instant_and_not_what_they_had_shown_by_then(day: Day) -> None:
    assert day.standing.time_s.tolist() == day.connection.time_s.tolist()
    true_kw, time_s = day.connection.response_kw, day.connection.time_s
    late_kw = np.interp(time_s - HALF_A_PERIOD_S, time_s, true_kw)
    assert np.abs(day.standing.response_kw - true_kw).mean() < np.abs(late_kw - true_kw).mean()


def test_the_estimate_is_right_within_its_error(day: Day) -> None:
    known = day.standing.estimates
    true_kw = np.interp(known.time_s, day.connection.time_s, day.connection.response_kw)
    apart_kw = np.abs(known.change_kw - true_kw)
    assert (known.spread_kw[1:] > 0.0).all(), "of every row that has a command, and at first none has"
    assert np.mean(apart_kw <= 2.0 * known.spread_kw) > 0.8
