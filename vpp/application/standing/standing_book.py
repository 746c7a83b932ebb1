"""Book of standing commitments, folded from the journal's entries.

Bodies of ``standing.changed``: ``act`` is ``entered`` (with the commitment), ``ended`` (``id``, ``at_s``, ``actor``) or
``forgotten`` (``ids``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from vpp.domain.request import Direction
from vpp.domain.standing import StandingCommitment, StandingHours, StandingTerms
from vpp.domain.timegrid import instant
from vpp.record.state_codec import StateTree

STANDING = "standing.changed"


class StandingBook:
    """Standing commitments by id, in the order in which they were entered.

    Attributes:
        made: Number of commitments entered so far, forgotten ones included.
    """

    def __init__(self) -> None:
        self.made = 0
        self._known: dict[str, StandingCommitment] = {}

    def all(self) -> Sequence[StandingCommitment]:
        """Return every commitment, oldest first."""
        return tuple(self._known.values())

    def get(self, commitment_id: str) -> StandingCommitment | None:
        """Return one commitment, ``None`` where there is none."""
        return self._known.get(commitment_id)

    def under(self, key: str | None) -> StandingCommitment | None:
        """Return the commitment that was entered under a key, ``None`` where there is none."""
        return next((one for one in self._known.values() if key is not None and one.key == key), None)

    def follow(self, body: Mapping[str, Any]) -> None:
        """Take the body of one entry."""
        match body["act"]:
            case "entered":
                entered = commitment_of(body["commitment"])
                self._known[entered.id] = entered
                self.made += 1
            case "ended":
                known = self._known.get(str(body["id"]))
                if known is not None:
                    self._known[known.id] = replace(known, ended_at=instant(float(body["at_s"])))
            case "forgotten":
                for commitment_id in forgotten_in(body):
                    self._known.pop(commitment_id, None)

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {"made": self.made, "commitments": [commitment_body(one) for one in self._known.values()]}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        self.made = int(state["made"])
        self._known = {one.id: one for one in map(commitment_of, state["commitments"])}


def forgotten_in(body: Mapping[str, Any]) -> Sequence[str]:
    """Return the ids of the commitments that an entry forgets."""
    return [str(commitment_id) for commitment_id in body.get("ids", ())]


def commitment_body(commitment: StandingCommitment) -> dict[str, Any]:
    """Return a commitment for the journal; prices are text, so that they stay exact."""
    terms = commitment.terms
    return {
        "id": commitment.id,
        "created_s": commitment.created_at.timestamp(),
        "actor": commitment.actor,
        "ended_s": None if commitment.ended_at is None else commitment.ended_at.timestamp(),
        "key": commitment.key,
        "area": terms.area,
        "direction": terms.direction.value,
        "power_kw": terms.power_kw,
        "hours": [
            {
                "from_hour": hours.from_hour,
                "until_hour": hours.until_hour,
                "months": sorted(hours.months),
                "day_types": sorted(hours.day_types),
            }
            for hours in terms.hours
        ],
        "longest_call_minutes": terms.longest_call_minutes,
        "calls_a_day": terms.calls_a_day,
        "availability_cny_per_mw_h": str(terms.availability_cny_per_mw_h),
        "shortfall_cny_per_mw_h": str(terms.shortfall_cny_per_mw_h),
        "call_cny_per_kwh": str(terms.call_cny_per_kwh),
        "from_s": terms.from_at.timestamp(),
        "until_s": None if terms.until_at is None else terms.until_at.timestamp(),
    }


def commitment_of(body: Mapping[str, Any]) -> StandingCommitment:
    """Return the commitment that ``commitment_body`` wrote."""
    ended_s, until_s = body["ended_s"], body["until_s"]
    return StandingCommitment(
        id=str(body["id"]),
        created_at=instant(float(body["created_s"])),
        actor=str(body["actor"]),
        ended_at=None if ended_s is None else instant(float(ended_s)),
        key=body["key"],
        terms=StandingTerms(
            area=str(body["area"]),
            direction=Direction(body["direction"]),
            power_kw=float(body["power_kw"]),
            hours=tuple(
                StandingHours(
                    from_hour=float(hours["from_hour"]),
                    until_hour=float(hours["until_hour"]),
                    months=frozenset(int(month) for month in hours["months"]),
                    day_types=frozenset(str(kind) for kind in hours["day_types"]),
                )
                for hours in body["hours"]
            ),
            longest_call_minutes=float(body["longest_call_minutes"]),
            calls_a_day=int(body["calls_a_day"]),
            availability_cny_per_mw_h=Decimal(body["availability_cny_per_mw_h"]),
            shortfall_cny_per_mw_h=Decimal(body["shortfall_cny_per_mw_h"]),
            call_cny_per_kwh=Decimal(body["call_cny_per_kwh"]),
            from_at=instant(float(body["from_s"])),
            until_at=None if until_s is None else instant(float(until_s)),
        ),
    )
