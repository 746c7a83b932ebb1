"""Programme of demand response: methods, windows and terms by which its requests are measured and settled."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.settlement.baselines.method_choice import MethodChoice
from vpp.settlement.baselines.reference_days import BaselineRules
from vpp.settlement.money.settlement_terms import SettlementTerms

PORTFOLIO = "portfolio"
"""Netting: the bands judge the sum of all devices of a request."""
FIRST_COMMITTED = "first_committed"
"""Exclusivity: a kW that is promised to a request is promised to no other at the same time."""


@dataclass(frozen=True, kw_only=True)
class Programme:
    """One version of a programme; a correction is a new version.

    Attributes:
        name: Name in settlements.
        version: Version of its rules.
        source: Where they come from.
        choice: Baseline method by resource class.
        rules: Windows, clip and day counts of same-type days and of the meter before.
        terms: Price, bands and period.
        netting: What the bands judge.
        exclusivity: To whom a kWh of two overlapping requests is paid.
    """

    name: str = "shanghai"
    version: str = "4"
    source: str = "the city's recommended baseline; the classic 80/120 bands until its own are supplied"
    choice: MethodChoice = field(default_factory=MethodChoice)
    rules: BaselineRules = field(default_factory=BaselineRules)
    terms: SettlementTerms = field(default_factory=SettlementTerms)
    netting: str = PORTFOLIO
    exclusivity: str = FIRST_COMMITTED

    @cached_property
    def sha256(self) -> str:
        """Hash of every rule, in one spelling on every machine."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()

    def facts(self) -> dict[str, object]:
        """Return the tables of the programme's file, every rule stated; what is endless is left out."""
        rule, window = self.terms.rule, asdict(self.rules)
        window["minutes"] = window.pop("window_s") / SECONDS_PER_MINUTE
        return {
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "methods": {cls.value: method.value for cls, method in self.choice.usual.items()},
            "quick_methods": {cls.value: method.value for cls, method in self.choice.quick.items()},
            "window": window | {"clip": list(self.rules.clip), "adjustment": self.rules.adjustment.value},
            "settlement": {
                "rule": rule.name,
                "rule_version": rule.version,
                "price_cny_per_kwh": str(self.terms.price_cny_per_kwh),
                "retained_ratio": str(self.terms.retained_ratio),
                "period_steps": rule.period_steps,
                "netting": self.netting,
                "exclusivity": self.exclusivity,
                "bands": [_finite(asdict(band)) for band in rule.bands],
            },
        }


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
