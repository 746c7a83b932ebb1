"""Calls that ask for more than there is, so that the quoted p10 is what is committed to, and the truth of each."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from vpp.domain.request import Direction
from vpp.lab.simulate.calls import drawn_calls
from vpp.lab.simulate.presets import Preset

_ASKED_RATIO = 4.0
"""What is asked for, as a multiple of the preset's greatest request: more than any quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueCall:
    """An accepted call that was played to its end, judged by the twin against its prepared world.

    Attributes:
        seed: Seed of the city.
        submit_s: Epoch seconds of its quote.
        start_s: Begin of its hold.
        end_s: End of it.
        area: Its area.
        direction: Its direction.
        accepted_kw: What was committed to: the quoted p10.
        least_kw: What was truly delivered in the least quarter of an hour.
        accuracy_true_ratio: Mean accuracy against the truth.
        worst_true_ratio: Its worst quarter of an hour.
        accuracy_settled_ratio: Mean accuracy as settled, ``None`` where it is not settled.
    """

    seed: int
    submit_s: float
    start_s: float
    end_s: float
    area: str
    direction: Direction
    accepted_kw: float
    least_kw: float
    accuracy_true_ratio: float
    worst_true_ratio: float
    accuracy_settled_ratio: float | None

    def body(self) -> dict[str, Any]:
        """Return the call as JSON-like values."""
        return asdict(self) | {"direction": self.direction.value}

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Return what ``body`` wrote."""
        return cls(**(dict(body) | {"direction": Direction(body["direction"])}))


def call_bodies(first: date, *, days: range, per_day: float, preset: Preset, seed: int) -> list[dict[str, Any]]:
    """Return the calls of some days as fields of ``POST /api/v1/requests``.

    Args:
        first: The first day of all, from which calls are drawn.
        days: Numbers of the days whose calls are wanted.
        per_day: Calls a day, on average.
        preset: Of the city; its greatest request says how large calls are.
        seed: Of all draws.
    """
    usual_kw = max((float(body["target_kw"]) for body in preset.requests), default=0.0)
    drawn = drawn_calls(first, days=days.stop, per_day=per_day, usual_kw=_ASKED_RATIO * usual_kw, seed=seed)
    wanted = {first + timedelta(days=day) for day in days}
    asked_kw = _ASKED_RATIO * usual_kw
    return [
        body | {"target_kw": asked_kw} for body in drawn if datetime.fromisoformat(body["start_at"]).date() in wanted
    ]


def true_calls(requests: Iterable[Mapping[str, Any]], *, seed: int) -> list[TrueCall]:
    """Return the calls among the requests of a summary (`vpp.lab.simulate.outcome.summary_of`) whose truth is known."""
    return [_call(one, seed) for one in requests if one.get("least_delivered_true_kw") is not None]


def _call(one: Mapping[str, Any], seed: int) -> TrueCall:
    submit, start, end = (datetime.fromisoformat(one[name]).timestamp() for name in ("submit_at", "start_at", "end_at"))
    return TrueCall(
        seed=seed,
        submit_s=submit,
        start_s=start,
        end_s=end,
        area=one["area"],
        direction=Direction(one["direction"]),
        accepted_kw=float(one["target_kw"]),
        least_kw=float(one["least_delivered_true_kw"]),
        accuracy_true_ratio=float(one["accuracy_true_ratio"]),
        worst_true_ratio=float(one["worst_interval_accuracy_true_ratio"]),
        accuracy_settled_ratio=one["accuracy_ratio"],
    )
