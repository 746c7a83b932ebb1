"""Common ground of all schemas: strictness, instants, numbers that may be unknown, pages, problem details."""

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vpp.domain.errors import brief
from vpp.domain.timegrid import instant

_ISO_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_INSTANT_ACCEPTED = "an ISO-8601 time with an offset between 2000 and 2100, e.g. 2026-07-15T14:00:00+08:00"
FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Range of accepted years; instants outside are refused in every body and query."""
_FIRST_S, _LAST_S = datetime(1970, 1, 1, tzinfo=UTC).timestamp(), datetime(LAST_YEAR, 1, 1, tzinfo=UTC).timestamp()
_SHOWN_CHARACTERS = 120
_JSON_INTEGER = 2**63
"""Largest integer of JSON writers and readers with 64 bits."""


class Schema(BaseModel):
    """Refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _instant(value: object) -> datetime:
    """Return an aware UTC instant; naive times, dates and bare numbers are refused, whatever pydantic would take."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _ISO_INSTANT.match(value):
        raise ValueError(_INSTANT_ACCEPTED)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(_INSTANT_ACCEPTED) from None
    if at.tzinfo is None or not FIRST_YEAR <= at.year < LAST_YEAR:
        raise ValueError(_INSTANT_ACCEPTED)
    return at.astimezone(UTC)


def null_if_unknown(value: object) -> object:
    """Return ``None`` for a number that is not known, or has no bound."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Instant = Annotated[datetime, BeforeValidator(_instant)]
"""An instant in a request body."""

Known = Annotated[float | None, BeforeValidator(null_if_unknown)]
"""A number that is ``null`` where it is not known, or has no bound."""

Kw = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e8, le=1e8)]
"""A power in a request body, kW."""

Size = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=1e8)]
"""A non-negative quantity in a request body."""

Ratio = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=1.0)]
"""A share in a request body, 0 to 1."""

Item = TypeVar("Item", bound=Schema)


class Page(Schema, Generic[Item]):
    """Some of many; ask again with the next ``offset`` until ``offset + len(items)`` reaches ``total``."""

    items: list[Item]
    total: int = Field(description="Number of items in all, after filtering.")
    limit: int
    offset: int


def shown(value: object) -> object:
    """Return a value short and plain enough to be sent back."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < _JSON_INTEGER else f"an integer of {value.bit_length()} bits"
        case float():
            return value if math.isfinite(value) else str(value)
    return _short(value if isinstance(value, str) else brief(value))


def _short(text: str) -> str:
    """Return a text without lone surrogates, cut where it is long."""
    text = text[: _SHOWN_CHARACTERS + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


Text = Annotated[str, BeforeValidator(_short)]
Shown = Annotated[Any, BeforeValidator(shown)]


class FieldError(Schema):
    """One field that was not accepted."""

    row: int | None = Field(default=None, description="For bulk input: number of the record, from 1.")
    field: Text = Field(description="Name as it was sent, dotted where nested.")
    value: Shown = Field(default=None, description="Value given, shortened.")
    accepted: str = Field(description="Values that are accepted.")


class Problem(Schema):
    """Problem details of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list)

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:vpp:problem:invalid-input",
                    "title": "A field is not accepted",
                    "status": 422,
                    "detail": "target_kw: -5.0 is not accepted; give a number greater than 0",
                    "errors": [{"field": "target_kw", "value": -5.0, "accepted": "a number greater than 0"}],
                }
            ]
        },
    )


def known_instant(at_s: float) -> datetime | None:
    """Return an instant as it is shown, ``None`` for one that is unknown or cannot be represented."""
    return instant(at_s) if _FIRST_S <= at_s < _LAST_S else None


def known_values(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Return an array as JSON numbers, ``null`` where one is not finite; shape ``(n,)``."""
    plain: list[float | None] = values.tolist()
    for position in np.flatnonzero(~np.isfinite(values)).tolist():
        plain[position] = None
    return plain


def json_bytes(content: object) -> bytes:
    """Return JSON of anything JSON-like; numpy values become plain, NaN becomes ``null``."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_plain)


def json_like(content: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return ``content`` as plain lists, dicts and numbers."""
    return orjson.loads(json_bytes(content))


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
