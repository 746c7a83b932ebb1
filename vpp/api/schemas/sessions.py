"""Charging sessions with their drivers' wishes."""

from datetime import datetime
from typing import Self

from pydantic import ConfigDict, Field, JsonValue

from vpp.api.schemas.base import Instant, Known, Schema, Size, known_instant
from vpp.domain.session import ChargingSession, Promise
from vpp.fleet.index import FleetIndex

PROMISE_EXAMPLE: dict[str, JsonValue] = {
    "energy_kwh": 18.5,
    "departure_at": "2026-07-15T17:30:00+08:00",
    "floor_kwh": 3.0,
}


class PromiseBody(Schema):
    """A driver's or an operator's wish."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [PROMISE_EXAMPLE]})

    energy_kwh: Size = Field(description="Energy into the car since plug-in, by departure.")
    departure_at: Instant
    floor_kwh: Size = Field(default=0.0, description="Given first, at full power, before anything may be shed.")
    opted_out: bool = Field(default=False, strict=True, description="Takes no part: shed for no request.")
    boost: bool = Field(default=False, strict=True, description="Full power for this session: shed for no request.")

    def promise(self) -> Promise:
        """Return the wish in domain terms."""
        return Promise(
            energy_kwh=self.energy_kwh,
            departure_s=self.departure_at.timestamp(),
            floor_kwh=self.floor_kwh,
            opted_out=self.opted_out,
            boost=self.boost,
        )


class PromiseView(Schema):
    """A driver's wish as recorded."""

    energy_kwh: Known
    departure_at: datetime | None
    floor_kwh: Known
    opted_out: bool
    boost: bool


class SessionView(Schema):
    """One car while it is plugged in."""

    id: str
    resource_id: str
    started_at: datetime | None
    ended_at: datetime | None
    delivered_kwh: Known
    promise: PromiseView | None

    @classmethod
    def of(cls, session: ChargingSession, index: FleetIndex) -> Self:
        """Return the session as it is shown."""
        return cls(
            id=session.id,
            resource_id=index.resources[session.row].id,
            started_at=known_instant(session.started_s),
            ended_at=None if session.ended_s is None else known_instant(session.ended_s),
            delivered_kwh=session.delivered_kwh,
            promise=None if session.promise is None else _promise(session.promise),
        )


def _promise(promise: Promise) -> PromiseView:
    return PromiseView(
        energy_kwh=promise.energy_kwh,
        departure_at=known_instant(promise.departure_s),
        floor_kwh=promise.floor_kwh,
        opted_out=promise.opted_out,
        boost=promise.boost,
    )
