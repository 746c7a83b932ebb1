"""Devices, sites and operators leave and move while a request runs, with a power cut in between."""

from dataclasses import replace

import numpy as np
import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import date_back
from vpp.bootstrap.replay import Replay
from vpp.dispatch.dispatch_memory import DispatchMemory
from vpp.domain.errors import InputError
from vpp.domain.request import DispatchRequest, Product, RequestState
from vpp.domain.resource import Resource, ResourceClass
from vpp.domain.telemetry import RowArray
from vpp.lab.twin.signals import regd_like
from vpp.record.columns import column_of
from vpp.storage.journal import verify

_ACTOR = "operator"


async def _holding(city: VirtualCity, share: float = 0.5) -> DispatchRequest:
    """Return a request ten minutes into its hold."""
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    request = await city.commit(city.draft(float(round(share * quoted_kw))))
    await city.play_until(request.draft.start_at.timestamp() + 600.0)
    assert city.plant.request(request.id).state is RequestState.HOLDING
    return request


def _working(city: VirtualCity, *classes: str) -> RowArray:
    """Return the rows of some classes that hold a value of the request."""
    rows = city.rows_of(*classes)
    engine = city.service.core.engine
    return rows[engine.in_force.leased(city.clock.now_s())[rows] & ~np.isnan(engine.setpoints_kw()[rows])]


def _id(city: VirtualCity, row: int) -> str:
    return city.service.core.engine.index.resources[row].id


async def _cycles(city: VirtualCity, count: int) -> None:
    for _ in range(count):
        await city.cycle()


async def _finished(city: VirtualCity, request: DispatchRequest) -> None:
    """Let a request end, and check what holds whatever has changed."""
    over = await city.play_out(request.id)
    assert over.state is RequestState.SETTLED
    verdict = city.verdict(over)
    assert verdict["cap_violations"] == verdict["limits_not_restored"] == 0
    await city.service.core.store.journal.flush()
    assert Replay(city.settings, city.store).run().differences == []
    assert verify(city.store.database).count > 0
    written = [i for e in city.store.journal.entries(("setpoints.sent",)) for i in e.body["ids"]]  # type: ignore[attr-defined] # JSON
    assert len(set(written)) == len(written)


async def test_devices_that_leave_are_released_first_and_the_others_make_up(city: VirtualCity) -> None:
    request = await _holding(city)
    leaving = np.concatenate((_working(city, "ev")[:2], _working(city, "storage")[:1], _working(city, "hvac")[:1]))
    assert len(leaving) >= 2
    for row in leaving.tolist():
        outcome = await city.plant.retire_member("resource", _id(city, row), actor=_ACTOR)
        assert (outcome.effects.devices, outcome.effects.limited) == (1, 1)
    engine = city.service.core.engine
    assert not engine.index.in_service[leaving].any()
    assert engine.index.served[leaving].all(), "their links are kept until they are released"
    named = {_id(city, row) for row in leaving.tolist()}
    assert set(city.plant.losses(request.id)["retired"]) == named
    await _cycles(city, 6)
    assert not engine.in_force.limited(city.clock.now_s())[leaving].any(), "no limit is left"
    assert not engine.index.served[leaving].any()
    while city.store.registry.former_devices():
        await city.cycle()
    assert not city.plant.fleet().connected[leaving].any()
    with pytest.raises(InputError, match="never used again"):
        await city.plant.connect(resources=[replace(city.index.resources[int(leaving[0])], p_max_kw=1.0)])

    await city.kill()
    await city.dark(40.0)
    await city.boot()
    await _cycles(city, 2)
    assert not city.service.core.engine.index.in_service[leaving].any()
    sent = [row for at_s, row, *_ in city.wire.sent if row in leaving and at_s > city.clock.now_s() - 60.0]
    assert sent == [], "nothing goes to a device that has left"
    await _finished(city, request)
    found = city.plant.performance(request.id)
    assert found is not None
    assert found.accuracy_ratio >= 0.9, "the others make up"


async def test_a_restart_between_retirement_and_release_forgets_no_limit(city: VirtualCity) -> None:
    request = await _holding(city)
    leaving = _working(city, "ev", "storage", "hvac")[:3]
    for row in leaving.tolist():
        await city.plant.retire_member("resource", _id(city, row), actor=_ACTOR)
    await city.kill()
    assert set(city.store.registry.former_devices()) == set(leaving.tolist())
    await city.boot()
    engine = city.service.core.engine
    assert engine.index.served[leaving].all()
    await _cycles(city, 12)
    assert not engine.in_force.limited(city.clock.now_s())[leaving].any()
    assert not engine.index.served[leaving].any()
    await _finished(city, request)


async def test_a_replaced_charger_is_another_row_at_the_same_address(city: VirtualCity) -> None:
    request = await _holding(city)
    row = int(_working(city, "ev")[0])
    old = city.service.core.engine.index.resources[row]
    await city.plant.retire_member("resource", old.id, actor=_ACTOR)
    stated = {name: getattr(old, name) for name in ("site_id", "resource_class", "adapter", "address", "p_min_kw")}
    new = Resource(id=f"{old.id}-b", p_max_kw=old.p_max_kw, floor_kw=old.floor_kw, **stated)
    outcome = await city.plant.put_member(new, actor=_ACTOR)
    assert outcome.change.members[0].position == len(city.index)
    assert (await city.plant.put_member(new, actor=_ACTOR)).change.members == ()
    await _cycles(city, 4)
    portfolio = city.service.requests.measurement.portfolios[request.id]
    assert portfolio[row], "it is settled until it was retired"
    assert not portfolio[-1], "the new one has no baseline"
    await _finished(city, request)


async def test_a_device_at_a_new_address_in_its_row_starts_clean_also_after_a_restart(city: VirtualCity) -> None:
    request = await _holding(city)
    await city.play_until(city.clock.now_s() + 900.0)
    row = int(_working(city, "ev")[0])
    old = city.service.core.engine.index.resources[row]
    assert row in _shed_rows(city), "the journal has its shed time"
    assert np.isfinite(city.service.core.means.usual_s[row])
    await city.plant.put_member(replace(old, address=f"{old.address}-b"), actor=_ACTOR)
    while not city.service.core.engine.index.in_service[row]:
        await city.cycle()
    await city.cycle()
    assert np.isnan(city.service.core.means.usual_s[row])
    assert row not in _shed_rows(city)

    await city.kill()
    await city.boot()
    means = city.service.core.means
    assert np.isnan(means.usual_s[row])
    assert np.isfinite(means.usual_s).any(), "the others are known from before"
    assert row not in _shed_rows(city)
    await _finished(city, request)


def _shed_rows(city: VirtualCity) -> list[int]:
    """Return the rows whose shed time a restart finds now."""
    journal, settings = city.store.journal, city.service.core.engine.settings
    journal.flush_now()
    memory = DispatchMemory(city.service.core.engine.index, settings)
    memory.follow(journal.entries())
    shed = memory.state()["shed_time"]
    return [] if shed is None else list(column_of(shed["rows"], np.int32))


async def test_a_moved_site_counts_at_its_new_transformer_at_once(city: VirtualCity) -> None:
    request = await _holding(city)
    index = city.service.core.engine.index
    site = index.sites[0]
    other = next(t for t in index.transformers if t.id != site.transformer_id)
    rows = np.flatnonzero(index.site_code == 0)
    dry = await city.plant.put_member(replace(site, transformer_id=other.id), actor=_ACTOR, dry_run=True)
    assert dry.dry_run
    assert city.service.core.engine.index.sites[0].transformer_id == site.transformer_id
    await city.plant.put_member(replace(site, transformer_id=other.id), actor=_ACTOR)
    now = city.service.core.engine.index
    place = next(i for i, t in enumerate(now.transformers) if t.id == other.id)
    assert (now.transformer_code[rows] == place).all()
    await _cycles(city, 6)
    state = city.plant.fleet()
    shown_kw = now.feeders.load_kw(np.where(now.site_code == 0, state.power_kw, 0.0))
    assert shown_kw[place] == pytest.approx(np.nansum(state.power_kw[rows]) + now.feeders.base_kw[place], abs=1e-6)
    await _finished(city, request)


async def test_a_site_that_moves_behind_a_tight_transformer_is_held_to_its_limit(city: VirtualCity) -> None:
    request = await _holding(city, share=0.2)
    index, state = city.service.core.engine.index, city.plant.fleet()
    charging_kw = np.where(index.is_class(ResourceClass.EV), np.nan_to_num(state.power_kw), 0.0)
    by_site_kw = np.bincount(index.site_code, weights=charging_kw, minlength=len(index.sites))
    moved = int(by_site_kw.argmax())
    site = index.sites[moved]
    place, other = next((i, t) for i, t in enumerate(index.transformers) if t.id != site.transformer_id)
    there = index.site_code == moved
    sum_kw = index.feeders.load_kw(state.power_kw)[place] + np.nansum(state.power_kw[there])
    limit_kw = float(sum_kw - by_site_kw[moved] / 2.0)
    await city.plant.put_member(replace(other, limit_kw=limit_kw), actor=_ACTOR)
    await city.plant.put_member(replace(site, transformer_id=other.id), actor=_ACTOR)
    for _ in range(60):
        await city.cycle()
        if city.plant.fleet().index.feeders.load_kw(city.plant.fleet().power_kw)[place] <= limit_kw:
            break
    for _ in range(60):
        await city.cycle()
        state = city.plant.fleet()
        assert state.index.feeders.load_kw(state.power_kw)[place] <= limit_kw
    stronger_kw = other.limit_kw + 2.0 * sum_kw
    await city.plant.put_member(replace(other, limit_kw=float(stronger_kw)), actor=_ACTOR)
    await _finished(city, request)


async def test_a_retired_operator_takes_its_sites_and_devices_along(city: VirtualCity) -> None:
    request = await _holding(city, share=0.2)
    index = city.service.core.engine.index
    operator = index.operators[0]
    rows = np.flatnonzero(index.operator_code == 0)
    outcome = await city.plant.retire_member("operator", operator.id, actor=_ACTOR)
    assert outcome.effects.devices == len(rows)
    await _cycles(city, 8)
    engine = city.service.core.engine
    assert not engine.index.served[rows].any()
    assert not engine.in_force.limited(city.clock.now_s())[rows].any()
    await city.kill()
    await city.dark(20.0)
    await city.boot()
    assert not city.service.core.engine.index.in_service[rows].any()
    await _finished(city, request)


async def test_a_sold_site_is_known_to_have_had_another_operator(city: VirtualCity) -> None:
    await city.cycle()
    index = city.service.core.engine.index
    site = index.sites[0]
    other = next((o for o in index.operators if o.id != site.operator_id), None)
    if other is None:
        other = replace(index.operators[0], id="other", name="Other")
        await city.plant.put_member(other, actor=_ACTOR)
    await city.plant.put_member(replace(site, operator_id=other.id), actor="notary")
    former = await city.plant.member_history("site", site.id)
    assert [(one.member.operator_id, one.actor) for one in former] == [(site.operator_id, "notary")]  # type: ignore[union-attr] # a site
    again = await city.plant.put_member(replace(site, operator_id=other.id), actor="notary")
    assert again.change.members == ()


async def test_a_battery_that_follows_a_signal_is_retired_between_two_cycles(city: VirtualCity) -> None:
    asked = city.draft(FAR_TOO_MUCH_KW, minutes=15.0, product=Product.REGULATION)
    quote = (await city.ask(asked)).quote
    assert quote is not None
    request = await city.commit(city.draft(float(round(0.5 * quote.p50_kw)), minutes=15.0, product=Product.REGULATION))
    start_s = request.draft.start_at.timestamp()
    signal = regd_like(seed=3, duration_s=900.0, step_s=4.0, start_s=start_s)
    await city.plant.take_signal(request.id, signal.time_s, signal.value, unit="value")
    await city.play_until(start_s + 300.0)
    engine = city.service.core.engine
    assert engine.regulation.following
    row = int(_working(city, "storage", "v2g", "ev")[0])
    await city.plant.retire_member("resource", _id(city, row), actor=_ACTOR)
    assert not engine.regulation.following, "signals wait for the next full cycle and its guard"
    await _cycles(city, 4)
    assert engine.regulation.following, "the others go on"
    left_s = city.clock.now_s()
    assert not engine.index.served[row]
    await city.play_until(start_s + 600.0)
    assert [at_s for at_s, sent, *_ in city.wire.sent if sent == row and at_s > left_s] == []
    assert not engine.in_force.limited(city.clock.now_s())[row]
    await _finished(city, request)


async def test_a_restart_knows_since_when_a_value_holds_by_the_nameplates_of_then(city: VirtualCity) -> None:
    request = await _holding(city)
    row = int(_working(city, "storage", "hvac", "ev")[0])
    device = city.service.core.engine.index.resources[row]
    for factor in (40.0, 1.0, 60.0):
        await city.plant.put_member(replace(device, p_max_kw=device.p_max_kw * factor), actor=_ACTOR)
        await _cycles(city, 5)
    engine, store = city.service.core.engine, city.store
    await store.journal.flush()
    state = FoldedState(lambda: engine.index, engine.settings)
    date_back(state, store.journal)
    state.follow(store.journal.entries())
    live, found = engine.outbox.columns.in_force, state.dispatch.commands.states.columns.in_force
    assert np.array_equal(live.since_kw, found.since_kw, equal_nan=True)
    assert np.array_equal(live.since_s, found.since_s, equal_nan=True)
    await _finished(city, request)
