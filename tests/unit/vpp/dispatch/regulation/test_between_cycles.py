"""Setpoints between two full cycles: inside every cap, for rows that are free or follow already."""

from collections.abc import Sequence

import numpy as np
import pytest

from vpp.dispatch.arbitration.feeder_loads import FeederLoads
from vpp.dispatch.regulation.between_cycles import BetweenCycles, Moves
from vpp.dispatch.regulation.follower import Followed, RegulationFollower
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import CapMargins, DispatchSettings
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.feeders import FeederTree
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

AT_S = 1_784_090_000.0
SETTINGS = DispatchSettings(caps=CapMargins(aim_ratio=1.0))
LIMIT_KW, BATTERY_KW, COUNT, NUMBER = 150.0, 100.0, 4, 7


def _fleet() -> FleetIndex:
    """Return two transformers under one feeder, two batteries behind each."""
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(id="feeder", area_id="a", limit_kw=1e6, export_limit_kw=1e6),
            *(
                Transformer(id=f"t{n}", area_id="a", limit_kw=LIMIT_KW, export_limit_kw=LIMIT_KW, parent_id="feeder")
                for n in range(2)
            ),
        ),
        sites=tuple(Site(id=f"s{n}", name="S", area_id="a", operator_id="o", transformer_id=f"t{n}") for n in range(2)),
        resources=tuple(
            Resource(
                id=f"b{n}",
                site_id=f"s{n // 2}",
                resource_class=ResourceClass.STORAGE,
                adapter=Adapter.MODBUS,
                address=f"b/{n}",
                p_min_kw=-BATTERY_KW,
                p_max_kw=BATTERY_KW,
                capacity_kwh=200.0,
                efficiency=0.95,
            )
            for n in range(COUNT)
        ),
    )


def _state(index: FleetIndex) -> FleetState:
    unknown = np.full(COUNT, np.nan)
    return FleetState(
        index=index,
        at_s=AT_S,
        cycle=1,
        power_kw=np.zeros(COUNT),
        power_at_s=np.full(COUNT, AT_S),
        quality=np.zeros(COUNT, dtype=np.uint8),
        energy_kwh=unknown,
        soc=np.full(COUNT, 0.5),
        connected=np.ones(COUNT, dtype=np.bool_),
        plugged=np.zeros(COUNT, dtype=np.bool_),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=unknown,
        need_kwh=unknown,
        departure_s=unknown,
        sheddable=np.ones(COUNT, dtype=np.bool_),
    )


class _Regulation:
    """One request's follower and what lies between two cycles."""

    def __init__(self) -> None:
        index = _fleet()
        self.index, self.state = index, _state(index)
        self.assignments = Assignments(COUNT)
        self.between = BetweenCycles(index, SETTINGS, self.assignments)
        # A follower that knows of no caps: here is what holds them all the same.
        tree = FeederTree(index.transformers, index.transformer_code)
        tree.limit_kw, tree.export_limit_kw = np.full(3, 1e6), np.full(3, 1e6)
        self.follower = RegulationFollower(capacity_kw=400.0, tree=tree, index=index, dispatch=SETTINGS)
        nobody = np.zeros(COUNT, dtype=np.bool_)
        self.follower.refresh(
            self.state,
            Reservation(
                holding=~nobody,
                base_kw=np.zeros(COUNT),
                held_kw=np.full(COUNT, np.nan),
                kept=nobody,
                pinned=nobody,
                shed=np.zeros(COUNT),
            ),
        )
        self.begin(self.follower.tick(AT_S, 0.0))

    def begin(self, followed: Followed, load_kw: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        load = np.array(load_kw)
        self.between.begin(self.state, FeederLoads(load, load, load), {"r": (NUMBER, followed)})

    def tick(self, asked_kw: float) -> Moves:
        return self.between.move("r", self.follower, self.follower.tick(AT_S + 4.0, asked_kw))

    def load_kw(self) -> np.ndarray:
        tree = self.index.feeders
        return tree.load_kw(np.nan_to_num(self.assignments.columns.setpoint_kw))


def test_before_the_first_cycle_nothing_is_followed() -> None:
    index = _fleet()
    between = BetweenCycles(index, SETTINGS, Assignments(COUNT))
    assert between.state is None


def test_who_is_told_works_for_the_request_from_then_on() -> None:
    regulation = _Regulation()
    told = regulation.tick(60.0)
    assert np.nansum(told.power_kw) == pytest.approx(-60.0, abs=10.0)
    assert (regulation.assignments.columns.owner[told.rows] == NUMBER).all()
    assert regulation.assignments.columns.setpoint_kw[told.rows] == pytest.approx(told.power_kw)
    assert regulation.assignments.columns.active[told.rows].all()


@pytest.mark.parametrize("asked_kw", [400.0, -400.0])
def test_no_transformer_is_loaded_beyond_its_cap_between_two_cycles(asked_kw: float) -> None:
    regulation = _Regulation()
    for _ in range(3):
        regulation.tick(asked_kw)
        assert (np.abs(regulation.load_kw()[1:]) <= LIMIT_KW + 1e-6).all()


def test_what_is_kept_back_for_a_cap_is_told_once_it_fits() -> None:
    regulation = _Regulation()
    spare_kw = 120.0
    regulation.begin(regulation.follower.tick(AT_S, 0.0), load_kw=(0.0, LIMIT_KW - spare_kw, LIMIT_KW - spare_kw))
    assert not len(regulation.tick(-400.0).rows), "both batteries of each would rise by more than there is room for"
    told = regulation.tick(-100.0)
    assert np.nansum(told.power_kw) == pytest.approx(100.0, abs=10.0)


def test_rows_of_others_and_rows_under_a_cap_are_left_alone() -> None:
    regulation = _Regulation()
    known, at_s = np.array([0], dtype=np.int32), regulation.state.at_s
    regulation.assignments.move(NUMBER + 1, known, np.array([20.0]), uncontrolled_kw=np.zeros(1), at_s=at_s)
    regulation.assignments.cap(np.array([1]), np.array([10.0]), np.zeros(1))
    told = regulation.tick(300.0)
    assert not np.isin([0, 1], told.rows).any()


def test_a_row_that_takes_no_command_is_sent_none_between_two_cycles_either() -> None:
    regulation, index = _Regulation(), _fleet()
    follower = RegulationFollower(capacity_kw=400.0, tree=index.feeders, index=index, dispatch=SETTINGS)
    nobody = np.zeros(COUNT, dtype=np.bool_)
    silent = np.arange(COUNT) == 1
    state = regulation.state

    def refresh(pinned: np.ndarray) -> None:
        zero, unknown = np.zeros(COUNT), np.full(COUNT, np.nan)
        follower.refresh(
            state, Reservation(holding=~nobody, base_kw=zero, held_kw=unknown, kept=nobody, pinned=pinned, shed=zero)
        )

    refresh(nobody)
    follower.tick(AT_S, -300.0)
    state.power_kw[:] = follower.power_kw
    state.power_kw[1] += 30.0  # above what it was sent, so that its transformer is at its limit while others fall
    refresh(silent)
    followed = follower.tick(AT_S + 10.0, -300.0)
    assert len(followed)
    regulation.follower = follower
    regulation.begin(followed)
    moves = regulation.between.move("r", follower, follower.tick(AT_S + 12.0, -300.0))
    assert 1 not in moves.rows
