"""Book of what standing commitments kept available, folded from the journal: by commitment and day of Asia/Shanghai."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from numerics.arrays import IntArray
from vpp.domain.standing import StandingCommitment, StandingTerms
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.calendar import day_number
from vpp.record.columns import column_body, column_of
from vpp.record.state_codec import StateTree

AVAILABILITY = "standing.availability"
KEPT_DAYS = 92
"""Days of a commitment that are known; earlier ones stay in the journal."""
_OWNERS = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Terms by which a quarter of an hour is settled; prices are exact, and text in the journal.

    Attributes:
        power_kw: Power that has to be available.
        availability_cny_per_mw_h: Paid for a MW that is available for an hour.
        shortfall_cny_per_mw_h: Charged for a MW that is missing for an hour.
    """

    power_kw: float
    availability_cny_per_mw_h: Decimal
    shortfall_cny_per_mw_h: Decimal

    @classmethod
    def of(cls, terms: StandingTerms) -> "Agreed":
        """Return those of a commitment."""
        return cls(
            power_kw=terms.power_kw,
            availability_cny_per_mw_h=terms.availability_cny_per_mw_h,
            shortfall_cny_per_mw_h=terms.shortfall_cny_per_mw_h,
        )

    @classmethod
    def read(cls, values: Sequence[Any] | None) -> "Agreed | None":
        """Return what ``values`` returned."""
        if values is None:
            return None
        power_kw, availability, shortfall = values
        return cls(
            power_kw=float(power_kw),
            availability_cny_per_mw_h=Decimal(availability),
            shortfall_cny_per_mw_h=Decimal(shortfall),
        )

    def values(self) -> list[Any]:
        """Return them as JSON-like content."""
        return [self.power_kw, str(self.availability_cny_per_mw_h), str(self.shortfall_cny_per_mw_h)]

    def terms(self, others: StandingTerms) -> StandingTerms:
        """Return ``others`` with these in their place."""
        return replace(
            others,
            power_kw=self.power_kw,
            availability_cny_per_mw_h=self.availability_cny_per_mw_h,
            shortfall_cny_per_mw_h=self.shortfall_cny_per_mw_h,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDay:
    """One day of a commitment; another one takes its place with every quarter of an hour, for threads read it.

    Attributes:
        start_s: Begin of every measured quarter of an hour, epoch seconds.
        available_kw: Power that could be called in each.
        agreed: Power and prices that were agreed at that time; ``None`` for those that entries of before do not state.
        owner: Site and operator of each part, by their places in the fleet: ``site * 2**31 + operator``, rising.
        kept_kwh: Power that each kept available times its hours.
    """

    start_s: tuple[float, ...] = ()
    available_kw: tuple[float, ...] = ()
    agreed: tuple[Agreed | None, ...] = ()
    owner: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kept_kwh: FloatArray = field(default_factory=lambda: np.zeros(0))

    def places(self) -> Sequence[tuple[int, int]]:
        """Return site and operator of each part, by their places in the fleet."""
        return [divmod(owner, _OWNERS) for owner in self.owner.tolist()]

    def with_quarter(
        self, start_s: float, available_kw: float, agreed: Agreed | None, owner: IntArray, kept_kw: FloatArray
    ) -> "KeptDay":
        """Return the day with one quarter of an hour more; one that is known already is left as it is."""
        if start_s in self.start_s:
            return self
        owners, place = np.unique(np.concatenate([self.owner, owner]), return_inverse=True)
        kwh = np.concatenate([self.kept_kwh, kept_kw * (STEP_S / SECONDS_PER_HOUR)])
        return KeptDay(
            start_s=(*self.start_s, start_s),
            available_kw=(*self.available_kw, available_kw),
            agreed=(*self.agreed, agreed),
            owner=owners,
            kept_kwh=np.asarray(np.bincount(place.ravel(), kwh, len(owners)), dtype=np.float64),
        )


class AvailabilityBook:
    """Days by commitment id and day number (`vpp.fleet.calendar.day_number`)."""

    def __init__(self) -> None:
        self._days: dict[str, dict[int, KeptDay]] = {}

    def days(self, commitment_id: str) -> Mapping[int, KeptDay]:
        """Return the days of a commitment that are known, in order; from any thread, a copy."""
        return dict(self._days.get(commitment_id, {}))

    def follow(self, body: Mapping[str, Any]) -> None:
        """Take the body of one entry."""
        start_s = float(body["start_s"])
        days = self._days.setdefault(str(body["id"]), {})
        number = int(day_number(start_s))
        days[number] = days.get(number, KeptDay()).with_quarter(
            start_s,
            float(body["available_kw"]),
            Agreed.read(body.get("agreed")),
            column_of(body["owner"], np.int64),
            column_of(body["kept_kw"], np.float64),
        )
        for old in sorted(days)[:-KEPT_DAYS]:
            del days[old]

    def forget(self, commitment_ids: Sequence[str]) -> None:
        """Drop the days of commitments that are forgotten."""
        for commitment_id in commitment_ids:
            self._days.pop(commitment_id, None)

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {
            commitment_id: [
                [
                    number,
                    np.array(day.start_s),
                    np.array(day.available_kw),
                    day.owner,
                    day.kept_kwh,
                    [None if one is None else one.values() for one in day.agreed],
                ]
                for number, day in days.items()
            ]
            for commitment_id, days in self._days.items()
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self._days = {
            commitment_id: {int(number): _day_of(*columns) for number, *columns in days}
            for commitment_id, days in state.items()
        }


def _day_of(
    start_s: FloatArray,
    available_kw: FloatArray,
    owner: IntArray,
    kept_kwh: FloatArray,
    agreed: Sequence[Sequence[Any] | None] | None = None,
) -> KeptDay:
    return KeptDay(
        start_s=tuple(start_s.tolist()),
        available_kw=tuple(available_kw.tolist()),
        agreed=tuple(Agreed.read(one) for one in agreed or [None] * len(start_s)),
        owner=owner.copy(),
        kept_kwh=kept_kwh.copy(),
    )


def availability_body(
    commitment: StandingCommitment, start_s: float, available_kw: float, owner: IntArray, kept_kw: FloatArray
) -> dict[str, object]:
    """Return a quarter of an hour for the journal."""
    return {
        "id": commitment.id,
        "start_s": start_s,
        "available_kw": available_kw,
        "agreed": Agreed.of(commitment.terms).values(),
        "owner": column_body(owner),
        "kept_kw": column_body(kept_kw),
    }


def owners_of(site: npt.NDArray[np.integer[Any]], operator: npt.NDArray[np.integer[Any]]) -> IntArray:
    """Return the owner of each row as the book has it."""
    return np.asarray(site.astype(np.int64) * _OWNERS + operator.astype(np.int64))
