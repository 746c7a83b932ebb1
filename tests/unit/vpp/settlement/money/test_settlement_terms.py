"""Settlement terms: bands, amounts, and who is never charged."""

from decimal import Decimal

import numpy as np
import pytest

from vpp.domain.errors import InputError
from vpp.settlement.money.settlement_terms import SICHUAN, Band, BandRule, SettlementTerms, settle


def test_each_interval_is_paid_by_its_own_commitment() -> None:
    terms = SettlementTerms()
    changed = settle(np.array([400.0, 800.0]), np.array([400.0, 800.0]), 0.25, terms)
    apart = [settle(np.array([kw]), kw, 0.25, terms)["gross"] for kw in (400.0, 800.0)]
    assert float(changed["gross"]) == pytest.approx(float(sum(apart)))
    short = settle(np.array([400.0, 400.0]), np.array([400.0, 800.0]), 0.25, terms)
    assert float(short["gross"]) == pytest.approx(float(apart[0])), (
        "half of what was promised earns nothing by the 80 per cent rule"
    )


def test_the_four_amounts_of_a_short_delivery_in_sichuan() -> None:
    terms = SettlementTerms(rule=SICHUAN, price_cny_per_kwh=Decimal("2.0"), retained_ratio=Decimal("0.25"))
    amounts = settle(np.array([70.0, 90.0, 70.0, 90.0]), 100.0, 0.25, terms)
    # The hour's mean is 80 of 100 kW: 80 kWh paid, 10 kWh short of nine tenths at 1.1 times the price.
    assert {name: float(cny) for name, cny in amounts.items()} == pytest.approx(
        {"gross": 160.0, "penalty": 22.0, "net": 138.0, "distributable": 103.5}
    )


def test_the_mean_of_an_hour_weighs_each_step_by_the_time_it_was_held() -> None:
    terms = SettlementTerms(rule=SICHUAN, price_cny_per_kwh=Decimal("2.0"))
    held_h = np.array([0.25, 0.25, 0.25, 0.05])
    amounts = settle(np.array([100.0, 100.0, 100.0, 0.0]), 100.0, held_h, terms)
    # 75 of 80 kWh, a ratio of 0.9375 that is above nine tenths; the plain mean of the steps would be 0.75.
    assert (float(amounts["gross"]), amounts["penalty"]) == (pytest.approx(150.0), 0)
    raised = settle(np.full(4, 100.0), np.array([100.0, 100.0, 100.0, 200.0]), held_h, terms)
    assert (float(raised["gross"]), raised["penalty"]) == (pytest.approx(160.0), 0)


def test_what_is_paid_stops_at_the_cap_of_a_band() -> None:
    capped = BandRule(
        name="capped",
        version="1",
        bands=(Band(lo=0.0, hi=1.0, pay_factor=1.0), Band(lo=1.0, hi=float("inf"), pay_factor=0.5, cap=1.2)),
        period_steps=1,
        source="",
    )
    assert [capped.paid_ratio(ratio) for ratio in (0.5, 1.0, 1.2, 1.4, 3.0)] == pytest.approx([0.5, 1.0, 1.1, 1.2, 1.2])


def test_users_are_never_charged() -> None:
    amounts = settle(np.array([-20.0]), 100.0, 0.25, SettlementTerms(rule=SICHUAN, price_cny_per_kwh=Decimal("2.0")))
    assert float(amounts["net"]) == pytest.approx(-49.5)
    assert amounts["distributable"] == 0.0


@pytest.mark.parametrize(
    "bands",
    [
        (),
        (Band(lo=0.1, hi=float("inf"), pay_factor=1.0),),
        (Band(lo=0.0, hi=0.5, pay_factor=1.0), Band(lo=0.6, hi=float("inf"), pay_factor=1.0)),
        (Band(lo=0.0, hi=float("inf"), pay_factor=1.0, penalty_factor=1.0),),
    ],
)
def test_bands_with_gaps_or_endless_penalties_are_refused(bands: tuple[Band, ...]) -> None:
    with pytest.raises(InputError):
        BandRule(name="bad", version="1", bands=bands, period_steps=1, source="")
