"""Calls that are drawn over played days, and the ways in which a participant may game their baselines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.units import STEPS_PER_DAY
from vpp.lab.bench.baseline.played_days import PlayedDays
from vpp.settlement.baselines.methods.evidence import Evidence
from vpp.settlement.baselines.methods.held_out_group import drawn

WARM_UP_DAYS = 28
"""Days before the first call: four weeks give every rule its like days but for holidays."""
RAISE_RATIO = 0.1
"""By how much a gaming participant raises its load."""
_BEGIN_H = (9, 10, 11, 13, 14, 16, 18, 19, 20)
_LENGTHS_H = (1, 2, 3)
_NOTICE_H = 2.0
_STEPS_PER_HOUR = STEPS_PER_DAY // 24
_EVENT_DAY_SHARE = 0.2
_EXPECTED_SHARE = 1.0 / 3.0
_HELD_OUT_SHARE = 0.2
_WINDOW_H = 4


class Game(StrEnum):
    """What a participant does to be credited more."""

    NONE = "none"
    WINDOW = "window"
    """Raises its load in the four hours before the event: a call is expected or known."""
    NOTICE = "notice"
    """Raises its load from notice to the event: the call is known."""
    REFERENCE = "reference"
    """Raises its load in the event's hours on a third of the days before: a call was expected that did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        place: Number of its day.
        begin: First step.
        steps: Number of steps.
        event_days: Earlier days that were called, no reference days.
        expected: Earlier days on which a call was expected, by number.
    """

    place: int
    begin: int
    steps: int
    event_days: frozenset[date]
    expected: tuple[int, ...]


def drawn_calls(days: Sequence[date], seed: int) -> Iterator[Call]:
    """Yield two seeded calls a day from the end of the warm-up on; a fifth of the days before were event days."""
    random = np.random.default_rng([seed, len(days)])
    called = random.random(len(days)) < _EVENT_DAY_SHARE
    expected = random.random(len(days)) < _EXPECTED_SHARE
    for place in range(WARM_UP_DAYS, len(days)):
        for _ in range(2):
            begin_h, length_h = int(random.choice(_BEGIN_H)), int(random.choice(_LENGTHS_H))
            yield Call(
                place=place,
                begin=begin_h * _STEPS_PER_HOUR,
                steps=min(length_h, 24 - begin_h) * _STEPS_PER_HOUR,
                event_days=frozenset(days[n] for n in np.flatnonzero(called[:place]).tolist()),
                expected=tuple(np.flatnonzero(expected[:place]).tolist()),
            )


def evidence_of(played: PlayedDays, call: Call, game: Game, *, seed: int) -> Evidence:
    """Return what a method may see of a call: nothing of the event, but for the rows that were held out."""
    event = np.arange(call.begin, call.begin + call.steps)
    notice = call.begin - round(_NOTICE_H * _STEPS_PER_HOUR)
    group = drawn(played.ids, _HELD_OUT_SHARE, f"bench-{seed}")
    today_kw = played.metered_kw[call.place].copy()
    today_kw[np.ix_(~group, event)] = np.nan
    if game in (Game.WINDOW, Game.NOTICE):
        first = notice if game is Game.NOTICE else call.begin - _WINDOW_H * _STEPS_PER_HOUR
        today_kw[:, max(first, 0) : call.begin] *= 1.0 + RAISE_RATIO
    raised = frozenset(call.expected) if game is Game.REFERENCE else frozenset()
    place_of = {day: place for place, day in enumerate(played.days[: call.place])}

    def read(day: date) -> FloatArray:
        power_kw: FloatArray = played.metered_kw[place_of[day]]
        if place_of[day] not in raised:
            return power_kw
        power_kw = power_kw.copy()
        power_kw[:, event] *= 1.0 + RAISE_RATIO
        return power_kw

    return Evidence(
        days=played.days[: call.place][::-1],
        read=read,
        today=played.days[call.place],
        today_kw=today_kw,
        event=event,
        notice=notice,
        event_days=call.event_days,
        temperature_c=dict(zip(played.days, played.temperature_c, strict=True)),
        held_out=group,
    )
