"""Choice of a baseline method for every row: by request, notice class and resource class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from vpp.domain.request import BaselineMethod, NoticeClass, RequestDraft
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray
from vpp.fleet.index import CLASSES, FleetIndex

OFFERED = (
    BaselineMethod.SAME_TYPE_DAYS,
    BaselineMethod.METER_BEFORE,
    BaselineMethod.SCHEDULE,
    BaselineMethod.SAME_TYPE_DAYS_SHIFT,
    BaselineMethod.MEAN_10_OF_10,
    BaselineMethod.HIGH_4_OF_5,
    BaselineMethod.HIGH_5_OF_10,
    BaselineMethod.MID_8_OF_10,
    BaselineMethod.SMOOTHED_90_10,
    BaselineMethod.MATCH_DAY,
)
"""Methods that can be frozen at acceptance from meters and plans; a row's code is a position here."""
SAME, BEFORE, SCHEDULED = range(3)
_QUICK = (NoticeClass.FAST, NoticeClass.REALTIME, NoticeClass.SECOND)
_AUTOMATIC = (BaselineMethod.AUTOMATIC, BaselineMethod.SESSION)
_STORES = dict.fromkeys(STORING, BaselineMethod.SCHEDULE)
_LOADS = tuple(cls for cls in ResourceClass if cls not in STORING and cls is not ResourceClass.EV)


def _shipped(loads: BaselineMethod) -> Mapping[ResourceClass, BaselineMethod]:
    methods = dict.fromkeys(_LOADS, loads) | _STORES | {ResourceClass.EV: BaselineMethod.SESSION}
    return MappingProxyType(methods)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChoice:
    """Methods of a programme.

    Attributes:
        usual: Method by resource class.
        quick: Likewise in the notice classes ``fast``, ``realtime`` and ``second``.
    """

    usual: Mapping[ResourceClass, BaselineMethod] = field(
        default_factory=lambda: _shipped(BaselineMethod.SAME_TYPE_DAYS)
    )
    quick: Mapping[ResourceClass, BaselineMethod] = field(default_factory=lambda: _shipped(BaselineMethod.METER_BEFORE))

    def wanted(self, draft: RequestDraft, index: FleetIndex) -> CodeArray:
        """Return the position in ``OFFERED`` of the method every row should get, shape ``(n_resources,)``.

        A request may name a method for all loads; storage and V2G keep the plan unless it names the meter before:
        an average of days would pay for arbitrage twice. What stands in for a session is same-type days, in quick
        notice classes the meter before.
        """
        if draft.baseline_method is BaselineMethod.METER_BEFORE:
            return np.full(len(index), BEFORE, dtype=np.uint8)
        if draft.baseline_method is BaselineMethod.SCHEDULE:
            return np.full(len(index), SCHEDULED, dtype=np.uint8)
        if draft.baseline_method not in _AUTOMATIC:
            code = OFFERED.index(draft.baseline_method)
            return np.where(index.is_class(*STORING), SCHEDULED, code).astype(np.uint8)
        quick = draft.notice_class in _QUICK
        chosen = self.quick if quick else self.usual
        stand_in = BaselineMethod.METER_BEFORE if quick else BaselineMethod.SAME_TYPE_DAYS
        by_class = [chosen[cls] if chosen[cls] is not BaselineMethod.SESSION else stand_in for cls in CLASSES]
        return np.array([OFFERED.index(method) for method in by_class], dtype=np.uint8)[index.class_code]

    def by_session(self, draft: RequestDraft) -> bool:
        """Return whether chargers are measured by their sessions (docs/adr/0002)."""
        chosen = self.quick if draft.notice_class in _QUICK else self.usual
        automatic = draft.baseline_method is BaselineMethod.AUTOMATIC
        return draft.baseline_method is BaselineMethod.SESSION or (
            automatic and chosen[ResourceClass.EV] is BaselineMethod.SESSION
        )

    def measured_by_session(self, draft: RequestDraft, index: FleetIndex) -> BoolArray:
        """Return the rows that are measured by their sessions, shape ``(n_resources,)``."""
        return np.asarray(self.by_session(draft) & index.is_class(ResourceClass.EV))


SHIPPED = MethodChoice()
"""Sessions for chargers, the plan for storage and V2G, same-type days or the meter before for the rest."""
