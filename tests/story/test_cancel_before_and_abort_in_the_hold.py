"""A dispatcher changes his mind, once in time and once in the middle."""

import numpy as np

from tests.story.city import CYCLE_S, FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.request import RequestState
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import FloatArray

_RELEASE_MINUTES = 15.0
_SHARE = 0.85


def _truly_cut_kw(city: VirtualCity) -> float:
    """Return by how much net load is below what it would be, the sun aside."""
    counted = ~np.isin(np.arange(len(city.index)), city.rows_of("pv"))
    return float((city.twin.power_kw[1] - city.twin.power_kw[0])[counted].sum())


async def test_cancelled_before_the_ramp_nothing_is_sent(city: VirtualCity) -> None:
    draft = city.draft(FAR_TOO_MUCH_KW, minutes=30.0)
    quoted_kw, _ = await city.quoted_kw(draft)
    request = await city.commit(city.draft(round(_SHARE * quoted_kw), minutes=30.0))
    await city.play(minutes=2.0)
    cancelled = await city.plant.cancel(request.id, actor="dispatcher", reason="changed my mind")
    assert cancelled.state is RequestState.CANCELLED
    await city.play_until(draft.start_at.timestamp() + 300.0)

    assert city.plant.request(request.id).state is RequestState.CANCELLED
    assert {layer for _, _, layer, _ in city.wire.sent} <= {Layer.DEFAULT}, "only the plan speaks"
    assert city.plant.progress(request.id) is None
    assert city.verdict(cancelled)["limits_not_restored"] == 0
    assert abs(_truly_cut_kw(city)) < 1.0


async def test_aborted_in_the_hold_everybody_goes_home_but_not_at_once(city: VirtualCity) -> None:
    draft = city.draft(FAR_TOO_MUCH_KW, minutes=60.0)
    quoted_kw, _ = await city.quoted_kw(draft)
    request = await city.commit(city.draft(round(_SHARE * quoted_kw), minutes=60.0))
    await city.play_until(draft.start_at.timestamp() + 600.0)
    aborted = await city.plant.cancel(request.id, actor="dispatcher", reason="the line is back")
    assert aborted.state is RequestState.ABORTED

    lot_kw = _largest_lot_kw(city)
    still = await _cut_while_releasing(city)

    held_kw = still[0]
    assert held_kw > 0.9 * (request.accepted_kw or 0.0)
    minutes = np.arange(len(still)) * CYCLE_S / 60.0
    # A plant comes home at its own pace and may be late, while the next ones go: together they are never ahead of the
    # ramp by more than the share of one cycle and the smallest lot there is, one building or battery.
    ramp_kw = held_kw * np.clip(1.0 - (minutes + CYCLE_S / 60.0) / _RELEASE_MINUTES, 0.0, 1.0)
    assert (_minutely(still) >= _minutely(ramp_kw) - lot_kw).all()
    assert abs(still[-1]) < 0.05 * held_kw, "everybody is home"

    over = await city.play_out(request.id)
    states = [step.to_state for step in over.history]
    assert states[-3:] == [RequestState.ABORTED, RequestState.VERIFIED, RequestState.SETTLED]
    verdict = city.verdict(over)
    assert verdict["limits_not_restored"] == 0
    assert verdict["promises_broken"] == 0
    assert verdict["cap_violations"] == 0
    assert city.plant.commands()["unaccounted"] == 0


def _minutely(values: FloatArray) -> FloatArray:
    """Return means of a minute: where a store's schedule steps, what it does and would have done are a cycle apart."""
    count = round(60.0 / CYCLE_S)
    return np.convolve(values, np.full(count, 1.0 / count), mode="valid")


async def _cut_while_releasing(city: VirtualCity) -> FloatArray:
    still = [_truly_cut_kw(city)]
    for _ in range(round((_RELEASE_MINUTES + 3.0) * 60.0 / CYCLE_S)):
        await city.cycle()
        still.append(_truly_cut_kw(city))
    return np.array(still)


def _largest_lot_kw(city: VirtualCity) -> float:
    """Return the most a single device can take back within a minute: a store its power, a plant what it gives now."""
    stores = city.rows_of("storage", "v2g")
    giving_kw = city.twin.power_kw[1] - city.twin.power_kw[0]
    ramp_kw = city.index.nameplate.ramp_kw_per_min[city.rows_of("hvac", "industry")]
    plants_kw = np.minimum(giving_kw[city.rows_of("hvac", "industry")], ramp_kw)
    return float(max(city.index.nameplate.p_max_kw[stores].max(), plants_kw.max()))
