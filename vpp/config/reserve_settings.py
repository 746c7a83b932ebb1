"""Settings of reserve: windows, standing commitments, and calls that are expected."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from vpp.config.values import expected_calls_of, windows_of

Positive = Annotated[float, Field(gt=0.0)]


class ReserveSettings(BaseSettings):
    """Settings of reserve; a part of ``vpp.config.Settings``."""

    reserve_windows: str = Field(
        "",
        description="upward reserve held every day, FROM-UNTIL=KW separated by commas, hours of Asia/Shanghai from 0"
        " to 24, e.g. 13-15=1000000,20-22=1000000; storage stays charged for the part other devices"
        " cannot give",
    )
    reserve_recovery_kw: Positive | None = Field(
        None,
        description="extra charging power (kW) allowed between reserve windows, or calls of one day under a standing"
        " commitment, to refill storage; if unset, each is backed as if no other were called",
    )
    standing_commitments: Path | None = Field(
        None,
        description="TOML file of standing commitments: power available in stated hours for a price, which plans weigh"
        " against that of energy; more are entered over the API",
    )
    expected_calls: str = Field(
        "learnt",
        description="calls for which plans keep charge in hours without a commitment: learnt from past calls after two"
        " weeks, never, or FROM-UNTIL=KW@CHANCE separated by commas, e.g. 13-15=1000000@0.2",
    )

    @field_validator("reserve_windows")
    @classmethod
    def _windows(cls, value: str) -> str:
        windows_of(value)
        return value

    @field_validator("expected_calls")
    @classmethod
    def _expected(cls, value: str) -> str:
        expected_calls_of(value)
        return value
