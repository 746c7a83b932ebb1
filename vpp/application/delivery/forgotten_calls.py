"""Facts kept of forgotten requests: when an area was called, and the greatest power measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpp.domain.request import Direction
from vpp.record.state_codec import StateTree

Span = tuple[float, float]
"""Begin and end, epoch seconds."""


@dataclass(slots=True)
class ForgottenCalls:
    """Facts of forgotten requests that later ones need.

    Attributes:
        called: Calls by area, from the ramp to the end of the watch: neither reference days nor hours of a baseline.
        verified_kw: Greatest mean power measured in a request, by area and direction.
    """

    called: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    verified_kw: dict[tuple[str, Direction], float] = field(default_factory=dict)

    def add(self, other: "ForgottenCalls", *, from_s: float) -> None:
        """Add what stays known of further requests; calls that ended before ``from_s``, epoch seconds, are dropped."""
        called = {}
        for area in sorted(self.called.keys() | other.called.keys()):
            spans = sorted({*self.called.get(area, ()), *other.called.get(area, ())})
            called[area] = tuple(one for one in spans if one[1] >= from_s)
        for part, kw in other.verified_kw.items():
            self.verified_kw[part] = max(self.verified_kw.get(part, kw), kw)
        self.verified_kw = dict(sorted(self.verified_kw.items()))
        self.called = {area: spans for area, spans in called.items() if spans}

    def body(self) -> StateTree:
        """Return it as JSON-like content, for the journal and for checkpoints."""
        return {
            "called": {area: [list(one) for one in spans] for area, spans in self.called.items()},
            "verified_kw": [[area, direction.value, kw] for (area, direction), kw in self.verified_kw.items()],
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "ForgottenCalls":
        """Return what ``body`` returned."""
        return cls(
            {area: tuple((float(a), float(b)) for a, b in spans) for area, spans in body["called"].items()},
            {(area, Direction(direction)): float(kw) for area, direction, kw in body["verified_kw"]},
        )
