"""Devices whose connection was refused."""

from datetime import datetime
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Schema
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.timegrid import instant


class KnockView(Schema):
    """One id, and how often its connection was refused."""

    adapter: str
    id: str = Field(description="Id it gave; control characters are written as their codes.")
    peer: str = Field(description="Address of its last attempt; empty where unknown.")
    reason: str = Field(description="Reason of the last refusal: unknown_station, unauthorized, path, browser.")
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
