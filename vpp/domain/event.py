"""Events of the server-sent stream."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One server-sent event.

    Attributes:
        number: Rising by one; a client resumes after the last it saw.
        kind: ``"fleet"``, ``"request"`` or ``"alarm"``.
        at_s: Epoch seconds on the service's clock.
        body: JSON-like content.
    """

    number: int
    kind: str
    at_s: float
    body: Mapping[str, object]
