"""Money of availability: what a standing commitment pays for power that could be called, and charges for what lacks."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal

import numpy as np

from vpp.domain.performance import Shares
from vpp.domain.standing import StandingTerms
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.settlement.money.shares import OwnedPower, shares_of, whole_fen, whole_quanta

_MONEY = Context(prec=60)
_KW_PER_MW = Decimal(1000)


def settle_availability(available_kw: Sequence[float], step_h: float, terms: StandingTerms) -> dict[str, Decimal]:
    """Return the amounts gross, penalty and net in CNY.

    Powers are estimates, hence doubles; from there on amounts are decimals.

    Args:
        available_kw: Power that could be called in each step of the hours; what exceeds the commitment is not paid.
        step_h: Length of a step.
        terms: Prices and power.
    """
    due = _MONEY.multiply(Decimal(terms.power_kw), Decimal(step_h))
    gross = penalty = Decimal(0)
    for power_kw in available_kw:
        kept = _MONEY.multiply(Decimal(min(max(power_kw, 0.0), terms.power_kw)), Decimal(step_h))
        gross = _MONEY.add(gross, _priced(kept, terms.availability_cny_per_mw_h))
        penalty = _MONEY.add(penalty, _priced(_MONEY.subtract(due, kept), terms.shortfall_cny_per_mw_h))
    return {"gross": gross, "penalty": penalty, "net": _MONEY.subtract(gross, penalty)}


def added(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Return the sums of amounts line by line, exact."""
    found: dict[str, Decimal] = {}
    for amounts in parts:
        for name, cny in amounts.items():
            found[name] = _MONEY.add(found.get(name, Decimal(0)), cny)
    return found


def availability_shares(
    amounts_cny: Mapping[str, Decimal], *, operator_ids: Sequence[str], site_ids: Sequence[str], kept_kwh: FloatArray
) -> Shares:
    """Return everybody's part of the amounts, in whole fen, by the rule that requests are shared out by.

    Args:
        amounts_cny: As ``settle_availability`` returned them.
        operator_ids: Operator of each part.
        site_ids: Site of each part.
        kept_kwh: Power that each part kept available times its hours, shape ``(n,)``.
    """
    owned = OwnedPower(
        operator_ids=tuple(operator_ids),
        site_ids=tuple(site_ids),
        delivered_kw=kept_kwh[:, None],
        devices=np.ones(len(kept_kwh), dtype=np.int64),
    )
    energy_kwh = float(whole_quanta(float(kept_kwh.sum())))
    return shares_of(owned, held_s=np.array([SECONDS_PER_HOUR]), energy_kwh=energy_kwh, fen=whole_fen(amounts_cny))


def _priced(kwh: Decimal, cny_per_mw_h: Decimal) -> Decimal:
    return _MONEY.divide(_MONEY.multiply(kwh, cny_per_mw_h), _KW_PER_MW)
