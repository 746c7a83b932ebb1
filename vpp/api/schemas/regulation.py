"""Regulation signals, and how well they are followed."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from vpp.api.schemas.base import Instant, Known, Kw, Schema, known_instant
from vpp.domain.errors import InputError
from vpp.domain.regulation import RegulationStanding


class SignalBody(Schema):
    """One value of the signal; it holds until the next one's time."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"at": "2026-07-15T14:00:04+08:00", "value": 0.35},
                {"at": "2026-07-15T14:00:04+08:00", "target_kw": -1200.0},
            ]
        },
    )

    at: Instant = Field(description="From when it holds; a later value replaces it.")
    value: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1.0, le=1.0)] | None = Field(
        default=None, description="Share of the accepted power, positive where net load is to fall."
    )
    target_kw: Kw | None = Field(default=None, description="The same in kW; one of both is given.")

    def asked(self) -> tuple[float, str]:
        """Return the value and its unit.

        Raises:
            InputError: Neither or both are given.
        """
        if (self.value is None) == (self.target_kw is None):
            raise InputError("value", self.value, "value or target_kw, one of both")
        return (self.value, "value") if self.value is not None else (float(self.target_kw or 0.0), "target_kw")


class SignalTaken(Schema):
    """Numbers of values received."""

    values: int = Field(description="Number of values sent.")
    new: int = Field(description="Number of them not known before.")


class RegulationView(Schema):
    """Standing of a request for regulation; changes are positive where net load falls."""

    request_id: str
    capacity_kw: Known
    signal_at: datetime | None = Field(description="Time of the last value received.")
    asked_kw: Known
    told_kw: Known
    up_kw: Known = Field(description="Further fall of net load available now.")
    down_kw: Known = Field(description="Further rise of net load available now.")
    estimated_kw: Known = Field(
        default=None, description="Change estimated now, from last readings and commands since; never settled."
    )
    estimated_spread_kw: Known = Field(
        default=None, description="Standard error of the estimate, which grows with the age of the readings."
    )
    estimated_scores: dict[str, dict[str, Known]] = Field(
        default={}, description="The scores by the estimates since the service was started."
    )
    samples: int = Field(description="Number of instants the scores are made from.")
    scores: dict[str, dict[str, Known]] = Field(description="Total and parts by rule, as in the report.")

    @classmethod
    def of(
        cls,
        standing: RegulationStanding,
        scores: dict[str, dict[str, float]],
        estimated: dict[str, dict[str, float]],
    ) -> Self:
        """Return the standing as it is shown."""
        known, last = len(standing.estimates.time_s) > 0, standing.estimates
        same = ("request_id", "capacity_kw", "asked_kw", "told_kw", "up_kw", "down_kw")
        return cls(
            **{name: getattr(standing, name) for name in same},
            signal_at=known_instant(standing.signal_at_s),
            samples=len(standing.time_s),
            scores={name: dict(parts) for name, parts in scores.items()},
            estimated_kw=float(last.change_kw[-1]) if known else None,
            estimated_spread_kw=float(last.spread_kw[-1]) if known else None,
            estimated_scores={name: dict(parts) for name, parts in estimated.items()},
        )
