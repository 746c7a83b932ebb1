"""Own meter: each row's level just before the event, carried on with the shape of same-type days."""

from dataclasses import dataclass, field, replace

import numpy as np

from vpp.settlement.baselines.called_hours import last_known
from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need
from vpp.settlement.baselines.methods.usual_days import UsualDays
from vpp.settlement.baselines.reference_days import BaselineRules
from vpp.state.load_counterfactual import moved_rows_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMeter:
    """The rule of ADR 45 on interval means; live, the level is that of the minutes before a row's first order.

    Attributes:
        usual: Whose shape is taken; one day will do, for the level is not theirs.
        lookback_h: How far before the event a row must have been metered.
    """

    name: str = "own_meter"
    source: str = "ADR 45: NAESB WEQ-015, Meter Before, carried on with the shape of same-type days"
    usual: UsualDays = field(default_factory=lambda: UsualDays(rules=BaselineRules(min_days=1)))
    lookback_h: float = 1.0
    needs: frozenset[Need] = frozenset()

    def of(self, evidence: Evidence) -> Estimate:
        """Return each row's last mean before the event, moved as its same-type days move from then on.

        Without such days the last mean is held.
        """
        level_kw = last_known(evidence.today_kw[:, evidence.hours_before(self.lookback_h, 0.0)])
        begin = max(evidence.first - 1, 0)
        found = self.usual.of(replace(evidence, event=np.concatenate(([begin], evidence.event))))
        anchor_kw = found.power_kw[:, 0]
        moved = [moved_rows_kw(level_kw, found.power_kw[:, 1 + step], anchor_kw) for step in range(len(evidence.event))]
        return replace(found, power_kw=np.stack(moved, axis=1), adjustment=0.0)
