"""Following a regulation signal: the book of values, the follower, and the desk of all requests."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from vpp.dispatch.arbitration.feeder_loads import FeederTree
from vpp.dispatch.regulation.agc_signal import SIGNAL, AgcSignals
from vpp.dispatch.regulation.follower import FollowSettings, RegulationFollower
from vpp.dispatch.regulation.portfolio import RegulationPortfolio, Reservation
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    Verdict,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer

T0 = datetime(2026, 7, 15, 6, 0, tzinfo=UTC)
T0_S = T0.timestamp()
START = T0 + timedelta(minutes=10)
DISPATCH = DispatchSettings()
CARS, BATTERIES = 20, 4
EV_KW, BATTERY_KW = 7.0, 100.0


def _resource(kind: ResourceClass, number: int, p_min_kw: float, p_max_kw: float, **more: Any) -> Resource:  # noqa: ANN401 - any field
    return Resource(
        id=f"{kind.value}-{number}",
        site_id="site",
        resource_class=kind,
        adapter=Adapter.OCPP if kind is ResourceClass.EV else Adapter.MODBUS,
        address=f"{kind.value}/{number}",
        p_min_kw=p_min_kw,
        p_max_kw=p_max_kw,
        **more,
    )


def _fleet(limit_kw: float = 1e6) -> FleetIndex:
    cars = [_resource(ResourceClass.EV, n, 0.0, EV_KW, floor_kw=1.4) for n in range(CARS)]
    batteries = [
        _resource(ResourceClass.STORAGE, n, -BATTERY_KW, BATTERY_KW, capacity_kwh=200.0, efficiency=0.95)
        for n in range(BATTERIES)
    ]
    roof = _resource(ResourceClass.PV, 0, -50.0, 0.0)
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=limit_kw, export_limit_kw=limit_kw),),
        sites=(Site(id="site", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=(*cars, *batteries, roof),
    )


def _state(index: FleetIndex, power_kw: np.ndarray, at_s: float = T0_S) -> FleetState:
    n = len(index)
    nothing = np.full(n, np.nan)
    return FleetState(
        index=index,
        at_s=at_s,
        cycle=1,
        power_kw=power_kw,
        power_at_s=np.full(n, at_s),
        quality=np.zeros(n, dtype=np.uint8),
        energy_kwh=nothing,
        soc=np.where(index.is_class(ResourceClass.STORAGE), 0.5, np.nan),
        connected=np.ones(n, dtype=np.bool_),
        plugged=index.is_class(ResourceClass.EV),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=nothing,
        need_kwh=np.where(index.is_class(ResourceClass.EV), 10.0, np.nan),
        departure_s=np.where(index.is_class(ResourceClass.EV), at_s + 8 * 3600.0, np.nan),
        sheddable=np.ones(n, dtype=np.bool_),
    )


def _base(index: FleetIndex) -> np.ndarray:
    """Every car charges, every battery stands still, the roof feeds in."""
    return np.select(
        [index.is_class(ResourceClass.EV), index.is_class(ResourceClass.STORAGE)], [EV_KW, 0.0], default=-40.0
    )


class _Played:
    """A fleet that does as it is told at once, under a follower."""

    def __init__(self, *, limit_kw: float = 1e6, **settings: float) -> None:
        self.index = _fleet(limit_kw)
        self.base_kw = _base(self.index)
        self.power_kw = self.base_kw.copy()
        self.kept = np.zeros(len(self.index), dtype=np.bool_)
        self.pinned = np.zeros(len(self.index), dtype=np.bool_)
        self.held_kw = np.full(len(self.index), np.nan)
        self.holding = np.ones(len(self.index), dtype=np.bool_)
        self.at_s = T0_S
        self.follower = RegulationFollower(
            capacity_kw=300.0,
            tree=FeederTree(self.index),
            index=self.index,
            dispatch=DISPATCH,
            settings=FollowSettings(**settings),
        )
        self.refresh()

    def refresh(self) -> None:
        self.follower.refresh(
            _state(self.index, self.power_kw, self.at_s),
            holding=self.holding,
            base_kw=self.base_kw,
            held_kw=self.held_kw,
            kept=self.kept,
            pinned=self.pinned,
            burden=np.zeros(len(self.index)),
        )

    def tick(self, asked_kw: float) -> float:
        """Tick, obey, and return the change of net load, positive where it fell."""
        self.at_s += 4.0
        followed = self.follower.tick(self.at_s, asked_kw)
        self.power_kw[followed.rows] = followed.power_kw
        return float((self.base_kw - self.power_kw).sum())


@pytest.mark.parametrize("asked_kw", [0.0, 120.0, -120.0, 300.0, -300.0])
def test_net_load_falls_by_what_is_asked(asked_kw: float) -> None:
    assert _Played(drift_ratio=0.0).tick(asked_kw) == pytest.approx(asked_kw)


def test_under_a_signal_of_nothing_batteries_keep_still() -> None:
    played = _Played()
    played.tick(0.0)
    batteries = played.index.is_class(ResourceClass.STORAGE)
    assert played.power_kw[batteries] == pytest.approx(np.zeros(BATTERIES), abs=1e-6)


def test_cars_are_throttled_to_their_floor_and_never_stopped() -> None:
    played = _Played(drift_ratio=0.0)
    fell = played.tick(1e6)
    cars = played.index.is_class(ResourceClass.EV)
    assert fell == pytest.approx(BATTERIES * BATTERY_KW + CARS * (EV_KW - 1.4))
    assert played.power_kw[cars] == pytest.approx(np.full(CARS, 1.4))


def test_roofs_and_who_is_not_there_take_no_part() -> None:
    played = _Played(drift_ratio=0.0)
    played.holding[0] = False
    played.refresh()
    played.tick(1e6)
    assert played.power_kw[0] == EV_KW
    assert played.power_kw[-1] == -40.0
    assert np.isnan(played.follower.power_kw[[0, -1]]).all()


def test_sessions_that_must_not_be_reduced_are_not() -> None:
    played = _Played(drift_ratio=0.0)
    played.kept[:5] = True
    played.refresh()
    played.tick(1e6)
    assert played.power_kw[:5] == pytest.approx(np.full(5, EV_KW))


def test_no_transformer_is_loaded_beyond_what_the_guard_aims_at() -> None:
    played = _Played(limit_kw=200.0, drift_ratio=0.0)
    played.tick(-300.0)
    assert played.power_kw.sum() == pytest.approx(DISPATCH.cap_ratio * 200.0)


def test_few_rows_change_when_the_signal_changes_a_little() -> None:
    played = _Played(drift_ratio=0.0)
    played.tick(100.0)
    followed = played.follower.tick(played.at_s + 4.0, 101.0)
    assert len(followed) == 1


def test_what_the_meters_lack_is_made_up_for() -> None:
    played = _Played(drift_ratio=0.0, meter_s=60.0, correction_ratio=0.5)
    broken = CARS  # the first battery ignores everything
    for _ in range(100):
        played.tick(150.0)
        played.power_kw[broken] = 0.0
        played.refresh()
    others = np.arange(len(played.index)) != broken
    assert (played.base_kw - played.power_kw)[others].sum() == pytest.approx(150.0, abs=20.0)


def test_energy_taken_too_much_is_given_back() -> None:
    played = _Played(drift_s=600.0, drift_ratio=0.2, spare_h=0.01)
    for _ in range(150):
        played.tick(-100.0)
        played.refresh()
    assert played.tick(0.0) > 30.0


def test_half_of_what_backs_the_power_is_used_before_precision_pays_for_it() -> None:
    played = _Played(correction_ratio=0.0)  # 300 kW, backed by 75 kWh
    answered = []
    for _ in range(900):  # 100 kWh in an hour
        answered.append(-played.tick(-100.0))
        played.refresh()
    used_kwh = np.cumsum(answered) * 4.0 / 3600.0
    np.testing.assert_allclose(np.array(answered)[used_kwh < 37.0], 100.0)
    assert answered[-1] == pytest.approx(94.0), "2 % of the reserved power"


def test_what_chargers_were_denied_is_theirs_to_fetch() -> None:
    played = _Played(drift_s=60.0, drift_ratio=0.2, spare_h=0.0)
    played.holding[CARS:] = False  # cars alone
    played.refresh()
    for _ in range(50):
        played.tick(50.0)
        played.refresh()
    assert played.tick(0.0) == pytest.approx(0.0, abs=1e-6)


def test_who_takes_no_command_at_present_is_counted_and_others_make_up_for_it() -> None:
    played = _Played(drift_ratio=0.0, correction_ratio=0.0)
    stuck = CARS  # the first battery holds 40 kW, whatever it is told
    played.power_kw[stuck], played.pinned[stuck] = 40.0, True
    played.refresh()
    fell_kw = played.tick(150.0)
    assert played.power_kw[stuck] == 40.0
    assert fell_kw == pytest.approx(150.0)


def test_free_chargers_and_stores_on_their_plan_are_told_nothing() -> None:
    played = _Played(drift_ratio=0.0)
    played.tick(0.0)
    everyone = np.arange(len(played.index), dtype=np.int32)
    nobody = np.zeros(len(everyone), dtype=np.bool_)
    assert np.isnan(played.follower.setpoints_kw(everyone, nobody)).all()
    played.tick(450.0)
    told = played.follower.setpoints_kw(everyone, nobody)
    moved = ~np.isnan(told)
    assert told[moved] == pytest.approx(played.power_kw[moved])
    assert (played.base_kw - np.where(moved, told, played.base_kw)).sum() == pytest.approx(450.0)
    assert np.isnan(told[-1]), "roofs take no part"


def test_a_store_that_was_commanded_stays_at_hand() -> None:
    played = _Played(drift_ratio=0.0)
    played.tick(0.0)
    battery = np.array([CARS], dtype=np.int32)
    assert played.follower.setpoints_kw(battery, np.array([True])).tolist() == [0.0]


def test_the_correction_compares_meters_with_what_was_due_when_they_were_read() -> None:
    played = _Played(drift_ratio=0.0, correction_ratio=0.5, reaction_s=4.0)
    for tick in range(60):
        shown_kw = played.power_kw.copy()
        played.tick(5.0 * tick)
        told_kw, played.power_kw = played.power_kw, shown_kw  # everybody is a tick late, and the signal rises
        played.refresh()
        played.power_kw = told_kw
    fell_kw = float((played.base_kw - played.power_kw).sum())
    assert fell_kw == pytest.approx(5.0 * tick, abs=1.0)


def test_a_follower_without_capacity_is_refused() -> None:
    index = _fleet()
    with pytest.raises(InputError, match="capacity_kw"):
        RegulationFollower(capacity_kw=0.0, tree=FeederTree(index), index=index, dispatch=DISPATCH)


class _Journal:
    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    def record(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        self.entries.append(JournalEntry(sequence=len(self.entries) + 1, kind=kind, at_s=at_s, body=body, sha256=""))


def _taken(book: AgcSignals, at_s: list[float], kw: list[float], now_s: float = T0_S) -> int:
    return book.take("r", np.array(at_s), np.array(kw), capacity_kw=300.0, now_s=now_s)


def test_a_value_holds_until_the_next_and_fades_when_none_comes() -> None:
    book = AgcSignals(_Journal().record)
    _taken(book, [T0_S, T0_S + 4.0], [100.0, 200.0])
    due = {after: book.due_kw("r", T0_S + after) for after in (-1.0, 0.0, 3.9, 4.0, 64.0, 94.0, 124.0, 1e6)}
    assert due == {-1.0: 0.0, 0.0: 100.0, 3.9: 100.0, 4.0: 200.0, 64.0: 200.0, 94.0: 100.0, 124.0: 0.0, 1e6: 0.0}


def test_the_same_value_may_come_twice_and_counts_once() -> None:
    journal = _Journal()
    book = AgcSignals(journal.record)
    assert [_taken(book, [T0_S], [5.0]), _taken(book, [T0_S], [5.0])] == [1, 0]
    assert [entry.kind for entry in journal.entries] == [SIGNAL]


def test_stale_and_contradicting_values_are_refused_and_nothing_of_them_is_taken() -> None:
    book = AgcSignals(_Journal().record)
    _taken(book, [T0_S], [5.0])
    with pytest.raises(ConflictError, match="was taken already"):
        _taken(book, [T0_S], [6.0])
    with pytest.raises(ConflictError, match="was taken already"):
        _taken(book, [T0_S - 4.0, T0_S + 4.0], [6.0, 7.0])
    with pytest.raises(ConflictError, match=r"stale: it came 40\.0 s later"):
        _taken(book, [T0_S + 10.0], [6.0], now_s=T0_S + 50.0)
    assert book.last_at_s("r") == T0_S


@pytest.mark.parametrize(
    ("at_s", "kw"),
    [([T0_S], [301.0]), ([T0_S], [float("nan")]), ([T0_S, T0_S], [1.0, 2.0]), ([], []), ([T0_S], [1.0, 2.0])],
)
def test_values_that_make_no_sense_are_refused(at_s: list[float], kw: list[float]) -> None:
    with pytest.raises(InputError):
        _taken(AgcSignals(_Journal().record), at_s, kw)


def test_the_journal_gives_the_signal_back() -> None:
    journal = _Journal()
    _taken(AgcSignals(journal.record), [T0_S, T0_S + 4.0], [1.0, 2.0])
    again = AgcSignals(_Journal().record)
    again.restore(journal.entries)
    assert again.due_kw("r", T0_S + 4.0) == 2.0


def _accepted(book: RequestBook, product: Product = Product.REGULATION) -> DispatchRequest:
    draft = RequestDraft(
        product=product,
        direction=Direction.UP,
        target_kw=300.0,
        area="city",
        start_at=START,
        end_at=START + timedelta(hours=1),
        notice_class=NoticeClass.SECOND,
        ramp_minutes=0.0,
        baseline_method=BaselineMethod.AUTOMATIC,
    )
    request, _ = book.submit(draft, key=None, actor="test", now=T0, known_areas=())
    quote = Quote(
        verdict=Verdict.FEASIBLE,
        interval_starts_at=(),
        deliverable_p10_kw=(),
        deliverable_p50_kw=(),
        deliverable_p90_kw=(),
        max_hold_minutes=60.0,
        ramp_kw_per_min=1.0,
        rebound_kw=(),
        cost_cny=0.0,
        limits=(),
        counter_offers=(),
        promises_broken=0,
        expires_at=T0 + timedelta(minutes=5),
    )
    book.quoted(request.id, quote, T0)
    return book.accept(request.id, offer=None, actor="test", now=T0)


def _reservation(index: FleetIndex) -> Reservation:
    nobody = np.zeros(len(index), dtype=np.bool_)
    return Reservation(
        holding=~nobody,
        base_kw=_base(index),
        held_kw=np.full(len(index), np.nan),
        kept=nobody,
        pinned=nobody,
        burden=np.zeros(len(index)),
    )


def _desk(book: RequestBook) -> RegulationPortfolio:
    return RegulationPortfolio(book, _fleet(), _Journal().record, dispatch=DISPATCH)


def test_a_request_is_followed_from_its_start_to_its_end() -> None:
    book = RequestBook(_Journal().record, DISPATCH)
    request, index = _accepted(book), _fleet()
    desk = _desk(book)
    start_s = START.timestamp()
    assert desk.take(request.id, np.array([start_s]), np.array([0.5]), unit="value", now_s=T0_S) == 1
    assert not desk.is_due(request, T0_S)
    assert desk.is_due(request, start_s)
    base = _base(index)
    followed = desk.follow(request.id, _state(index, base, start_s), _reservation(index))
    assert followed.told_kw == pytest.approx(150.0)
    assert np.nansum((base - desk.follower(request.id).power_kw)[:-1]) == pytest.approx(150.0)
    standing = desk.standing(request.id, start_s)
    assert (standing.asked_kw, standing.capacity_kw) == (150.0, 300.0)
    assert list(desk.tick(start_s + 4.0)) == [request.id]
    desk.forget(())
    assert desk.tick(start_s + 8.0) == {}


def test_after_its_end_a_signal_fades() -> None:
    book = RequestBook(_Journal().record, DISPATCH)
    request = _accepted(book)
    desk = _desk(book)
    end_s = request.draft.end_at.timestamp()
    desk.take(request.id, np.array([end_s - 1.0]), np.array([1.0]), unit="value", now_s=T0_S)
    asked = [desk.asked_kw(request.id, end_s + after) for after in (-1.0, 0.0, 45.0, 200.0)]
    assert asked == pytest.approx([300.0, 300.0, 285.0, 0.0])


def test_what_was_asked_and_answered_is_rebuilt_from_the_cycles_in_the_journal() -> None:
    journal, kind = _Journal(), "dispatch.tracking"
    book = RequestBook(journal.record, DISPATCH)
    request = _accepted(book)
    start_s = START.timestamp()
    for at_s, figures in (
        (start_s - 10.0, (1.0, 2.0, 3.0)),
        (start_s, (5.0, 9.0, 6.0)),
        (start_s + 10.0, (7.0, None, 1.0)),
    ):
        names = ("target_kw", "baseline_kw", "measured_kw")
        journal.record(kind, at_s, {"id": request.id, **dict(zip(names, figures, strict=True))})
    desk = _desk(book)
    desk.restore(journal.entries, kind)
    standing = desk.standing(request.id, start_s)
    assert (standing.time_s.tolist(), standing.signal_kw.tolist(), standing.response_kw.tolist()) == (
        [start_s],
        [5.0],
        [3.0],
    )


def test_only_accepted_requests_for_regulation_take_a_signal_and_only_until_they_end() -> None:
    book = RequestBook(_Journal().record, DISPATCH)
    request = _accepted(book)
    desk = _desk(book)
    late = np.array([START.timestamp() + 3601.0])
    with pytest.raises(InputError, match="end of the request"):
        desk.take(request.id, late, np.array([0.1]), unit="value", now_s=T0_S)
    with pytest.raises(UnknownIdError):
        desk.take("nobody", late, np.array([0.1]), unit="value", now_s=T0_S)
    book.cancel(request.id, actor="test", reason="test", now=T0)
    with pytest.raises(ConflictError, match="cancelled"):
        desk.take(request.id, np.array([START.timestamp()]), np.array([0.1]), unit="value", now_s=T0_S)
    other = RequestBook(_Journal().record, DISPATCH)
    shaving = _accepted(other, Product.PEAK_SHAVING)
    with pytest.raises(ConflictError, match="follows no signal"):
        _desk(other).take(shaving.id, np.array([START.timestamp()]), np.array([0.1]), unit="value", now_s=T0_S)
    with pytest.raises(ConflictError, match="no accepted request for regulation"):
        _desk(other).standing(shaving.id, T0_S)


def test_a_larger_fleet_is_followed_anew() -> None:
    book = RequestBook(_Journal().record, DISPATCH)
    request = _accepted(book)
    desk = _desk(book)
    index = _fleet()
    larger = replace(index, resources=(*index.resources, _resource(ResourceClass.STORAGE, 99, -10.0, 10.0)))
    desk.resize(larger)
    base = np.append(_base(index), 0.0)
    state = _state(larger, base)
    desk.follow(request.id, state, _reservation(larger)._replace(base_kw=base))
    assert len(desk.follower(request.id).power_kw) == len(larger)
