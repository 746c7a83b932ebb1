"""Settings of the record: checkpoints, signed heads and archive of the journal."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from vpp.config.values import web_address_of

Positive = Annotated[float, Field(gt=0.0)]


class RecordSettings(BaseSettings):
    """Settings of the journal's upkeep; a part of ``vpp.config.Settings``."""

    checkpoint_s: Positive = Field(
        300.0,
        description="seconds between two checkpoints of the journal: what a restart reads again is what came since",
    )
    checkpoints: int = Field(
        2, ge=1, description="number of the newest checkpoints that are kept; a restart needs one that is good"
    )
    record_key: Path | None = Field(
        None,
        description="private key that signs the journal's heads, a PEM file made at the first start, outside"
        " VPP_DATA_DIR and readable by its owner only; vpp/record.key in the user's configuration folder if unset",
    )
    record_heads: Path | None = Field(
        None,
        description="folder of the signed heads, one file a fleet, outside VPP_DATA_DIR; vpp/heads in the user's state"
        " folder if unset",
    )
    record_archive: Path | None = Field(
        None,
        description="folder of the journal's archive, compressed files of old entries; record/ beside the database's"
        " file, else in VPP_DATA_DIR, if unset",
    )
    record_keep_days: float = Field(
        0.0,
        ge=0.0,
        description="days that archived journal entries are kept; what is older is deleted, the newest file excepted;"
        " 0 for ever",
    )
    request_days: float = Field(
        0.0,
        ge=0.0,
        description="days that a request is kept once it is over and settled, with its idempotency keys, signals and"
        " delivery; an older one is forgotten, its record stays in the journal; 0 for ever",
    )
    record_heads_url: str | None = Field(
        None,
        description="where every signed head is sent as well, http[s]://HOST/PATH, one POST with a JSON object each;"
        " nowhere if unset",
    )

    @field_validator("record_heads_url")
    @classmethod
    def _heads_url(cls, value: str | None) -> str | None:
        return value if value is None else web_address_of(value)
