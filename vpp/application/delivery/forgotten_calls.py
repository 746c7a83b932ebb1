"""Facts kept of forgotten requests: when an area was called, and the greatest power measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vpp.dispatch.requests.journal_codec import plain
from vpp.domain.request import Direction
from vpp.record.state_codec import StateTree
from vpp.settlement.verified_power import Shown, worth_keeping

Span = tuple[float, float]
"""Begin and end, epoch seconds."""
Part = tuple[str, Direction]
"""Area and direction."""
_UNKNOWN = ("nan", "nan", False)
"""Time, share of commands followed and test of what bodies of before drills kept."""
Spans = dict[str, tuple[Span, ...]]
"""Spans by area."""


@dataclass(slots=True)
class ForgottenCalls:
    """Facts of forgotten requests that later ones need.

    Attributes:
        called: Calls by area, from the ramp to the end of the watch: neither reference days nor hours of a baseline.
        drilled: Drills likewise: no hours of a baseline.
        shown: What requests have shown of their area and direction, as far as it may still decide what is verified.
    """

    called: Spans = field(default_factory=dict)
    drilled: Spans = field(default_factory=dict)
    shown: dict[Part, tuple[Shown, ...]] = field(default_factory=dict)

    def add(self, other: "ForgottenCalls", *, from_s: float) -> None:
        """Add what stays known of further requests; calls that ended before ``from_s``, epoch seconds, are dropped."""
        self.called = _since(self.called, other.called, from_s)
        self.drilled = _since(self.drilled, other.drilled, from_s)
        both = ((part, (*self.shown.get(part, ()), *other.shown.get(part, ()))) for part in self.shown | other.shown)
        self.shown = dict(sorted((part, tuple(worth_keeping(events))) for part, events in both))

    def body(self) -> StateTree:
        """Return it as JSON-like content, for the journal and for checkpoints."""
        return {
            "called": _listed(self.called),
            "drilled": _listed(self.drilled),
            # What services of before drills read.
            "verified_kw": [[*_named(part), max(one.kw for one in events)] for part, events in self.shown.items()],
            "shown": [
                [*_named(part), one.kw, plain(one.at_s), plain(one.followed_ratio), one.is_test]
                for part, events in self.shown.items()
                for one in events
            ],
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "ForgottenCalls":
        """Return what ``body`` returned; bodies of before drills have none."""
        return cls(
            _spans(body["called"]),
            _spans(body.get("drilled", {})),
            _events(body["shown"] if "shown" in body else [[*one, *_UNKNOWN] for one in body["verified_kw"]]),
        )


def _since(ours: Spans, theirs: Spans, from_s: float) -> Spans:
    """Return the spans of both by area in order, without those that ended before ``from_s``."""
    found = {}
    for area in sorted(ours.keys() | theirs.keys()):
        both = sorted({*ours.get(area, ()), *theirs.get(area, ())})
        found[area] = tuple(one for one in both if one[1] >= from_s)
    return {area: spans for area, spans in found.items() if spans}


def _listed(spans: Spans) -> StateTree:
    return {area: [list(one) for one in of_area] for area, of_area in spans.items()}


def _spans(body: Mapping[str, Any]) -> Spans:
    return {area: tuple((float(a), float(b)) for a, b in of_area) for area, of_area in body.items()}


def _named(part: Part) -> tuple[str, str]:
    return part[0], part[1].value


def _events(rows: Iterable[Any]) -> dict[Part, tuple[Shown, ...]]:
    found: dict[Part, tuple[Shown, ...]] = {}
    for area, direction, kw, at_s, followed, is_test in rows:
        one = Shown(kw=float(kw), at_s=float(at_s), followed_ratio=float(followed), is_test=bool(is_test))
        part = area, Direction(direction)
        found[part] = (*found.get(part, ()), one)
    return found
