"""Plan of drills: whether one begins now, by chance, of which area and direction, and what is asked of it.

Times are drawn so that nobody can prepare for one: every quarter of an hour of the permitted hours has the same chance.
What was tested longest ago is tested first, so each area and direction has its turn.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vpp.domain.request import Direction, DispatchRequest, NoticeClass, Product, Purpose, RequestDraft
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.calendar import SHANGHAI_OFFSET_S

DAYS_PER_WEEK = 7.0
_MORE_THAN_EXPECTED = 1.5
"""A drawn part is asked for more than is expected of it, so that all it can give is committed: its own p50."""
Part = tuple[str, Direction]
"""Area and direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRules:
    """Rules of the drills that a service makes of its own.

    Attributes:
        per_week: Drills a week in all, 0 for none.
        hours: First and last hour of the day, Asia/Shanghai, in which one may begin.
        share: Share of an area's devices that is drawn.
        minutes: Length of the hold.
        directions: Directions that are tested.
    """

    per_week: float = 0.0
    hours: tuple[float, float] = (8.0, 20.0)
    share: float = 0.2
    minutes: float = 15.0
    directions: tuple[Direction, ...] = (Direction.UP,)

    @property
    def chance(self) -> float:
        """Chance of each permitted quarter of an hour."""
        quarters = DAYS_PER_WEEK * (self.hours[1] - self.hours[0]) * SECONDS_PER_HOUR / STEP_S
        return min(self.per_week / quarters, 1.0)

    def permits(self, start_s: float) -> bool:
        """Return whether a drill may begin at epoch second ``start_s``."""
        hour = (start_s + SHANGHAI_OFFSET_S) % SECONDS_PER_DAY / SECONDS_PER_HOUR
        return self.hours[0] <= hour < self.hours[1]


def begins(rules: DrillRules, requests: Iterable[DispatchRequest], start_s: float, draw: Callable[[], float]) -> bool:
    """Return whether a drill begins at ``start_s``.

    Args:
        rules: Of the service.
        requests: All of them; the drills committed in the last seven days count against the week's.
        start_s: Begin of a hold, epoch seconds.
        draw: Returns a random number, evenly spread over [0, 1).
    """
    if not rules.per_week or not rules.permits(start_s) or draw() >= rules.chance:
        return False
    week_s = start_s - DAYS_PER_WEEK * SECONDS_PER_DAY
    lately = sum(
        request.draft.is_drill and request.accepted_kw is not None and request.draft.start_at.timestamp() > week_s
        for request in requests
    )
    return lately < math.ceil(rules.per_week)


def asked_kw(available_kw: float, drawn_ratio: float) -> float:
    """Return the power that a drawn part of an area is asked for, where the whole area has ``available_kw``."""
    return _MORE_THAN_EXPECTED * drawn_ratio * available_kw


def drill_draft(part: Part, *, target_kw: float, start_s: float, minutes: float, drawn_ratio: float) -> RequestDraft:
    """Return the draft of a drill.

    Args:
        part: Area and direction.
        target_kw: Power that is asked for.
        start_s: Begin of its hold, epoch seconds.
        minutes: Length of it.
        drawn_ratio: Share of the area's devices that is drawn, above 0 to 1.
    """
    area, direction = part
    return RequestDraft(
        product=Product.PEAK_SHAVING if direction is Direction.UP else Product.VALLEY_FILLING,
        direction=direction,
        target_kw=target_kw,
        area=area,
        start_at=instant(start_s),
        end_at=instant(start_s + SECONDS_PER_MINUTE * minutes),
        notice_class=NoticeClass.FAST,
        purpose=Purpose.DRILL,
        drawn_ratio=drawn_ratio,
    )


def in_turn(
    areas: Sequence[str],
    directions: Sequence[Direction],
    tested_s: Mapping[Part, float],
    draw: Callable[[], float],
) -> Sequence[Part]:
    """Return every area and direction, what was tested longest ago first; by lot among those never tested.

    Args:
        areas: Ids of the areas.
        directions: Directions that are tested.
        tested_s: Epoch seconds of the last test, or attempt of one; missing for none.
        draw: As in ``begins``.
    """
    lots = {(area, direction): draw() for area in areas for direction in directions}
    return sorted(lots, key=lambda part: (tested_s.get(part, -math.inf), lots[part]))
