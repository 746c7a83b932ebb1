"""Availability measured from the estimate that quotes are made of, and settled by operator and site."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.vpp.planning.city_parts import basis, now
from tests.unit.vpp.planning.reserve.test_standing_hours import TERMS
from vpp.application.standing.availability import Availability
from vpp.application.standing.availability_book import AVAILABILITY, AvailabilityBook
from vpp.domain.standing import StandingCommitment
from vpp.domain.timegrid import floor_s, instant
from vpp.planning.calibration.window_book import WindowBook


@dataclass
class _Entries:
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def append(self, kind: str, at_s: float, body: dict[str, Any]) -> int:
        assert (kind, at_s) == (AVAILABILITY, now().at_s)
        self.bodies.append(body)
        return len(self.bodies)


def commitment(power_kw: float) -> StandingCommitment:
    return StandingCommitment(id="s", terms=replace(TERMS, power_kw=power_kw), created_at=instant(0.0), actor="a")


def measured(due: StandingCommitment, entries: _Entries, *, planned: bool = True) -> Availability:
    """Return the measurement on the small city, whose quotes rest on the normal law."""
    quoter = SimpleNamespace(
        quotes=SimpleNamespace(basis=lambda **_: basis()),
        countable=lambda *_: None,
        delivery_ratio=lambda *_: None,
        windows=WindowBook(),
    )
    return Availability(
        picture=cast(Any, SimpleNamespace(state=now, schedule=object() if planned else None)),
        quoter=cast(Any, quoter),
        forecaster=cast(Any, SimpleNamespace(current=lambda _: None)),
        due=lambda _: [due],
        journal=cast(Any, entries),
    )


@pytest.mark.parametrize(("power_kw", "short"), [(1.0, False), (1e9, True)])
async def test_what_is_kept_is_paid_and_what_lacks_is_charged_part_by_part(power_kw: float, short: bool) -> None:  # noqa: FBT001 - a test table
    due, entries = commitment(power_kw), _Entries()
    kept = measured(due, entries)
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
    again, book = measured(due, _Entries()), AvailabilityBook()
    for body in entries.bodies:
        book.follow(body)
    again.resume(book.state())
    assert again.days(due)[0].amounts_cny == day.amounts_cny, "a restart pays the same"


async def test_nothing_is_measured_before_the_first_plan() -> None:
    entries = _Entries()
    await measured(commitment(1.0), entries, planned=False).turn()
    assert entries.bodies == []
