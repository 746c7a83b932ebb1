"""The whole fast loop against a small plant of first-order devices, on virtual time."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import CYCLE_S, END, PHASES, SETTINGS, START, T0, Bench, Plant, fleet, restore
from vpp.dispatch.allocation import request_controller
from vpp.dispatch.allocation.merit_sharing import share_out
from vpp.dispatch.allocation.situation import Situation
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.settings import AllocationRules, DeviceRules, RequestRules, Rotation
from vpp.domain.request import (
    Direction,
    RequestState,
)
from vpp.domain.resource import Adapter, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.site import Site, Transformer
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid


def everything_back() -> datetime:
    return END + timedelta(minutes=PHASES.release_minutes + PHASES.rebound_watch_minutes + 4)


def test_a_request_is_delivered_within_two_per_cent_and_every_row_is_restored() -> None:
    bench = Bench(Plant(fleet(), refusing=0.03, ignoring=0.02))
    request = bench.commit(900.0)
    bench.run(everything_back())
    accuracy = bench.interval_accuracy(900.0)
    assert np.mean(accuracy) >= 0.98, accuracy
    assert min(accuracy) >= 0.95, accuracy
    assert np.isnan(bench.plant.dispatch).all()
    assert bench.results[-1][1].unrestored_rows == 0
    counts = bench.engine.outbox.ledger()
    assert counts.sent == sum(len(batch) for _, batch in bench.batches)
    assert counts.pending == 0
    assert counts.unaccounted == 0
    assert counts.refused > 0
    assert counts.ignored > 0
    assert bench.engine.book.get(request.id).state is RequestState.COMPLETED


def test_the_same_inputs_give_the_same_commands_and_journal() -> None:
    first, second = (Bench(Plant(fleet(), refusing=0.03)) for _ in range(2))
    for bench in (first, second):
        bench.commit(600.0)
        bench.run(START)
    assert first.journal == second.journal


def test_losing_a_tenth_of_the_rows_in_the_hold_is_made_up_within_two_cycles() -> None:
    spared, struck = (Bench(Plant(fleet(), noise=0.0)) for _ in range(2))
    for bench in (spared, struck):
        bench.commit(600.0)
        bench.run(START + timedelta(minutes=10))
    lost = np.flatnonzero(~np.isnan(struck.engine.setpoints_kw()))[::10]
    give = (struck.plant.free(struck.plant.now_s) - struck.plant.power)[lost].sum()
    struck.plant.connected[lost] = False
    for bench in (spared, struck):
        bench.run(START + timedelta(minutes=10, seconds=2 * CYCLE_S))
    others = np.setdiff1d(np.arange(len(struck.plant.index)), lost)
    free = struck.plant.free(struck.plant.now_s)
    took, takes = (np.where(np.isnan(kw), free, kw) for kw in (b.engine.setpoints_kw() for b in (spared, struck)))
    assert give > 10.0
    assert (took - takes)[others].sum() >= 0.9 * give


def test_losing_rows_that_cannot_be_made_up_is_flagged_with_kw_and_cause() -> None:
    bench = Bench(Plant(fleet()))
    request = bench.commit(1620.0)
    bench.run(START + timedelta(minutes=10))
    bench.plant.connected[120:126] = False
    bench.plant.connected[126:128] = False
    for _ in range(2):
        bench.plant.advance(CYCLE_S)
        bench.step()
    flag = bench.engine.book.get(request.id).shortfall
    assert flag is not None
    assert flag.missing_kw > 50.0
    assert "2 storage disconnected" in flag.cause


def test_the_release_is_staged() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    bench.commit(700.0)
    bench.run(END + timedelta(seconds=-10))
    powers: list[float] = []
    bench.run(END + timedelta(minutes=16), lambda _: powers.append(float(bench.plant.power.sum())))
    per_minute = np.diff(powers[::6])
    assert per_minute.max() <= 1.5 * 700.0 / PHASES.release_minutes
    assert powers[-1] - powers[0] >= 650.0
    assert np.isnan(bench.plant.dispatch).all()


def test_a_rebound_cap_holds_rows_back_until_there_is_room() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    bench.commit(700.0, rebound_cap_kw=20.0)
    bench.run(END)
    industry = bench.plant.index.is_class(ResourceClass.INDUSTRY)
    bench.plant.size[industry] *= 1.2
    bench.run(END + timedelta(minutes=25))
    base = next(iter(bench.baselines.values()))
    over = [p - base.power_kw[:, base.grid.index_at(at)].sum() for at, p in bench.powers if at > END.timestamp()]
    free = bench.plant.free(bench.plant.now_s)
    unforeseen = free[industry].max() / 6.0
    assert (free.sum() - bench.powers[-1][1]) > 100.0
    assert max(over) <= 20.0 + unforeseen
    bench.run(everything_back() + timedelta(minutes=PHASES.release_minutes))
    assert np.isnan(bench.plant.dispatch).all()


def test_those_held_for_a_rebound_cap_go_home_one_after_the_other_once_the_watch_is_over() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    bench.commit(700.0, rebound_cap_kw=20.0)
    bench.run(END)
    bench.plant.size[bench.plant.index.is_class(ResourceClass.INDUSTRY)] *= 1.2
    watched = END + timedelta(minutes=PHASES.release_minutes + PHASES.rebound_watch_minutes)
    bench.run(watched - timedelta(seconds=CYCLE_S))
    held = np.flatnonzero(~np.isnan(bench.plant.dispatch))
    assert len(held) >= 10
    left: list[int] = []
    bench.run(
        watched + timedelta(minutes=PHASES.release_minutes + 1),
        lambda _: left.append(int(np.count_nonzero(~np.isnan(bench.plant.dispatch[held])))),
    )
    assert left[-1] == 0
    assert np.diff(left).min() >= -0.2 * len(held), "not all at once"
    assert left[len(left) // 2] < 0.7 * len(held), "and not all at the end"


def test_shed_time_is_spread_over_drivers() -> None:
    spread = []
    for ratio in (0.0, 0.02):
        settings = replace(SETTINGS, allocation=AllocationRules(rotation=Rotation(ratio=ratio, after_minutes=8.0)))
        bench = Bench(Plant(fleet(), noise=0.0), settings=settings)
        bench.commit(150.0)
        shed = np.zeros(120)

        def count(_: float, bench: Bench = bench, shed: np.ndarray = shed) -> None:
            shed += (bench.plant.free(bench.plant.now_s) - bench.plant.power)[:120] > 0.5

        bench.run(END, count)
        assert np.mean(bench.interval_accuracy(150.0)) >= 0.98
        spread.append(gini(shed))
    assert spread[1] <= 0.8 * spread[0], spread


def gini(values: FloatArray) -> float:
    """Return 0 where everybody has the same, near 1 where one has all."""
    ordered = np.sort(values)
    ranks = np.arange(1, len(values) + 1)
    return float(2.0 * (ranks * ordered).sum() / (len(values) * ordered.sum()) - (len(values) + 1) / len(values))


def test_who_was_shed_yesterday_is_shed_last_today() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    bench.commit(150.0)
    bench.run(START)
    shed = ~np.isnan(bench.plant.dispatch[:120])
    assert 10 < np.count_nonzero(shed) < 60
    key = bench.engine._fairness.merit(bench.plant.state()).bulk[:120]
    bench.run(START + timedelta(minutes=19))
    later = bench.engine._fairness.merit(bench.plant.state()).bulk[:120] - key
    assert later[shed].mean() > later[~shed].mean() + 0.01
    again = DispatchEngine(bench.plant.index, bench.settings, lambda *_: None)
    restore(again, bench.journal, bench.plant.now_s, bench.settings)
    assert (again._fairness.shed_s()[:120][shed] > 0.0).all(), "and a restart does not forget it"


def test_chargers_pause_by_turns_where_their_floors_are_not_low_enough_and_never_for_long() -> None:
    plant = Plant(fleet(), noise=0.0)
    others = ~plant.index.is_class(ResourceClass.EV)
    plant.connected[others] = False
    bench = Bench(plant)
    floors_kw = float((plant.free(plant.now_s) - plant.index.nameplate.floor_kw)[:120].sum())
    target_kw = floors_kw + 30.0
    bench.commit(target_kw)
    off = np.zeros(120)
    longest = np.zeros(120)
    between: list[float] = []

    def follow(_: float) -> None:
        nonlocal off
        resting = plant.power[:120] < 0.1
        off = np.where(resting, off + CYCLE_S, 0.0)
        np.maximum(longest, off, out=longest)
        told = plant.dispatch[:120]
        between.extend(told[(told > 0.0) & (told < 1.4 - 1e-9)].tolist())

    bench.run(END, follow)
    assert not between, "between nothing and its floor a charger cannot be"
    assert np.count_nonzero(longest) > 30, "by turns"
    assert longest.max() <= SETTINGS.allocation.duty.pause_s + 3 * CYCLE_S
    assert longest[longest > 0.0].min() >= SETTINGS.allocation.duty.pause_s - 3 * CYCLE_S
    assert np.mean(bench.interval_accuracy(target_kw)) >= 0.98


def test_cars_that_are_full_in_the_hold_are_released_once_and_left_alone() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    others = ~bench.plant.index.is_class(ResourceClass.EV, ResourceClass.HVAC)
    bench.plant.connected[others] = False
    bench.commit(500.0)
    bench.run(START + timedelta(minutes=5))
    full = np.flatnonzero(~np.isnan(bench.plant.dispatch[:120]))[::3]
    bench.plant.size[full] = 0.0
    bench.run(START + timedelta(minutes=10))
    commanded = ~np.isnan(bench.plant.dispatch[full])
    switched = np.zeros(len(full))

    def follow(_: float) -> None:
        nonlocal commanded
        now = ~np.isnan(bench.plant.dispatch[full])
        switched[now != commanded] += 1
        commanded = now

    bench.run(END, follow)
    assert len(full) > 10
    assert switched.max() <= 2, "released, and not commanded again every minute"


def test_a_re_dispatch_plan_says_who_gives_and_the_loop_makes_up_for_what_it_misses() -> None:
    bench = Bench(Plant(fleet()))
    target_kw = 300.0
    bench.commit(target_kw)
    free = bench.plant.free(START.timestamp())
    chosen = np.flatnonzero(bench.plant.index.is_class(ResourceClass.INDUSTRY))
    power = free.copy()
    power[chosen] -= 250.0 / len(chosen)
    grid = TimeGrid(start_at=START - timedelta(minutes=15), count=4)
    bench.intended = replace(bench.schedule, grid=grid, power_kw=np.repeat(power[:, None], 4, axis=1))
    bench.run(START + timedelta(minutes=5))
    give = (bench.plant.free(bench.plant.now_s) - bench.plant.power)[chosen]
    assert 200.0 < give.sum() < 260.0, "chargers would be cheaper"
    bench.run(END)
    assert np.mean(bench.interval_accuracy(target_kw)) >= 0.97


def test_what_a_meter_cannot_show_yet_is_not_asked_for_twice() -> None:
    over = []
    for meter_s in (0.0, 90.0):
        plant = Plant(fleet(), noise=0.0)
        plant.connected[120:] = False
        settings = replace(
            SETTINGS,
            devices=DeviceRules(meter_s=dict.fromkeys(Adapter, meter_s)),
            requests=RequestRules(phases=replace(PHASES, ramp_minutes=5.0)),
        )
        bench = Bench(plant, settings=settings)
        bench.commit(250.0)
        phase = np.random.default_rng(5).integers(0, 6, len(plant.index))
        shown, shown_s = plant.metered.copy(), plant.metered_s.copy()
        cut_kw: list[float] = []
        free_kw = float(plant.power[:120].sum())

        def once_a_minute(  # noqa: PLR0917 - binds what the loop changes
            _: float,
            plant: Plant = plant,
            phase: np.ndarray = phase,
            shown: FloatArray = shown,
            shown_s: FloatArray = shown_s,
            cut_kw: list[float] = cut_kw,
            free_kw: float = free_kw,
        ) -> None:
            cut_kw.append(free_kw - float(plant.power[:120].sum()))
            due = (plant.cycle + phase) % 6 == 0
            shown[due], shown_s[due] = plant.power[due], plant.now_s
            plant.metered, plant.metered_s = shown.copy(), shown_s.copy()

        bench.run(START + timedelta(minutes=6), once_a_minute)
        due_kw = [result.progress[0].target_kw if result.progress else 0.0 for _, result in bench.results]
        over.append(max(cut - due for cut, due in zip(cut_kw, due_kw, strict=True)))
    assert over[1] <= 0.8 * over[0], over
    assert over[1] <= 0.05 * 250.0, over


def test_urgent_and_opted_out_drivers_are_never_shed() -> None:
    plant = Plant(fleet())
    plant.sheddable[:20] = False
    plant.departure_s[20:40] = plant.now_s + 3600.0
    plant.need_kwh[20:40] = 7.0
    bench = Bench(plant)
    bench.commit(900.0)
    bench.run(END)
    assert np.isinf(plant.least_seen[:40]).all()
    assert np.isfinite(plant.least_seen[40:120]).any()


def test_a_driver_whose_time_runs_out_in_the_hold_gets_full_power_back() -> None:
    plant = Plant(fleet())
    bench = Bench(plant)
    bench.commit(900.0)
    bench.run(START + timedelta(minutes=10))
    row = int(np.flatnonzero(~np.isnan(plant.dispatch[:120]))[0])
    plant.departure_s[row] = plant.now_s + 3600.0 * plant.need_kwh[row] / plant.free(plant.now_s)[row] + 300.0
    bench.plant.advance(CYCLE_S)
    bench.step()
    assert np.isnan(plant.dispatch[row])
    bench.run(END)
    assert np.isnan(plant.dispatch[row])


def test_a_cancel_before_the_ramp_commands_nothing() -> None:
    bench = Bench(Plant(fleet()))
    request = bench.commit(700.0)
    bench.run(T0 + timedelta(minutes=4))
    bench.engine.book.cancel(request.id, actor="d", reason="changed", now=T0 + timedelta(minutes=4))
    bench.run(START + timedelta(minutes=5))
    assert bench.engine.book.get(request.id).state is RequestState.CANCELLED
    assert not any((batch.layers == Layer.DISPATCH).any() for _, batch in bench.batches)


def test_an_abort_in_the_hold_goes_back_through_the_release() -> None:
    bench = Bench(Plant(fleet(), noise=0.0))
    request = bench.commit(700.0)
    stop = START + timedelta(minutes=20)
    bench.run(stop)
    bench.engine.book.cancel(request.id, actor="d", reason="enough", now=stop)
    powers: list[float] = []
    bench.run(stop + timedelta(minutes=16), lambda _: powers.append(float(bench.plant.power.sum())))
    assert np.diff(powers[::6]).max() <= 1.5 * 700.0 / PHASES.release_minutes
    assert np.isnan(bench.plant.dispatch).all()
    assert bench.engine.book.get(request.id).state is RequestState.ABORTED


def test_valley_filling_raises_net_load_and_curtails_no_sun_while_there_is_another_way() -> None:
    bench = Bench(Plant(fleet()))
    bench.plant.soc[:] = np.where(bench.plant.index.nameplate.capacity_kwh > 0, 0.3, np.nan)
    bench.commit(400.0, Direction.DOWN)
    bench.run(END)
    accuracy = bench.interval_accuracy(400.0, sign=-1.0)
    assert np.mean(accuracy) >= 0.98, accuracy
    assert np.isinf(bench.plant.least_seen[bench.plant.index.is_class(ResourceClass.PV)]).all()


def test_a_restart_in_the_hold_resumes_without_repeating_a_command() -> None:
    bench = Bench(Plant(fleet()))
    request = bench.commit(700.0)
    bench.run(START + timedelta(minutes=10))
    state = bench.plant.state()
    lost = bench.engine.cycle(state, schedule=bench.schedule, baselines=bench.baselines)
    held = bench.engine.setpoints_kw()
    settled = bench.engine.in_force.settled() & (bench.engine.in_force.lease_s - bench.plant.now_s > 200.0)
    used = {int(i) for _, batch in bench.batches for i in batch.ids} | {int(i) for i in lost.batch.ids}
    bench.plant.advance(CYCLE_S)
    entries = list(bench.journal)
    bench.engine = DispatchEngine(bench.plant.index, bench.settings, bench.record)
    restore(bench.engine, entries, bench.plant.now_s, bench.settings)
    assert bench.engine.book.get(request.id).state is RequestState.HOLDING
    known = settled & ~np.isin(np.arange(len(held)), lost.batch.rows)
    np.testing.assert_allclose(bench.engine.setpoints_kw()[known], held[known], atol=0.6)
    result = bench.step()
    assert not used & {int(i) for i in result.batch.ids}
    repeated = np.isin(result.batch.rows, np.flatnonzero(known)) & (result.batch.layers == Layer.DISPATCH)
    assert np.count_nonzero(repeated) <= 3
    bench.run(everything_back())
    assert np.mean(bench.interval_accuracy(700.0)) >= 0.98
    assert np.isnan(bench.plant.dispatch).all()
    assert bench.engine.outbox.ledger().unaccounted == 0


def test_a_transformer_near_its_limit_is_relieved_without_any_request_and_returns_later() -> None:
    plant = Plant(fleet(), noise=0.0)
    load = plant.power.sum()
    bench = Bench(Plant(fleet(limit_kw=float(load) * 0.9), noise=0.0))
    bench.run(T0 + timedelta(minutes=5))
    assert bench.plant.power.sum() <= load * 0.9
    assert bench.results[-1][1].capped_rows > 0
    bench.plant.size[bench.plant.index.is_class(ResourceClass.INDUSTRY)] *= 0.5
    bench.run(T0 + timedelta(minutes=15))
    assert bench.results[-1][1].capped_rows == 0
    assert np.isnan(bench.plant.dispatch).all()


def test_a_parent_near_its_limit_is_relieved_though_its_children_are_fine_and_promises_are_kept() -> None:
    plain = fleet()
    parents = (
        Transformer(id="top", area_id="north", limit_kw=1e6, export_limit_kw=1e6),
        *(Transformer(id=name, area_id="north", limit_kw=1e6, export_limit_kw=1e6, parent_id="top") for name in "ab"),
    )
    sites = tuple(
        Site(id=f"site-{name}", name=name, area_id="north", operator_id="op", transformer_id=name) for name in "ab"
    )
    resources = tuple(
        replace(resource, site_id=f"site-{'ab'[row % 2]}") for row, resource in enumerate(plain.resources)
    )
    index = replace(plain, transformers=parents, sites=sites, resources=resources)
    load_kw = float(Plant(index, noise=0.0).power.sum())
    tight = replace(parents[0], limit_kw=0.9 * load_kw)
    plant = Plant(replace(index, transformers=(tight, *parents[1:])), noise=0.0)
    plant.sheddable[:20] = False
    bench = Bench(plant)
    bench.commit(50.0)
    bench.run(T0 + timedelta(minutes=5))
    assert plant.power.sum() <= tight.limit_kw
    assert np.isinf(plant.least_seen[:20]).all()
    assert bench.results[-1][1].capped_rows > 0
    assert len(bench.results[-1][1].transformer_load_kw) == 3


def test_what_a_re_dispatch_plan_intends_says_who_is_asked_first_not_how_much_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Situation, FlexibilityScan]] = []

    def look(situation: Situation) -> FlexibilityScan:
        found = controller_look(situation)
        seen.append((situation, found))
        return found

    controller_look = request_controller.look
    monkeypatch.setattr(request_controller, "look", look)
    bench = Bench(Plant(fleet()))
    bench.commit(200.0)
    bench.run(START + timedelta(minutes=5))
    situation, found = seen[-1]
    giving = np.nan_to_num(found.activated_kw)
    # A little more than each row gives already: what follows a load that falls from cycle to cycle looks like this.
    rows = np.arange(len(giving), dtype=np.int32)
    situation.picture.assignments.plan(rows, giving + 1.0)
    extra_kw = 0.9 * float((found.available_kw - giving).sum())
    change = share_out(situation, found, found.activated_kw, extra_kw)
    assert np.nansum(change) >= 0.97 * extra_kw, "chargers take no changes below their step"
