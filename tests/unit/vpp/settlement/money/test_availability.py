"""Money of availability: exact amounts, and parts that add up to the fen."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpp.planning.reserve.test_standing_hours import TERMS
from vpp.settlement.money.availability import availability_shares, settle_availability


def test_what_is_kept_is_paid_and_what_lacks_is_charged() -> None:
    found = settle_availability([1000.0, 2000.0, 400.0], 0.25, TERMS)
    assert found["gross"] == Decimal(100) * (1 + 1 + Decimal("0.4")) / 4
    assert found["penalty"] == Decimal(200) * Decimal("0.6") / 4
    assert found["net"] == found["gross"] - found["penalty"]
    assert settle_availability([], 0.25, TERMS)["net"] == 0
    assert settle_availability([-5.0], 0.25, TERMS)["gross"] == 0


def test_prices_stay_exact() -> None:
    tenth = replace(TERMS, power_kw=1000.0, availability_cny_per_mw_h=Decimal("0.1"))
    assert settle_availability([1000.0] * 12, 0.25, tenth)["gross"] == Decimal("0.3")


@given(
    st.lists(st.floats(0.0, 1e5), min_size=1, max_size=12),
    st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=8),
)
def test_parts_add_up_to_the_fen(kept_kwh: list[float], available_kw: list[float]) -> None:
    amounts = settle_availability(available_kw, 0.25, TERMS)
    ids = [f"p{place}" for place in range(len(kept_kwh))]
    shares = availability_shares(amounts, operator_ids=ids, site_ids=ids, kept_kwh=np.array(kept_kwh))
    for name in ("gross", "penalty"):
        assert abs(Decimal(int(shares.settlement_fen[name].sum())) - amounts[name] * 100) <= Decimal("0.5")
    net = shares.settlement_fen["gross"].sum() - shares.settlement_fen["penalty"].sum()
    assert shares.settlement_fen["net"].sum() == net
