"""Standing commitments composed: those of the settings and those entered, and the reserve that plans hold for them."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vpp.api.schemas.standing.commitments import StandingBody
from vpp.application.requests.commitment_gate import CommitmentGate
from vpp.application.standing.availability import Availability
from vpp.application.standing.standing_service import StandingService
from vpp.application.standing.wanted_reserve import WantedReserve
from vpp.bootstrap.parts.core import Core
from vpp.config import Settings, expected_calls_of
from vpp.domain.errors import ConfigurationError, InputError
from vpp.domain.standing import StandingCommitment
from vpp.domain.timegrid import instant
from vpp.planning.reserve.call_expectation import stated
from vpp.settlement.money.programme import Programme

_SETTINGS = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingParts:
    """Parts that know standing commitments.

    Attributes:
        service: Acts on them.
        wanted: Reserve that plans hold for them and for expected calls.
    """

    service: StandingService
    wanted: WantedReserve

    def followed_by(self, availability: Availability) -> Availability:
        """Return the measurement of availability, which forgets what the commitments' acts forget."""
        self.service.forgotten = availability.forget
        return availability

    @classmethod
    def of(cls, core: Core, settings: Settings, programme: Programme) -> "StandingParts":
        """Compose them; reads the file of VPP_STANDING_COMMITMENTS."""
        service = StandingService(
            clock=core.clock,
            journal=core.store.journal,
            gate=CommitmentGate(core.durability, core.trust),
            areas=lambda: {area.id for area in core.engine.index.areas},
            stated=commitments_in(settings.standing_commitments),
            keep_days=settings.request_days,
        )
        hours = expected_calls_of(settings.expected_calls)
        wanted = WantedReserve(
            clock=core.clock,
            commitments=service.all,
            book=core.engine.book,
            calendar=core.calendar,
            expected=None if hours is None else stated(hours),
            call_cny_per_kwh=float(programme.terms.price_cny_per_kwh),
        )
        return cls(service=service, wanted=wanted)


def commitments_in(path: Path | None) -> Sequence[StandingCommitment]:
    """Return the standing commitments of a TOML file, none without one; reads the file.

    Raises:
        ConfigurationError: The file cannot be read, or a value in it is not accepted; field and value are named.
    """
    if path is None:
        return ()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _commitments(table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, InputError) as error:
        raise ConfigurationError(f"VPP_STANDING_COMMITMENTS {path}: {error}") from error


def _commitments(table: Mapping[str, Any]) -> Sequence[StandingCommitment]:
    if table.keys() - {"commitment"} or not isinstance(table.get("commitment", []), list):
        raise InputError("keys", ", ".join(table), "tables [[commitment]]")
    found = [_commitment(number, one) for number, one in enumerate(table.get("commitment", []), 1)]
    ids = [one.id for one in found]
    if len(set(ids)) < len(ids):
        raise InputError("commitment.id", ids, "an id of its own for every commitment")
    return found


def _commitment(number: int, table: Any) -> StandingCommitment:  # noqa: ANN401 - whatever the file holds
    if not isinstance(table, dict):
        raise InputError(f"commitment {number}", table, "a table")
    # Instants of TOML go the way of instants in JSON, which have to state their offset.
    fields = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in table.items()}
    identity = fields.pop("id", f"{_SETTINGS}-{number}")
    if not isinstance(identity, str) or not identity:
        raise InputError(f"commitment {number} id", identity, "a text that is not empty")
    try:
        terms = StandingBody.model_validate(fields).terms()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"commitment {number} {where}", first.get("input"), first["msg"]) from error
    return StandingCommitment(id=identity, terms=terms, created_at=instant(0.0), actor=_SETTINGS)
