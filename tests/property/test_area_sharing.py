"""Requests that share an area: no row serves two, what was moved stays, and each can still keep its promise."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.application.requests.area_sharing import AreaSharing
from vpp.application.requests.row_division import even_part
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import instant
from vpp.lab.twin.population.presets import demo_fleet
from vpp.state.eligibility import part_rows

INDEX = demo_fleet(stations=60, inverters=6, batteries=4, v2g=4, sites=6)
COUNT = len(INDEX)
AREAS = ("city", INDEX.areas[0].id)
AT_S = 1_784_088_600.0
Z10 = 1.2815515655446004


class _State(SimpleNamespace):
    def __len__(self) -> int:
        return COUNT


def _times(due_kw: float) -> PhaseTimes:
    start_s = AT_S + 3600.0
    return PhaseTimes(
        precondition_s=start_s - 1200.0,
        ramp_s=start_s - 600.0,
        start_s=start_s,
        end_s=start_s + 3600.0,
        released_s=start_s + 4500.0,
        watched_s=start_s + 8100.0,
        target_kw=due_kw,
        release_kw=due_kw,
    )


class _Fleet:
    """What rows can deliver: sums of their own, less a spread that averages out."""

    def __init__(self, each_kw: FloatArray, moved: BoolArray) -> None:
        self.each_kw, self.moved = each_kw, moved
        self.committed: list[Any] = []
        self.portfolios: dict[str, BoolArray] = {}
        self.due_kw: dict[str, float] = {}

    def certain_kw(self, rows: BoolArray) -> float:
        kw = self.each_kw[rows]
        return max(float(kw.sum() - Z10 * 0.2 * np.sqrt(np.square(kw).sum())), 0.0)

    def quote(self, _id: str, _draft: object, _state: object, _plan: object, *, besides: bool, among: BoolArray) -> Any:  # noqa: ANN401 - a quote
        assert besides
        return SimpleNamespace(deliverable_p10_kw=(self.certain_kw(among),))

    def sharing(self) -> AreaSharing:
        state = _State(index=INDEX, at_s=AT_S, power_kw=np.linspace(-5.0, 60.0, COUNT))
        book = SimpleNamespace(
            overlapping=lambda _id: tuple(self.committed),
            timetable=lambda request_id: _times(self.due_kw[request_id]),
        )
        engine: Any = SimpleNamespace(
            book=book,
            in_force=SimpleNamespace(dispatched_since=lambda _at: self.moved),
            as_if_free=lambda same: same,
            settings=SimpleNamespace(requests=SimpleNamespace(phases=SimpleNamespace(ramp_minutes=15.0))),
        )
        picture: Any = SimpleNamespace(state=lambda: state, schedule=None)
        measurement: Any = SimpleNamespace(portfolios=self.portfolios)
        return AreaSharing(engine=engine, picture=picture, measurement=measurement, quoter=self)  # type: ignore[arg-type] # it quotes


def _draft(area: str) -> RequestDraft:
    return RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=1.0,
        area=area,
        start_at=instant(AT_S + 3600.0),
        end_at=instant(AT_S + 7200.0),
        notice_class=NoticeClass.INTRADAY,
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    asks=st.lists(
        st.tuples(st.sampled_from(["city", INDEX.areas[0].id]), st.floats(0.05, 1.2)), min_size=2, max_size=4
    ),
    moved_ratio=st.floats(0.0, 0.5),
)
def test_each_row_serves_one_request_and_every_promise_can_be_kept(
    seed: int, asks: list[tuple[str, float]], moved_ratio: float
) -> None:
    random = np.random.default_rng(seed)
    fleet = _Fleet(random.gamma(0.5, 20.0, COUNT), np.zeros(COUNT, dtype=np.bool_))
    sharing = fleet.sharing()
    for number, (area, share) in enumerate(asks):
        request: Any = SimpleNamespace(id=str(number), draft=_draft(area))
        before = {key: rows.copy() for key, rows in fleet.portfolios.items()}
        spared = asyncio.run(sharing.spared(request))
        for other_id, rows in spared.items():
            assert not (rows & ~before[other_id]).any(), "nobody spares what it does not have"
            assert not (rows & fleet.moved).any(), "what was moved stays"
            assert not (rows & ~part_rows(request.draft, INDEX)).any(), "and what is of no use to the newcomer"
            fleet.portfolios[other_id] = before[other_id] & ~rows
            if rows.any():
                assert fleet.certain_kw(fleet.portfolios[other_id]) >= fleet.due_kw[other_id]
        taken = np.logical_or.reduce([np.zeros(COUNT, dtype=np.bool_), *fleet.portfolios.values()])
        mine = part_rows(request.draft, INDEX) & ~taken
        # As quotes do: no more is committed to than its own rows deliver, however much was asked.
        fleet.portfolios[request.id] = mine
        fleet.due_kw[request.id] = min(share, 1.0) * fleet.certain_kw(mine)
        fleet.committed.append(request)
        fleet.moved |= mine & (random.random(COUNT) < moved_ratio)
    enlisted = np.sum([rows.astype(int) for rows in fleet.portfolios.values()], axis=0)
    assert enlisted.max() <= 1, "each row serves one request"
    there_is_kw = float(fleet.each_kw.sum())
    assert sum(fleet.due_kw.values()) <= there_is_kw
    for request_id, rows in fleet.portfolios.items():
        assert fleet.certain_kw(rows) >= fleet.due_kw[request_id] * (1.0 - 1e-9)


@given(seed=st.integers(0, 2**16), ratio=st.floats(0.0, 1.0))
def test_a_part_has_its_share_of_every_class(seed: int, ratio: float) -> None:
    rows = np.random.default_rng(seed).random(COUNT) < 0.7
    part = even_part(rows, ratio, _State(index=INDEX, at_s=AT_S, power_kw=np.linspace(-5.0, 60.0, COUNT)))  # type: ignore[arg-type] # a snapshot
    assert not (part & ~rows).any()
    assert abs(int(part.sum()) - ratio * int(rows.sum())) <= 1.0
    for area in range(len(INDEX.areas)):
        for code in np.unique(INDEX.class_code).tolist():
            kind = rows & (INDEX.class_code == code) & (INDEX.area_code == area)
            assert abs(int((part & kind).sum()) - ratio * int(kind.sum())) <= 1.0
