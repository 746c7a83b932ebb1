"""Devices that were not let in."""

from datetime import datetime
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Schema
from vpp.domain.knock import Knock
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
    def of(cls, knock: Knock) -> Self:
        """Return an id as it is shown."""
        return cls(
            adapter=knock.adapter,
            id=knock.identity,
            peer=knock.peer,
            reason=knock.reason,
            first_at=instant(knock.first_s),
            last_at=instant(knock.last_s),
            count=knock.count,
        )
