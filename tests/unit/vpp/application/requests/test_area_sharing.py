"""Quotes of requests that overlap: of the rows that are left, bounded by what all have, and who keeps what."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, quote
from vpp.application.requests.area_sharing import AreaSharing
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.errors import ConflictError
from vpp.domain.request import Quote
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray
from vpp.lab.twin.population.presets import demo_fleet

INDEX = demo_fleet(stations=60, inverters=6, batteries=4, v2g=4, sites=6)
COUNT = len(INDEX)
REQUEST: Any = SimpleNamespace(id="mine", draft=replace(DRAFT, area="city"))
OTHER: Any = SimpleNamespace(id="first", draft=replace(DRAFT, area="city"))


class _Snapshot(SimpleNamespace):
    def __len__(self) -> int:
        return COUNT


class _Quoter:
    """Ten kW a row that counts; the whole fleet has ``most_kw`` beyond what is promised."""

    def __init__(self, most_kw: float) -> None:
        self.most_kw = most_kw

    def quote(
        self,
        _id: str,
        _draft: object,
        _state: object,
        _plan: object,
        *,
        besides: bool = False,
        among: BoolArray | None = None,
    ) -> Quote:
        kw = 10.0 * int(COUNT if among is None else among.sum())
        return quote(p50_kw=kw if besides else self.most_kw)


def sharing(
    most_kw: float,
    *,
    due_kw: float,
    now_s: float | None = None,
    quoter: object = None,
    moved: BoolArray | None = None,
    connected: BoolArray | None = None,
    portfolios: dict[str, BoolArray] | None = None,
) -> AreaSharing:
    start_s = DRAFT.start_at.timestamp()
    end_s = DRAFT.end_at.timestamp()
    times = PhaseTimes(
        precondition_s=start_s - 900.0,
        ramp_s=start_s - 600.0,
        start_s=start_s,
        end_s=end_s,
        released_s=end_s + 900.0,
        watched_s=end_s + 2700.0,
        target_kw=due_kw,
        release_kw=due_kw,
    )
    at_s = NOW.timestamp() if now_s is None else now_s
    moved = np.zeros(COUNT, dtype=np.bool_) if moved is None else moved
    state = _Snapshot(
        index=INDEX,
        at_s=at_s,
        power_kw=np.linspace(0.0, 60.0, COUNT),
        connected=np.ones(COUNT, dtype=np.bool_) if connected is None else connected,
        quality=np.zeros(COUNT, dtype=np.uint8),
        troubles=np.zeros(COUNT, dtype=np.uint32),
    )
    engine: Any = SimpleNamespace(
        book=SimpleNamespace(timetable=lambda _id: times, overlapping=lambda _id: (OTHER,)),
        in_force=SimpleNamespace(dispatched_since=lambda _at: moved.copy()),
        as_if_free=lambda same: same,
        settings=SimpleNamespace(requests=SimpleNamespace(phases=SimpleNamespace(ramp_minutes=10.0))),
    )
    picture: Any = SimpleNamespace(state=lambda: state, schedule=None)
    return AreaSharing(
        engine=engine,
        picture=picture,
        measurement=SimpleNamespace(portfolios=portfolios or {}),  # type: ignore[arg-type] # a double
        quoter=quoter or _Quoter(most_kw),  # type: ignore[arg-type] # a double
    )


def _part() -> int:
    return int((~INDEX.is_class(ResourceClass.PV)).sum())


@pytest.mark.parametrize(("most_kw", "bounded"), [(1e6, False), (50.0, True)])
async def test_a_quote_is_that_of_the_rows_left_and_no_more_than_all_have_beyond_what_is_promised(
    most_kw: float,
    bounded: bool,  # noqa: FBT001 - table
) -> None:
    due_kw = 0.4 * 10.0 * _part()
    found = await sharing(most_kw, due_kw=due_kw).quote(REQUEST, (OTHER,))
    if bounded:
        assert min(found.deliverable_p10_kw) == most_kw
    else:
        left_kw = 10.0 * COUNT - due_kw
        assert min(found.deliverable_p10_kw) == pytest.approx(left_kw, abs=0.06 * 10.0 * COUNT)
    assert "first" in found.notices[-1]


@pytest.mark.parametrize(("most_kw", "bounded"), [(1e6, False), (50.0, True)])
def test_a_revision_is_bounded_by_what_all_have_beyond_what_is_promised_to_others(
    most_kw: float,
    bounded: bool,  # noqa: FBT001 - table
) -> None:
    made = sharing(most_kw, due_kw=100.0)
    found = made.revised(REQUEST.draft, made._picture.state(), REQUEST.id)
    assert min(found.deliverable_p10_kw) == (most_kw if bounded else 10.0 * COUNT)


@pytest.mark.parametrize("share", [1.5, 1.0])
async def test_who_needs_all_it_has_spares_nothing(share: float) -> None:
    spared = await sharing(1e6, due_kw=share * 10.0 * _part()).spared(REQUEST)
    assert not spared["first"].any()


async def test_who_is_over_spares_all_it_has_not_moved_and_who_cannot_be_quoted_nothing() -> None:
    over = await sharing(1e6, due_kw=100.0, now_s=DRAFT.end_at.timestamp() + 1.0).spared(REQUEST)
    assert int(over["first"].sum()) == _part()

    class _Silent:
        def quote(self, *_args: object, **_more: object) -> Quote:
            message = "no forecast reaches so far"
            raise ConflictError(message)

    silent = await sharing(1e6, due_kw=100.0, quoter=_Silent()).spared(REQUEST)
    assert not silent["first"].any()


async def test_rows_that_are_moved_while_they_are_divided_are_not_spared() -> None:
    moved = np.zeros(COUNT, dtype=np.bool_)

    class _Slow(_Quoter):
        def quote(self, *args: Any, **more: Any) -> Quote:  # noqa: ANN401 - as above
            moved[::2] = True  # the next cycle, before the answer
            return super().quote(*args, **more)

    spared = await sharing(1e6, due_kw=40.0, quoter=_Slow(1e6), moved=moved).spared(REQUEST)
    assert spared["first"].any()
    assert not (spared["first"] & moved).any()


def test_devices_are_back_once_nearly_all_that_others_have_are_metered() -> None:
    enlisted = np.zeros(COUNT, dtype=np.bool_)
    enlisted[:40] = True
    connected = np.zeros(COUNT, dtype=np.bool_)
    portfolios = {OTHER.id: enlisted}
    for back, are_back in ((0, False), (35, False), (36, True)):
        connected[:back] = True
        assert sharing(1e6, due_kw=1.0, connected=connected, portfolios=portfolios).are_back(REQUEST) is are_back
    assert sharing(1e6, due_kw=1.0, connected=~enlisted).are_back(REQUEST), "nobody has any yet"
