"""Compilation of everything the fast loop runs, before the first cycle that matters."""

from datetime import UTC, datetime, timedelta

import numpy as np

from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.request import CITY, Direction, NoticeClass, Product, Quote, RequestDraft, Verdict
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_TARGET_KW = 3.0
_TICK_S = 4.0


def warm_up() -> None:
    """Play small requests on one device of every class; blocks for some seconds where no machine code is cached."""
    for product in (Product.PEAK_SHAVING, Product.REGULATION):
        _play(product)


def _play(product: Product) -> None:
    index = _fleet()
    engine = DispatchEngine(index, DispatchSettings(), lambda *_: None)
    image = ProcessImage(index)
    _commit(engine, product)
    plan = _plan(index)
    for minutes in (0.0, 6.0, 6.2, 35.0, 50.0):
        now_s = (_BEGIN + timedelta(minutes=minutes)).timestamp()
        state = image.swap(now_s, np.zeros(len(index), dtype=np.uint8))
        engine.cycle(state, schedule=plan, baselines={}, redispatch=plan)
        engine.tick(now_s + _TICK_S)


def _fleet() -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="a", name="a"),),
        operators=(Operator(id="o", name="o"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=5.0, export_limit_kw=5.0),),
        sites=(Site(id="s", name="s", area_id="a", operator_id="o", transformer_id="t"),),
        resources=tuple(
            Resource(
                id=kind.value,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.OCPP,
                address=kind.value,
                p_min_kw=0.0,
                p_max_kw=7.0,
                rebound_ratio=1.0,
            )
            for kind in ResourceClass
        ),
    )


def _commit(engine: DispatchEngine, product: Product) -> None:
    start_at = _BEGIN + timedelta(minutes=6)
    draft = RequestDraft(
        product=product,
        direction=Direction.UP,
        target_kw=_TARGET_KW,
        area=CITY,
        start_at=start_at,
        end_at=start_at + timedelta(minutes=30),
        notice_class=NoticeClass.FAST,
        rebound_cap_kw=1.0,
    )
    request, _ = engine.book.submit(draft, key=None, actor="warm-up", now=_BEGIN, known_areas=())
    engine.book.quoted(request.id, _quote(start_at), _BEGIN)
    engine.book.accept(request.id, offer=None, actor="warm-up", now=_BEGIN)


def _quote(start_at: datetime) -> Quote:
    return Quote(
        verdict=Verdict.FEASIBLE,
        interval_starts_at=(start_at,),
        deliverable_p10_kw=(_TARGET_KW,),
        deliverable_p50_kw=(_TARGET_KW,),
        deliverable_p90_kw=(_TARGET_KW,),
        max_hold_minutes=30.0,
        ramp_kw_per_min=1.0,
        rebound_kw=(),
        cost_cny=0.0,
        limits=(),
        counter_offers=(),
        promises_broken=0,
        expires_at=start_at,
    )


def _plan(index: FleetIndex) -> Schedule:
    return Schedule(
        grid=TimeGrid(start_at=_BEGIN, count=8),
        power_kw=np.ones((len(index), 8)),
        rung=Rung.SAFE_DEFAULT,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )
