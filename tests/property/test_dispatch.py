"""Invariants of dispatch: bounds, caps, promises, and a book that the journal rebuilds."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.dispatch.arbitration.guard import guard
from vpp.dispatch.arbitration.proposals import Authority, Proposal, merge
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.request import (
    BindingLimit,
    CounterOffer,
    Direction,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    Shortfall,
    Verdict,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.feeders import FeederTree
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry

SETTINGS = DispatchSettings()
NOW = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
RANGES = {
    ResourceClass.EV: (0.0, 7.0, 1.4),
    ResourceClass.V2G: (-10.0, 10.0, 1.4),
    ResourceClass.STORAGE: (-50.0, 50.0, 0.0),
    ResourceClass.PV: (-20.0, 0.0, 0.0),
    ResourceClass.HVAC: (0.0, 40.0, 0.0),
    ResourceClass.INDUSTRY: (0.0, 60.0, 0.0),
}
finite = st.floats(-100.0, 100.0)


@st.composite
def proposals(draw: st.DrawFn) -> list[Proposal]:
    made = []
    for _ in range(draw(st.integers(0, 5))):
        rows = np.array(sorted(draw(st.sets(st.integers(0, 3), max_size=4))), dtype=np.int32)
        numbers = st.lists(finite, min_size=len(rows), max_size=len(rows))
        low, high = (np.array(draw(numbers), dtype=np.float64) for _ in range(2))
        unsure = st.lists(finite | st.just(float("nan")), min_size=len(rows), max_size=len(rows))
        made.append(
            Proposal(
                source="any",
                priority=draw(st.sampled_from(Authority)),
                rows=rows,
                preferred_kw=np.array(draw(unsure), dtype=np.float64),
                low_kw=np.minimum(low, high),
                high_kw=np.maximum(low, high),
            )
        )
    return made


@given(proposed=proposals(), low=st.lists(finite, min_size=4, max_size=4), span=st.floats(0.0, 50.0))
def test_whoever_comes_later_may_only_narrow(proposed: list[Proposal], low: list[float], span: float) -> None:
    least = np.array(low)
    merged = merge(proposed, least, least + span)
    assert (merged.low_kw >= least).all()
    assert (merged.high_kw <= least + span).all()
    assert (merged.low_kw <= merged.high_kw).all()
    named = ~np.isnan(merged.power_kw)
    assert (merged.power_kw[named] >= merged.low_kw[named]).all()
    assert (merged.power_kw[named] <= merged.high_kw[named]).all()
    _check_authority(proposed, least, least + span, merged.low_kw, merged.high_kw)


def _check_authority(
    proposed: list[Proposal], least: FloatArray, most: FloatArray, low: FloatArray, high: FloatArray
) -> None:
    """The result lies within every proposal that the ones before it left room for."""
    for row in range(4):
        floor, ceiling = least[row], most[row]
        for proposal in sorted(proposed, key=lambda v: v.priority):
            for at in np.flatnonzero(proposal.rows == row):
                meets = max(floor, proposal.low_kw[at]) <= min(ceiling, proposal.high_kw[at])
                if not meets:
                    return
                floor, ceiling = max(floor, proposal.low_kw[at]), min(ceiling, proposal.high_kw[at])
                assert low[row] >= floor
                assert high[row] <= ceiling


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(ResourceClass), min_size=count, max_size=count))
    sites = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    limits = draw(st.lists(st.floats(1.0, 150.0), min_size=3, max_size=3))
    base = draw(st.lists(st.floats(0.0, 60.0), min_size=3, max_size=3))
    share = st.lists(st.floats(0.0, 1.0), min_size=count, max_size=count)
    flags = st.lists(st.booleans(), min_size=count, max_size=count)
    return {
        "kinds": kinds,
        "sites": sites,
        "limits": limits,
        "base": base,
        "now": np.array(draw(share)),
        "want": np.array(draw(share)),
        "wanted": np.array(draw(flags)),
        "kept": np.array(draw(flags)),
        "fixed": np.array(draw(flags)),
        "soc": np.array(draw(share)),
    }


def fleet(scene: Mapping[str, Any]) -> FleetIndex:
    """Return a fleet under two leaves and their root; site 2 hangs on the root itself."""
    names, parents = ("left", "right", "root"), ("root", "root", None)
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=tuple(
            Transformer(
                id=name,
                area_id="a",
                limit_kw=scene["limits"][i],
                export_limit_kw=1e6,
                base_load_kw=scene["base"][i],
                parent_id=parents[i],
            )
            for i, name in enumerate(names)
        ),
        sites=tuple(
            Site(id=str(i), name=name, area_id="a", operator_id="o", transformer_id=name)
            for i, name in enumerate(names)
        ),
        resources=tuple(
            Resource(
                id=f"r{i}",
                site_id=str(site),
                resource_class=kind,
                adapter=Adapter.OCPP,
                address=str(i),
                p_min_kw=RANGES[kind][0],
                p_max_kw=RANGES[kind][1],
                floor_kw=RANGES[kind][2],
                capacity_kwh=50.0,
            )
            for i, (kind, site) in enumerate(zip(scene["kinds"], scene["sites"], strict=True))
        ),
    )


def snapshot(index: FleetIndex, soc: FloatArray) -> FleetState:
    n = len(index)
    nan = np.full(n, np.nan)
    return FleetState(
        index=index,
        at_s=0.0,
        cycle=0,
        power_kw=np.zeros(n),
        power_at_s=np.zeros(n),
        quality=np.zeros(n, dtype=np.uint8),
        energy_kwh=nan,
        soc=soc,
        connected=np.ones(n, dtype=np.bool_),
        plugged=np.ones(n, dtype=np.bool_),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=nan,
        need_kwh=nan,
        departure_s=nan,
        sheddable=np.ones(n, dtype=np.bool_),
    )


@given(scene=scenes())
@settings(max_examples=200, deadline=None)
def test_the_guard_keeps_devices_caps_and_promises(scene: dict[str, Any]) -> None:
    index = fleet(scene)
    span = index.nameplate.p_max_kw - index.nameplate.p_min_kw
    now = index.nameplate.p_min_kw + scene["now"] * span
    wanted = np.where(scene["wanted"] & ~scene["fixed"], index.nameplate.p_min_kw + scene["want"] * span, np.nan)
    tree = index.feeders
    kept = scene["kept"] & index.is_class(ResourceClass.EV, ResourceClass.V2G)
    result = guard(
        snapshot(index, scene["soc"]),
        tree,
        wanted_kw=wanted,
        now_kw=now,
        kept=kept,
        fixed=scene["fixed"],
        order=np.zeros(len(index)),
        caps=SETTINGS.caps,
    )
    power, sent = result.power_kw, ~np.isnan(result.power_kw)
    assert (power[sent] >= index.nameplate.p_min_kw[sent] - 1e-9).all()
    assert (power[sent] <= np.fmin(index.nameplate.p_max_kw, index.nameplate.default_kw)[sent] + 1e-9).all()
    below = sent & (index.nameplate.floor_kw > 0) & (power > 1e-9) & (power < index.nameplate.floor_kw - 1e-9)
    assert not below.any()
    _check_caps(tree, load=result.load_kw, now=now, fixed=scene["fixed"])
    cut = kept & result.capped & (result.expected_kw < np.fmin(now, wanted) - 1e-6)
    _check_promises(tree, cut=cut, others_kw=np.where(kept | scene["fixed"], 0.0, result.expected_kw))


def _check_caps(tree: FeederTree, *, load: FloatArray, now: FloatArray, fixed: BoolArray) -> None:
    """No node is above its limit unless what no command reaches puts it there, whatever drivers were promised."""
    unavoidable = tree.load_kw(np.where(fixed, now, np.minimum(now, 0.0)))
    assert (load <= np.maximum(tree.limit_kw, unavoidable) + 1e-6).all()


def _check_promises(tree: FeederTree, *, cut: BoolArray, others_kw: FloatArray) -> None:
    """A kept session is cut only where behind a node above it nothing is left to cut of those that are not kept."""
    exhausted = [bool((others_kw[tree.rows_under(node)] <= 1e-6).all()) for node in range(len(tree))]
    for row in np.flatnonzero(cut).tolist():
        assert any(exhausted[node] for node in range(len(tree)) if row in tree.rows_under(node))


DRAFTS = st.builds(
    RequestDraft,
    product=st.just(Product.REGULATION),
    direction=st.sampled_from(Direction),
    target_kw=st.floats(1.0, 1000.0),
    area=st.sampled_from(("city", "north", "south")),
    start_at=st.integers(20, 300).map(lambda m: NOW + timedelta(minutes=m)),
    end_at=st.integers(330, 600).map(lambda m: NOW + timedelta(minutes=m)),
    notice_class=st.just(NoticeClass.INTRADAY),
    ramp_minutes=st.none() | st.floats(0.0, 30.0),
    rebound_cap_kw=st.none() | st.floats(0.0, 10.0),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("submit", "quote", "accept", "offer", "cancel", "advance", "flag", "verify")),
        st.integers(0, 3),
        DRAFTS,
        st.sampled_from(Verdict),
    ),
    max_size=14,
)
OPENINGS = st.builds(
    lambda draft, count: [(action, 0, draft, Verdict.FEASIBLE) for action in ("submit", "quote", "accept")][:count],
    DRAFTS,
    st.integers(0, 3),
)
"""The way to an acceptance or a part of it: steps drawn one by one hardly ever come so far."""
WAITS = st.sampled_from((0, 0, 1, 5, 15, 60, 120))


@given(
    steps=st.builds(lambda opening, others: opening + others, OPENINGS, STEPS),
    minutes=st.lists(WAITS, min_size=17, max_size=17),
)
@settings(max_examples=80, deadline=None)
def test_the_journal_rebuilds_the_book(steps: list[Any], minutes: list[int]) -> None:
    journal: list[JournalEntry] = []

    def record(kind: str, at_s: float, body: Mapping[str, object]) -> None:
        plain = json.loads(json.dumps(body, allow_nan=False))
        journal.append(JournalEntry(sequence=len(journal) + 1, kind=kind, at_s=at_s, body=plain, sha256=""))

    book, now = RequestBook(record, SETTINGS.requests), NOW
    for (action, target, draft, verdict), wait in zip(steps, minutes, strict=False):
        now += timedelta(minutes=wait)
        with suppress(ConflictError, InputError):
            _act(book, action, target, draft=draft, verdict=verdict, now=now)
    again = RequestBook(lambda *_: None, SETTINGS.requests)
    again.restore(journal)
    assert again.all() == book.all()
    assert again._register._asked == book._register._asked


def _act(book: RequestBook, action: str, target: int, *, draft: RequestDraft, verdict: Verdict, now: datetime) -> None:
    if action == "submit":
        shifted = replace(draft, start_at=draft.start_at + (now - NOW), end_at=draft.end_at + (now - NOW))
        book.submit(shifted, key=f"k{target}", actor="d", now=now, known_areas=("north", "south"))
        return
    if action == "advance" or target >= len(book.all()):
        book.advance(now.timestamp())
        return
    request = book.all()[target]
    if action == "quote":
        book.quoted(request.id, _quote(request.draft, verdict, now), now)
    elif action in ("accept", "offer"):
        book.accept(request.id, offer=0 if action == "offer" else None, actor="d", now=now)
    elif action == "cancel":
        book.cancel(request.id, actor="d", reason="r", now=now)
    elif action == "flag":
        book.flag(request.id, Shortfall(missing_kw=1.0, cause="c", expected_end_at=now), now.timestamp())
    else:
        book.verified(request.id, now=now)


def _quote(draft: RequestDraft, verdict: Verdict, now: datetime) -> Quote:
    window = {"start_at": draft.start_at, "end_at": draft.end_at}
    return Quote(
        verdict=verdict,
        interval_starts_at=(draft.start_at,),
        deliverable_p10_kw=(0.5,),
        deliverable_p50_kw=(draft.target_kw / 2,),
        deliverable_p90_kw=(1.0,),
        max_hold_minutes=float("inf"),
        ramp_kw_per_min=float("inf"),
        rebound_kw=(1.0,),
        cost_cny=1.0,
        limits=(BindingLimit(name="t", kw=1.0, from_at=now, until_at=now),),
        counter_offers=(CounterOffer(kind="less", target_kw=1.0, **window),),
        promises_broken=0,
        expires_at=now + timedelta(minutes=20),
        energy_kwh=1.0,
        recovery_minutes=2.0,
        recovery_kwh=3.0,
        confidence_ratio=0.5,
        delivery_ratio=0.9,
    )
