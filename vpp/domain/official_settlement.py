"""Official result of a request, as the market operator states it, and its comparison with the own settlement."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialLine:
    """One line of an official result.

    Attributes:
        operator_id: Operator that is credited.
        site_id: Site; empty where the line is the sum over the operator's sites.
        start_at: Begin of the interval; ``None`` where the line is the sum over the hold.
        energy_kwh: Delivered energy; ``None`` where it is not stated.
        amount_cny: Net amount, positive for what is paid; ``None`` where it is not stated.
    """

    operator_id: str
    site_id: str = ""
    start_at: datetime | None = None
    energy_kwh: Decimal | None = None
    amount_cny: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialResult:
    """One version of an official result; a correction is a new version.

    Attributes:
        version: Number of the version, from 1.
        source: Who states it.
        at_s: Epoch seconds at which it was taken.
        sha256: Hash of source and lines; the same result twice is one version.
        lines: Its lines, as stated.
    """

    request_id: str
    version: int
    source: str
    at_s: float
    sha256: str
    lines: tuple[OfficialLine, ...]


class Agreement(StrEnum):
    """Whether two results of a line are the same."""

    EQUAL = "equal"
    """Energies within a watt-hour and amounts to the fen."""
    DIFFERS = "differs"
    ONLY_OFFICIAL = "only_official"
    """We know no such part, or none in this interval."""
    ONLY_OURS = "only_ours"
    """No official line covers this part of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledLine:
    """One line of both results side by side; what one of them does not state is ``None``.

    Attributes:
        our_energy_kwh: Energy of the own settlement.
        our_amount_cny: Amount of it; ``None`` for single intervals, which are not settled apart.
    """

    operator_id: str
    site_id: str
    start_at: datetime | None
    our_energy_kwh: Decimal | None
    official_energy_kwh: Decimal | None
    our_amount_cny: Decimal | None
    official_amount_cny: Decimal | None
    agreement: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """An official result against the own settlement.

    Attributes:
        result: The official result.
        lines: Its lines in order, then our parts that none of them covers.
    """

    result: OfficialResult
    lines: tuple[ReconciledLine, ...]

    def count(self, agreement: Agreement) -> int:
        """Return how many lines agree in this way."""
        return sum(line.agreement is agreement for line in self.lines)
