"""Availability of standing commitments: measured every quarter of an hour of their hours, settled by the day.

What counts is what a longest call that began then would have found, by the quote's own estimate with nine chances in
ten, had no request run. Calls of the direction use up energy meanwhile: where what they hold inside the area by their
meters, with what a call would find in all other rows, is more, that counts. Of commitments that share an area, one
counts only what those known before it leave, and none counts what is reserved for regulation.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

import numpy as np
import structlog

from vpp.application.loops.forecaster import Forecaster
from vpp.application.loops.quarter_hours import every_quarter_hour
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.quoting import Quoter
from vpp.application.standing.availability_book import (
    AVAILABILITY,
    AvailabilityBook,
    KeptDay,
    availability_body,
    owners_of,
)
from vpp.application.standing.power_in_use import PowerInUse
from vpp.domain.request import CITY, Direction
from vpp.domain.schedule import Schedule
from vpp.domain.standing import AvailabilityDay, StandingCommitment, StandingTerms
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import floor_s, instant
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.calendar import numbered_day
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.membership import membership_at
from vpp.planning.calibration.cells import cell_of
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.quote.quote_cache import QuoteCache
from vpp.planning.reserve.availability import Available, available_now
from vpp.ports import Journal
from vpp.record.state_codec import StateTree
from vpp.settlement.money.availability import added, availability_shares, settle_availability

_log = structlog.get_logger(__name__)
_AFTER_S = 120.0
"""Time after a quarter of an hour's begin at which it is measured: its plan is in force by then."""

_AvailableTo = Callable[[StandingTerms], Available]
"""What some terms find available."""


class Availability:
    """Measures and settles what standing commitments keep available.

    Args:
        picture: The fleet as it is known.
        quoter: Knows eligible rows, response rates and the errors of quotes.
        forecaster: Forecasts the load.
        due: Returns the commitments whose power has to be available at an instant.
        in_use: Returns what running requests use of the fleet on a snapshot.
        journal: Holds every measured quarter of an hour.
    """

    def __init__(
        self,
        *,
        picture: OperatingPicture,
        quoter: Quoter,
        forecaster: Forecaster,
        due: Callable[[float], Sequence[StandingCommitment]],
        in_use: Callable[[FleetState], PowerInUse],
        journal: Journal,
    ) -> None:
        self._picture = picture
        self._quoter = quoter
        self._forecaster = forecaster
        self._due = due
        self._in_use = in_use
        self._journal = journal
        self._book = AvailabilityBook()

    def resume(self, state: StateTree) -> None:
        """Go on from the book of earlier runs."""
        self._book.load(state)

    def forget(self, commitment_ids: Sequence[str]) -> None:
        """Drop the days of commitments that are forgotten."""
        self._book.forget(commitment_ids)

    async def run(self) -> None:
        """Measure every quarter of an hour until cancelled; a turn that fails is logged, and the next comes."""
        await every_quarter_hour(self._picture.clock, self.turn, after_s=_AFTER_S, failed="availability not measured")

    async def turn(self) -> None:
        """Measure the quarter of an hour that has begun; nothing before the first plan."""
        state, schedule = self._picture.state(), self._picture.schedule
        if not len(state) or schedule is None:
            return
        due = [one for one in self._due(state.at_s) if _is_known(one.terms.area, state)]
        if not due:
            return
        for body in await asyncio.to_thread(self._measured, due, state, schedule, self._in_use(state)):
            self._journal.append(AVAILABILITY, state.at_s, body)
            self._book.follow(body)

    def days(self, commitment: StandingCommitment) -> Sequence[AvailabilityDay]:
        """Return the settled days of a commitment, the newest first."""
        days = self._book.days(commitment.id)
        return [self._settled(commitment, number, days[number]) for number in sorted(days, reverse=True)]

    def _measured(
        self, due: Sequence[StandingCommitment], state: FleetState, schedule: Schedule, in_use: PowerInUse
    ) -> Sequence[dict[str, object]]:
        """Return the entry of each commitment; blocks."""
        directions = {one.terms.direction for one in due}
        available = {one: self._available_in(state, schedule, in_use, one) for one in directions}
        beside = {one: list(in_use.reserved_kw) for one in directions}
        bodies = []
        for commitment in due:
            terms = commitment.terms
            found = _left(terms, beside[terms.direction], available[terms.direction])
            kept_kw = min(found.power_kw, terms.power_kw)
            beside[terms.direction].append((terms.area, kept_kw))
            bodies.append(_entry(commitment, found, kept_kw, state))
        return bodies

    def _available_in(
        self, state: FleetState, schedule: Schedule, in_use: PowerInUse, direction: Direction
    ) -> _AvailableTo:
        """Return what counts as available to terms of a direction; blocks."""
        free, held_kw, countable = in_use.free, in_use.held_kw[direction], self._quoter.countable(state, schedule)
        quotes = self._quoter.quotes if free is state else self._quoter.quotes_apart
        whole = self._basis(quotes, free, schedule, countable)
        unused, holding = np.isnan(held_kw), None
        if not unused.all():
            holding = self._basis(self._quoter.quotes_apart, state, schedule, countable & unused)

        def available(terms: StandingTerms) -> Available:
            found = self._found(whole, terms, state)
            if holding is None:
                return found
            return max(found, _with_held(self._found(holding, terms, state), held_kw, terms, state), key=_power_kw)

        return available

    def _basis(
        self, quotes: QuoteCache, state: FleetState, schedule: Schedule, eligible: BoolArray
    ) -> FlexibilityBasis:
        return quotes.basis(
            state=state,
            forecast=self._forecaster.current(state),
            schedule=schedule,
            delivery_ratio=partial(self._quoter.delivery_ratio, state),
            eligible=eligible,
        )

    def _found(self, basis: FlexibilityBasis, terms: StandingTerms, state: FleetState) -> Available:
        """Return what a call would find by a basis."""
        law = self._quoter.windows.calibration.law_in(
            cell_of(terms.area, terms.direction, start_s=state.at_s, now_s=state.at_s)
        )
        return available_now(basis, terms, now_s=state.at_s, law=law)

    def _settled(self, commitment: StandingCommitment, number: int, day: KeptDay) -> AvailabilityDay:
        index = self._picture.state().index
        amounts = _amounts_cny(day, commitment.terms)
        places = day.places()
        shares = availability_shares(
            amounts,
            operator_ids=[index.operators[operator].id for _, operator in places],
            site_ids=[index.sites[site].id for site, _ in places],
            kept_kwh=day.kept_kwh,
        )
        return AvailabilityDay(
            commitment_id=commitment.id,
            day=numbered_day(number),
            starts_at=tuple(instant(at_s) for at_s in day.start_s),
            available_kw=day.available_kw,
            amounts_cny=amounts,
            shares=shares,
        )


def _with_held(found: Available, held_kw: FloatArray, terms: StandingTerms, state: FleetState) -> Available:
    """Return what was found in rows that serve none, and what the others hold inside the area."""
    held = np.flatnonzero(state.index.in_area(terms.area) & (np.nan_to_num(held_kw) > 0.0))
    return Available(
        power_kw=found.power_kw + float(held_kw[held].sum()),
        rows=np.concatenate([found.rows, held]),
        row_kw=np.concatenate([found.row_kw, held_kw[held]]),
    )


def _power_kw(found: Available) -> float:
    return found.power_kw


def _left(terms: StandingTerms, beside: Sequence[tuple[str, float]], available: _AvailableTo) -> Available:
    """Return what a call would find beside what is kept for others, each with its area and kW."""
    found = available(terms)
    left_kw = found.power_kw - sum(kw for area, kw in beside if terms.area in {CITY, area})
    if terms.area != CITY and any(area == CITY for area, _ in beside):
        left_kw = min(left_kw, available(replace(terms, area=CITY)).power_kw - sum(kw for _, kw in beside))
    return replace(found, power_kw=max(left_kw, 0.0))


def _amounts_cny(day: KeptDay, terms: StandingTerms) -> dict[str, Decimal]:
    """Return the amounts of a day: each quarter of an hour by what was agreed then, else by ``terms``."""
    quarters = list(zip(day.agreed, day.available_kw, strict=True))
    return added(
        settle_availability(
            [kw for one, kw in quarters if one == agreed],
            STEP_S / SECONDS_PER_HOUR,
            terms if agreed is None else agreed.terms(terms),
        )
        for agreed in dict.fromkeys(day.agreed)
    )


def _is_known(area: str, state: FleetState) -> bool:
    """Return whether a fleet has an area; one of the settings may be misspelt."""
    known = area == CITY or any(one.id == area for one in state.index.areas)
    if not known:
        areas = ", ".join((CITY, *(one.id for one in state.index.areas)))
        _log.error("availability not measured", area=area, accepted=f"one of {areas}")
    return known


def _entry(commitment: StandingCommitment, found: Available, kept_kw: float, state: FleetState) -> dict[str, object]:
    """Return a quarter of an hour for the journal, the kept power in parts by the power that devices would give."""
    owners = membership_at(state.index, state.at_s)
    owner_of = owners_of(owners.site[found.rows], owners.operator[found.rows])
    owner, place = np.unique(owner_of, return_inverse=True)
    parts_kw = np.asarray(np.bincount(place.ravel(), found.row_kw, len(owner)), dtype=np.float64)
    whole_kw = float(found.row_kw.sum())
    share = kept_kw / whole_kw if whole_kw > 0.0 else 0.0
    return availability_body(commitment, floor_s(state.at_s, STEP_S), found.power_kw, owner, parts_kw * share)
