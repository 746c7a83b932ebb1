"""Baselines that are given: the plan in force, or each charging session's own counterfactual."""

from dataclasses import dataclass

from vpp.settlement.baselines.methods.evidence import Estimate, Evidence, Need


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPower:
    """The plan in force at acceptance."""

    name: str = "schedule"
    source: str = "the plan in force at acceptance, to which a device falls back without any call"
    needs: frozenset[Need] = frozenset({Need.PLAN})

    def of(self, evidence: Evidence) -> Estimate:
        """Return the plan; unknown without one."""
        if evidence.plan_kw is None:
            return Estimate(power_kw=evidence.no_kw(), note="no plan")
        return Estimate(power_kw=evidence.plan_kw, days=(evidence.today,))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPower:
    """What each charging session would have taken (ADR 2)."""

    name: str = "session"
    source: str = "ADR 2: each session's own meter until it was commanded, then what it still lacked"
    needs: frozenset[Need] = frozenset({Need.SESSIONS})

    def of(self, evidence: Evidence) -> Estimate:
        """Return the sessions' counterfactual; unknown without any."""
        if evidence.session_kw is None:
            return Estimate(power_kw=evidence.no_kw(), note="no charging sessions")
        return Estimate(power_kw=evidence.session_kw, days=(evidence.today,))
