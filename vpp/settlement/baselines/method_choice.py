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
OWN_METERS: Mapping[ResourceClass, tuple[BaselineMethod, ...]] = MappingProxyType(
    {
        ResourceClass.EV: (BaselineMethod.SESSION_COURSE, BaselineMethod.SESSION),
        ResourceClass.HVAC: (BaselineMethod.OWN_METER,),
        ResourceClass.INDUSTRY: (BaselineMethod.OWN_METER,),
        ResourceClass.PV: (BaselineMethod.ROOF_YIELD,),
        **dict.fromkeys(STORING, (BaselineMethod.STORED_SCHEDULE,)),
    }
)
"""By class the methods whose baseline follows the meters of the rows themselves while a request runs, shipped first."""
_AUTOMATIC = (BaselineMethod.AUTOMATIC, *(method for methods in OWN_METERS.values() for method in methods))


def _shipped() -> Mapping[ResourceClass, BaselineMethod]:
    return MappingProxyType({cls: own[0] for cls, own in OWN_METERS.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChoice:
    """Methods of a programme.

    Attributes:
        usual: Method by resource class.
        quick: Likewise in the notice classes ``fast``, ``realtime`` and ``second``.
    """

    usual: Mapping[ResourceClass, BaselineMethod] = field(default_factory=_shipped)
    quick: Mapping[ResourceClass, BaselineMethod] = field(default_factory=_shipped)

    def wanted(self, draft: RequestDraft, index: FleetIndex) -> CodeArray:
        """Return the position in ``OFFERED`` of the method every row should get, shape ``(n_resources,)``.

        A request may name a method for all loads; storage and V2G keep the plan unless it names the meter before:
        an average of days would pay for arbitrage twice. What is frozen for rows that follow their own meters is
        same-type days: the expectation of a session or a roof, in quick notice classes the meter before, and the shape
        of a load; for stores their schedule.
        """
        if draft.baseline_method is BaselineMethod.METER_BEFORE:
            return np.full(len(index), BEFORE, dtype=np.uint8)
        if draft.baseline_method is BaselineMethod.SCHEDULE:
            return np.full(len(index), SCHEDULED, dtype=np.uint8)
        if draft.baseline_method not in _AUTOMATIC:
            code = OFFERED.index(draft.baseline_method)
            return np.where(index.is_class(*STORING), SCHEDULED, code).astype(np.uint8)
        quick = draft.notice_class in _QUICK
        stand_in = BaselineMethod.METER_BEFORE if quick else BaselineMethod.SAME_TYPE_DAYS
        frozen = dict.fromkeys((*OWN_METERS[ResourceClass.EV], *OWN_METERS[ResourceClass.PV]), stand_in)
        frozen[BaselineMethod.OWN_METER] = BaselineMethod.SAME_TYPE_DAYS
        frozen[BaselineMethod.STORED_SCHEDULE] = BaselineMethod.SCHEDULE
        by_class = [frozen.get(method, method) for method in map(self._chosen(draft).__getitem__, CLASSES)]
        return np.array([OFFERED.index(method) for method in by_class], dtype=np.uint8)[index.class_code]

    def own_meters(self, draft: RequestDraft) -> Mapping[ResourceClass, BaselineMethod]:
        """Return the classes whose rows are measured by their own meters, with the method (docs/adr/0002, 0045)."""
        if draft.baseline_method not in _AUTOMATIC:
            return {}
        return {cls: method for cls, method in self._chosen(draft).items() if method in OWN_METERS.get(cls, ())}

    def _chosen(self, draft: RequestDraft) -> Mapping[ResourceClass, BaselineMethod]:
        """Return the method of every class: the programme's, but for the classes of the one that a request names."""
        chosen = self.quick if draft.notice_class in _QUICK else self.usual
        named = [cls for cls, own in OWN_METERS.items() if draft.baseline_method in own]
        return {**chosen, **dict.fromkeys(named, draft.baseline_method)}

    def measured_by_session(self, draft: RequestDraft, index: FleetIndex) -> BoolArray:
        """Return the rows that are measured by their sessions, shape ``(n_resources,)``."""
        return np.asarray((ResourceClass.EV in self.own_meters(draft)) & index.is_class(ResourceClass.EV))


SHIPPED = MethodChoice()
"""Sessions for chargers, stored schedules for storage and V2G, own meters for loads, free roofs for roofs."""
