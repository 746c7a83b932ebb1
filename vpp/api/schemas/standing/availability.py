"""Availability of standing commitments: settled days, and parts of operators and sites in one."""

from datetime import date
from decimal import Decimal
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Schema
from vpp.api.schemas.official import Amount
from vpp.domain.performance import FEN_PER_CNY, Shares
from vpp.domain.standing import AvailabilityDay


class AvailabilityShare(Schema):
    """Part of an operator, or of one of its sites; parts add up to the whole exactly."""

    operator_id: str = Field(description="Operator at that time.")
    site_id: str | None = Field(description="Null where this is the sum over the operator's sites.")
    kept_kwh: float = Field(description="Power kept available times its hours.")
    amounts_cny: dict[str, Amount] = Field(description="Gross, penalty and net, whole fen.")


class AvailabilityView(Schema):
    """One day of a standing commitment."""

    commitment_id: str
    day: date
    quarters: int = Field(description="Measured quarters of an hour; those that a request took are none of them.")
    mean_available_kw: float
    least_available_kw: float
    amounts_cny: dict[str, Amount] = Field(description="Gross, penalty and net, exact.")
    operators: list[AvailabilityShare]

    @classmethod
    def of(cls, day: AvailabilityDay) -> Self:
        """Return a day as it is shown."""
        count = len(day.available_kw)
        return cls(
            commitment_id=day.commitment_id,
            day=day.day,
            quarters=count,
            mean_available_kw=sum(day.available_kw) / count,
            least_available_kw=min(day.available_kw),
            amounts_cny=day.amounts_cny,
            operators=availability_shares(day.shares.by_operator()),
        )


def availability_shares(shares: Shares) -> list[AvailabilityShare]:
    """Return the parts as they are shown."""
    return [
        AvailabilityShare(
            operator_id=operator_id,
            site_id=site_id or None,
            kept_kwh=float(shares.energy_kwh[place]),
            amounts_cny={
                name: Decimal(int(fen[place])) / Decimal(FEN_PER_CNY) for name, fen in shares.settlement_fen.items()
            },
        )
        for place, (operator_id, site_id) in enumerate(zip(shares.operator_ids, shares.site_ids, strict=True))
    ]
