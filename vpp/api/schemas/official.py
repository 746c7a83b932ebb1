"""Official results of settlements, and their comparison with ours."""

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, PlainSerializer, ValidationError, model_validator

from vpp.api.schemas.base import Instant, Schema
from vpp.domain.official_settlement import Agreement, OfficialLine, ReconciledLine, Reconciliation
from vpp.domain.timegrid import instant

MAX_LINES = 100_000
_COLUMNS = ("operator_id", "site_id", "start_at", "energy_kwh", "amount_cny")

Amount = Annotated[
    Decimal,
    Field(max_digits=20, decimal_places=8, description='Exact amount, best as text: "12.30".'),
    PlainSerializer(str, return_type=str, when_used="json"),
]


class OfficialLineBody(Schema):
    """One line: of an operator, of one of its sites if it is named, of one interval if it is."""

    operator_id: str = Field(min_length=1, max_length=200)
    site_id: str | None = Field(None, max_length=200, description="Null for the sum over the operator's sites.")
    start_at: Instant | None = Field(None, description="Begin of a quarter of an hour; null for the sum over the hold.")
    energy_kwh: Amount | None = Field(None, description="Delivered energy.")
    amount_cny: Amount | None = Field(None, description="Net amount, positive for what is paid.")

    def line(self) -> OfficialLine:
        """Return it as the domain has it."""
        return OfficialLine(
            operator_id=self.operator_id,
            site_id=self.site_id or "",
            start_at=self.start_at,
            energy_kwh=self.energy_kwh,
            amount_cny=self.amount_cny,
        )


class OfficialBody(Schema):
    """An official result: its lines as a list, or as CSV with the names of the fields as header."""

    source: str = Field(min_length=1, max_length=200, description="Who states it, e.g. the grid company's statement.")
    lines: list[OfficialLineBody] = Field(default_factory=list, max_length=MAX_LINES)
    csv: str | None = Field(
        None, max_length=16_000_000, description=f"Instead of lines: CSV with the columns {', '.join(_COLUMNS)}."
    )

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.lines) == (self.csv is not None):
            raise ValueError("give lines or csv, one of them and not empty")
        return self

    def stated(self) -> list[OfficialLine]:
        """Return the lines of either form.

        Raises:
            ValueError: The CSV has an unknown column, no lines or too many, or a value that is not accepted; the line
                is named.
        """
        if self.csv is None:
            return [line.line() for line in self.lines]
        rows = csv.DictReader(io.StringIO(self.csv.lstrip("\ufeff")), strict=True)
        try:
            found = _lines_of(rows)
        except csv.Error as error:
            raise ValueError(f"csv after line {rows.line_num}: {error}") from error
        if not 0 < len(found) <= MAX_LINES:
            raise ValueError(f"csv: {len(found)} lines are not accepted; give 1 to {MAX_LINES}")
        return found


def _lines_of(rows: "csv.DictReader[str]") -> list[OfficialLine]:
    names = rows.fieldnames or ()
    if set(names) - set(_COLUMNS) or "operator_id" not in names:
        raise ValueError(f"csv line 1: {rows.fieldnames} is not accepted; give columns of {', '.join(_COLUMNS)}")
    return [_of_csv(number, row) for number, row in enumerate(rows, start=2)]


def _of_csv(number: int, row: Mapping[str | None, str | None]) -> OfficialLine:
    given = {name: text.strip() for name, text in row.items() if name and text and text.strip()}
    if None in row:
        raise ValueError(f"csv line {number}: {row[None]!r} is not accepted; give as many values as columns")
    try:
        return OfficialLineBody.model_validate(given).line()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"csv line {number}, {where}: {first['input']!r} is not accepted: {first['msg']}") from error


class ReconciledLineView(Schema):
    """One line of both results side by side."""

    operator_id: str
    site_id: str | None
    start_at: datetime | None
    our_energy_kwh: Amount | None
    official_energy_kwh: Amount | None
    our_amount_cny: Amount | None = Field(description="Null for single intervals, which are not settled apart.")
    official_amount_cny: Amount | None
    agreement: Agreement

    @classmethod
    def of(cls, line: ReconciledLine) -> Self:
        """Return a line as it is shown."""
        same = {name: getattr(line, name) for name in cls.model_fields if name != "site_id"}
        return cls(site_id=line.site_id or None, **same)


class ReconciliationView(Schema):
    """An official result against ours; amounts are exact, as text."""

    request_id: str
    version: int = Field(description="Number of the version; a correction is a new one.")
    source: str
    received_at: datetime
    sha256: str = Field(description="Hash of source and lines.")
    counts: dict[Agreement, int] = Field(description="Lines by agreement.")
    lines: list[ReconciledLineView]
    total: int = Field(description="Lines in all.")

    @classmethod
    def of(cls, found: Reconciliation, lines: list[ReconciledLine]) -> Self:
        """Return a comparison with some of its lines."""
        result = found.result
        return cls(
            request_id=result.request_id,
            version=result.version,
            source=result.source,
            received_at=instant(result.at_s),
            sha256=result.sha256,
            counts={agreement: found.count(agreement) for agreement in Agreement},
            lines=[ReconciledLineView.of(line) for line in lines],
            total=len(found.lines),
        )
