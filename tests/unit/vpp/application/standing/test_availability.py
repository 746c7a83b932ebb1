"""Availability measured from the estimate that quotes are made of, and settled by operator and site."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis_among, now
from tests.unit.vpp.planning.reserve.test_standing_hours import TERMS
from vpp.application.standing.availability import Availability
from vpp.application.standing.availability_book import AVAILABILITY, AvailabilityBook
from vpp.application.standing.power_in_use import PowerInUse
from vpp.domain.request import CITY, Direction
from vpp.domain.standing import StandingCommitment
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import floor_s, instant
from vpp.planning.calibration.window_book import WindowBook


@dataclass
class _Entries:
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def append(self, kind: str, at_s: float, body: dict[str, Any]) -> int:
        assert (kind, at_s) == (AVAILABILITY, now().at_s)
        self.bodies.append(body)
        return len(self.bodies)


def commitment(power_kw: float, *, area: str = CITY, name: str = "s") -> StandingCommitment:
    terms = replace(TERMS, power_kw=power_kw, area=area)
    return StandingCommitment(id=name, terms=terms, created_at=instant(0.0), actor="a")


def in_use(*reserved_kw: tuple[str, float], **held_kw: FloatArray) -> PowerInUse:
    """Return the use of nothing but what is held or reserved."""
    nothing_kw = np.full(len(now()), np.nan)
    return PowerInUse(
        free=now(), held_kw={one: held_kw.get(one, nothing_kw) for one in Direction}, reserved_kw=reserved_kw
    )


def measured(
    *due: StandingCommitment, entries: _Entries, planned: bool = True, used: PowerInUse | None = None
) -> Availability:
    """Return the measurement on the small city, whose quotes rest on the normal law."""
    quotes = SimpleNamespace(basis=lambda state, eligible, **_: basis_among(eligible, state))
    quoter = SimpleNamespace(
        quotes=quotes,
        quotes_apart=quotes,
        countable=lambda *_: np.ones(len(now()), dtype=np.bool_),
        delivery_ratio=lambda *_: None,
        windows=WindowBook(),
    )
    return Availability(
        picture=cast(Any, SimpleNamespace(state=now, schedule=object() if planned else None)),
        quoter=cast(Any, quoter),
        forecaster=cast(Any, SimpleNamespace(current=lambda _: None)),
        due=lambda _: due,
        in_use=lambda _: used or in_use(),
        journal=cast(Any, entries),
    )


@pytest.mark.parametrize(("power_kw", "short"), [(1.0, False), (1e9, True)])
async def test_what_is_kept_is_paid_and_what_lacks_is_charged_part_by_part(power_kw: float, short: bool) -> None:  # noqa: FBT001 - a test table
    due, entries = commitment(power_kw), _Entries()
    kept = measured(due, entries=entries)
    await kept.turn()
    await kept.turn()  # the same quarter of an hour counts once
    (day,) = kept.days(due)
    assert day.starts_at == (instant(floor_s(now().at_s, 900)),)
    available_kw = min(day.available_kw[0], power_kw)
    quarter = Decimal(available_kw) / 1000 / 4
    assert day.amounts_cny["gross"] == pytest.approx(quarter * 100)
    assert (day.amounts_cny["penalty"] > 0) is short
    assert day.shares.energy_kwh.sum() == pytest.approx(available_kw / 4.0, rel=1e-5, abs=1e-5)
    assert set(day.shares.operator_ids) <= {operator.id for operator in now().index.operators}
    assert set(day.shares.site_ids) <= {site.id for site in now().index.sites}
    again, book = measured(due, entries=_Entries()), AvailabilityBook()
    for body in entries.bodies:
        book.follow(body)
    again.resume(book.state())
    assert again.days(due)[0].amounts_cny == day.amounts_cny, "a restart pays the same"


async def test_nothing_is_measured_before_the_first_plan() -> None:
    entries = _Entries()
    await measured(commitment(1.0), entries=entries, planned=False).turn()
    assert entries.bodies == []


async def available_kw(*due: StandingCommitment, used: PowerInUse | None = None) -> list[float]:
    """Return what each of some commitments keeps available."""
    entries = _Entries()
    await measured(*due, entries=entries, used=used).turn()
    return [body["available_kw"] for body in entries.bodies]


async def test_no_kw_is_available_for_two_commitments() -> None:
    area = now().index.areas[0].id
    (city_kw,), (area_kw,) = await available_kw(commitment(1.0)), await available_kw(commitment(1.0, area=area))
    assert area_kw < city_kw
    half = commitment(city_kw / 2.0)
    assert await available_kw(half, replace(half, id="t")) == pytest.approx([city_kw, city_kw / 2.0])
    assert await available_kw(half, commitment(1.0, area=area)) == pytest.approx(
        [city_kw, min(area_kw, city_kw / 2.0)]
    ), "the city's can come from elsewhere"
    assert await available_kw(commitment(area_kw, area=area), half) == pytest.approx([area_kw, city_kw - area_kw])
    whole = commitment(2.0 * city_kw)
    assert await available_kw(whole, commitment(1.0, area=area)) == [city_kw, 0.0]
    raise_ = replace(half, terms=replace(half.terms, direction=Direction.DOWN))
    assert (await available_kw(raise_, half))[1] == city_kw, "what is raised is not cut"


async def test_power_that_calls_of_the_direction_hold_inside_the_area_is_available() -> None:
    north, other = (area.id for area in now().index.areas[:2])
    rows = np.flatnonzero(now().index.in_area(north))[:3]
    held_kw = np.full(len(now()), np.nan)
    held_kw[rows] = 0.0
    (free_kw,) = await available_kw(commitment(1.0))
    held_kw[rows] = 1e3
    for area, more_kw in ((CITY, 3e3), (north, 3e3), (other, 0.0)):
        mine = commitment(1.0, area=area)
        kw = [(await available_kw(mine, used=in_use(up=held_kw * scale)))[0] for scale in (0.0, 1.0)]
        assert kw[1] - kw[0] == pytest.approx(more_kw)
    assert await available_kw(commitment(1.0), used=in_use(down=held_kw)) == [free_kw], "raises say nothing of cuts"


async def test_rows_of_which_a_call_uses_a_part_are_available_in_full() -> None:
    (free_kw,) = await available_kw(commitment(1.0))
    little_kw = np.full(len(now()), 1e-3)
    assert await available_kw(commitment(1.0), used=in_use(up=little_kw)) == [free_kw]
    nobody = replace(now(), connected=np.zeros(len(now()), dtype=np.bool_))
    used = replace(in_use(up=little_kw), free=nobody)
    assert await available_kw(commitment(1.0), used=used) == pytest.approx([1e-3 * len(now())], abs=1e-6)


async def test_who_gives_a_call_is_paid_for_the_availability_of_it() -> None:
    row = int(np.flatnonzero(now().index.in_area(now().index.areas[0].id))[0])
    held_kw = np.full(len(now()), np.nan)
    held_kw[row] = 1e9
    due = commitment(1e9)
    kept = measured(due, entries=_Entries(), used=in_use(up=held_kw))
    await kept.turn()
    (day,) = kept.days(due)
    assert day.amounts_cny["penalty"] == 0
    assert now().index.sites[now().index.site_code[row]].id == day.shares.site_ids[int(day.shares.energy_kwh.argmax())]


async def test_what_is_reserved_for_regulation_is_available_for_no_other() -> None:
    north, other = (area.id for area in now().index.areas[:2])
    (city_kw,), (north_kw,) = await available_kw(commitment(1.0)), await available_kw(commitment(1.0, area=north))
    part_kw = north_kw / 2.0
    assert await available_kw(commitment(1.0), used=in_use((north, part_kw))) == pytest.approx([city_kw - part_kw])
    mine = commitment(1.0, area=north)
    assert await available_kw(mine, used=in_use((north, part_kw))) == pytest.approx([part_kw])
    assert await available_kw(mine, used=in_use((other, part_kw))) == [north_kw]
    assert await available_kw(mine, used=in_use((CITY, 2.0 * city_kw))) == [0.0]


async def test_a_commitment_of_an_unknown_area_keeps_no_other_from_being_measured() -> None:
    entries = _Entries()
    await measured(commitment(1.0, area="atlantis", name="a"), commitment(1.0), entries=entries).turn()
    assert [body["id"] for body in entries.bodies] == ["s"]


async def test_a_price_that_is_changed_later_changes_nothing_that_was_measured() -> None:
    due = commitment(1.0)
    entries = _Entries()
    kept = measured(due, entries=entries)
    await kept.turn()
    dearer = replace(due, terms=replace(due.terms, power_kw=2.0, availability_cny_per_mw_h=Decimal(999)))
    assert kept.days(dearer)[0].amounts_cny == kept.days(due)[0].amounts_cny
    book = AvailabilityBook()
    for body in entries.bodies:
        book.follow({name: value for name, value in body.items() if name != "agreed"})
    kept.resume(book.state())
    assert kept.days(dearer)[0].amounts_cny["gross"] > kept.days(due)[0].amounts_cny["gross"], "entries of before"
