"""Settlement rules as data: what each further kW delivered is paid, and what each missing one costs.

A rule is an ordered list of bands over the ratio of delivered to committed power. Factors are marginal, so an amount is
an integral over the ratio and cannot jump at an edge: one kWh of meter error never decides over everything.
"""

import math
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Terms between two ratios of delivered to committed power.

    Attributes:
        lo: Ratio at which it begins.
        hi: Ratio at which it ends; infinite in the last band.
        pay_factor: Price times this is paid for each further unit delivered.
        penalty_factor: Price times this is charged for each unit missing here.
        cap: Greatest ratio paid so far.
    """

    lo: float
    hi: float = math.inf
    pay_factor: float
    penalty_factor: float = 0.0
    cap: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class BandRule:
    """One version of a programme's rule; a correction is a new version.

    Attributes:
        period_steps: Steps of 15 minutes whose mean is settled at once.
        source: Where the rule comes from.
    """

    name: str
    version: str
    bands: tuple[Band, ...]
    period_steps: int
    source: str

    def __post_init__(self) -> None:
        edges = [band.lo for band in self.bands[1:]]
        if not self.bands or self.bands[0].lo != 0.0 or self.bands[-1].hi != math.inf:
            raise InputError("bands", self.bands, "bands from 0 to infinity")
        if edges != [band.hi for band in self.bands[:-1]] or any(band.lo >= band.hi for band in self.bands):
            raise InputError("bands", self.bands, "bands that follow one another without gap or overlap")
        if self.bands[-1].penalty_factor != 0.0:
            raise InputError("penalty_factor", self.bands[-1].penalty_factor, "0 in the last, endless band")

    @property
    def kept_between(self) -> tuple[float, float]:
        """Ratios of delivered to committed between which nothing is charged and all that is delivered is paid."""
        full = next(band for band in self.bands if band.lo <= 1.0 < band.hi)
        return full.lo, full.hi

    def paid_ratio(self, delivered_ratio: float) -> float:
        """Return what is paid, in units of the committed amount; less than nothing delivered counts as nothing."""
        paid = 0.0
        for band in self.bands:
            inside = min(max(delivered_ratio, 0.0), band.hi) - band.lo
            if inside <= 0.0:
                break
            paid = min(paid + band.pay_factor * inside, max(band.cap, paid))
        return paid if not math.isnan(delivered_ratio) else math.nan

    def penalty_ratio(self, delivered_ratio: float) -> float:
        """Return what is charged, in units of the committed amount."""
        if math.isnan(delivered_ratio):
            return math.nan
        reached = max(delivered_ratio, 0.0)
        missing = [(band.hi - max(reached, band.lo), band.penalty_factor) for band in self.bands if band.penalty_factor]
        return sum(max(width, 0.0) * factor for width, factor in missing)


SICHUAN = BandRule(
    name="sichuan",
    version="1",
    bands=(
        Band(lo=0.0, hi=0.9, pay_factor=1.0, penalty_factor=1.1),
        Band(lo=0.9, hi=1.1, pay_factor=1.0),
        Band(lo=1.1, hi=math.inf, pay_factor=0.5),
    ),
    period_steps=4,
    source="Sichuan demand response by the hour: half pay above 110 %, 1.1 times the price for what 90 % lacks",
)

SHANGHAI_PLACEHOLDER = BandRule(
    name="shanghai_80_120_placeholder",
    version="1",
    bands=(
        Band(lo=0.0, hi=0.75, pay_factor=0.0),
        Band(lo=0.75, hi=0.8, pay_factor=16.0),
        Band(lo=0.8, hi=1.2, pay_factor=1.0),
        Band(lo=1.2, hi=math.inf, pay_factor=0.0, cap=1.2),
    ),
    period_steps=1,
    source=(
        "the classic 80/120 rule until the city's own is supplied: as measured from 80 to 120 %, nothing beyond. Its "
        "cliff at 80 % is a slope from 75 %, where the unpaid fifth is caught up"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementTerms:
    """Terms of a contract beside the bands.

    Attributes:
        price_cny_per_kwh: Price of a committed and delivered kWh.
        retained_ratio: Share of a positive net amount that the platform keeps.
    """

    rule: BandRule = SHANGHAI_PLACEHOLDER
    price_cny_per_kwh: Decimal = Decimal("3.0")
    retained_ratio: Decimal = Decimal("0.2")

    def __post_init__(self) -> None:
        # A price that was written 0.1 is a tenth, whatever number type it comes in.
        object.__setattr__(self, "price_cny_per_kwh", Decimal(str(self.price_cny_per_kwh)))
        object.__setattr__(self, "retained_ratio", Decimal(str(self.retained_ratio)))


_MONEY = Context(prec=60)
"""Digits of an amount: a double of some kWh has at most 53 behind the point that matter, a price a few."""
_ZERO = Decimal(0)


def settle(
    delivered_kw: FloatArray, committed_kw: FloatArray | float, hours: FloatArray | float, terms: SettlementTerms
) -> dict[str, Decimal]:
    """Return the four amounts gross, penalty, net and distributable in CNY.

    Energies are measured, hence doubles; from there on amounts are decimals.

    Args:
        delivered_kw: Delivered power on the hold's steps, shape ``(n_steps,)``. NaN makes every amount NaN: an
            interval without metering is settled by a later version, not guessed.
        committed_kw: Power that was accepted, above 0, one value for all or one a step.
        hours: For how long each step was held, one value for all or one a step.
        terms: Price and bands.

    Users are never charged: a negative net amount stays with the platform and nothing is distributed.
    """
    gross, penalty = _ZERO, _ZERO
    size = terms.rule.period_steps
    held_h = np.broadcast_to(np.asarray(hours, dtype=np.float64), delivered_kw.shape)
    owed_kw = np.broadcast_to(np.asarray(committed_kw, dtype=np.float64), delivered_kw.shape)
    for first in range(0, len(delivered_kw), size):
        period, weight = delivered_kw[first : first + size], held_h[first : first + size]
        mean_owed_kw = float(np.average(owed_kw[first : first + size], weights=weight))
        owed_kwh = mean_owed_kw * float(weight.sum())
        ratio = float(np.average(period, weights=weight)) / mean_owed_kw
        gross = _MONEY.fma(Decimal(terms.rule.paid_ratio(ratio) * owed_kwh), terms.price_cny_per_kwh, gross)
        penalty = _MONEY.fma(Decimal(terms.rule.penalty_ratio(ratio) * owed_kwh), terms.price_cny_per_kwh, penalty)
    net = _MONEY.subtract(gross, penalty)
    loss = not net.is_nan() and net <= 0
    kept = _ZERO if loss else _MONEY.multiply(net, 1 - terms.retained_ratio)
    return {"gross": gross, "penalty": penalty, "net": net, "distributable": kept}
