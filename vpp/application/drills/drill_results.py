"""Results of drills, shown: power verified and how long ago, drills that fell short."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vpp.application.delivery.settlement import Settlement
from vpp.application.drills.drill_plan import Part
from vpp.application.watch.alarms import Alarms
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.register import was
from vpp.domain.request import Direction, DispatchRequest, RequestState
from vpp.runtime.drill_metrics import DrillMetrics

DRILL_SHORT = "drill_short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What drills and calls have found.

    Attributes:
        verified_s: Epoch seconds of the last event that verified an area and direction, NaN for none.
        last: The last settled drill of each, with the share of its commitment it delivered.
    """

    verified_s: Mapping[Part, float]
    last: Mapping[Part, tuple[DispatchRequest, float]]


class DrillResults:
    """Shows what drills have found; an alarm stands while the last drill of an area fell short.

    Args:
        requests: All requests.
        settlement: Knows what was delivered and what is verified.
        alarms: Raised and cleared.
        metrics: Shown.
        least_ratio: Share of what was committed below which a drill fell short: where the programme's band begins.
    """

    def __init__(
        self,
        *,
        requests: RequestBook,
        settlement: Settlement,
        alarms: Alarms,
        metrics: DrillMetrics,
        least_ratio: float,
    ) -> None:
        self._requests, self._settlement = requests, settlement
        self._alarms, self._metrics = alarms, metrics
        self._least_ratio = least_ratio

    def found(self, areas: Sequence[str]) -> Found:
        """Return what is known of every area; may be called from any thread."""
        verified = self._settlement.verified
        return Found(
            verified_s={(area, direction): verified(area, direction).at_s for area in areas for direction in Direction},
            last=self._last_drills(),
        )

    def show(self, found: Found, now_s: float) -> None:
        """Show the age of what is verified in every area, and how the last drill of each went."""
        for (area, direction), at_s in found.verified_s.items():
            self._metrics.observe_age(area, direction.value, math.inf if math.isnan(at_s) else now_s - at_s)
        for (area, direction), (_, ratio) in found.last.items():
            self._metrics.observe_ratio(area, direction.value, ratio)
        short = {part: request.id for part, (request, ratio) in found.last.items() if ratio < self._least_ratio}
        areas_short = sorted({area for area, _ in short})
        self._alarms.watch(DRILL_SHORT, now_s, on=bool(short), areas=areas_short, request_ids=sorted(short.values()))

    def _last_drills(self) -> Mapping[Part, tuple[DispatchRequest, float]]:
        """Return the last settled drill of every area and direction with the share of its commitment it delivered.

        One that a call has ended tells nothing of what is short.
        """
        found: dict[Part, tuple[DispatchRequest, float]] = {}
        for request in self._requests.all():
            part = request.draft.area, request.draft.direction
            if part in found or not request.draft.is_drill or request.state is not RequestState.SETTLED:
                continue
            ratio = self._settlement.delivered_ratio(request)
            if math.isfinite(ratio) and not was(request, RequestState.SUPERSEDED):
                found[part] = request, ratio
        return found
