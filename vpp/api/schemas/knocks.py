"""Devices whose connection was refused."""

from datetime import datetime
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Schema
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.timegrid import instant


class KnockView(Schema):
    """One id, and how often it was not let in."""

    adapter: str
    id: str = Field(description="What it called itself; control characters are written as their codes.")
    peer: str = Field(description="Address it came from last; empty where that is not known.")
    reason: str = Field(description="Why it was not let in last: unknown_station, unauthorized, path, browser.")
    first_at: datetime
    last_at: datetime
    count: int

    @classmethod
    def of(cls, refused: RefusedConnection) -> Self:
        """Return an id as it is shown."""
        return cls(
            adapter=refused.adapter,
            id=refused.identity,
            peer=refused.peer,
            reason=refused.reason,
            first_at=instant(refused.first_s),
            last_at=instant(refused.last_s),
            count=refused.count,
        )
