"""An official result beside ours."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from vpp.domain.official_settlement import Agreement, OfficialLine, OfficialResult, Reconciliation
from vpp.domain.performance import IntervalResult, Shares
from vpp.settlement.money.reconciliation import OwnResult, reconciled

START = datetime(2026, 7, 15, 6, 0, tzinfo=UTC)
SHARES = Shares(
    operator_ids=("op-1", "op-2", "op-1"),
    site_ids=("mall", "roof", "yard"),
    energy_kwh=np.array([0.5, 0.25, 1.25]),
    settlement_fen={"net": np.array([150, 75, 375])},
    delivered_kw=np.array([[0.5, 1.5], [0.25, 0.75], [1.25, 3.75]]),
)


def interval(step: int, held_ratio: float) -> IntervalResult:
    return IntervalResult(
        start_at=START + timedelta(minutes=15 * step),
        phase="holding",
        target_kw=2.0,
        baseline_kw=5.0,
        measured_kw=3.0,
        delivered_kw=2.0,
        accuracy_ratio=1.0,
        good_ratio=1.0,
        held_ratio=held_ratio,
    )


def compared(*lines: OfficialLine) -> Reconciliation:
    result = OfficialResult(request_id="r1", version=1, source="grid", at_s=0.0, sha256="00", lines=lines)
    return reconciled(OwnResult(shares=SHARES, intervals=(interval(0, 1.0), interval(1, 0.5))), result)


def test_an_operator_is_the_sum_of_its_sites_and_what_nobody_states_is_named() -> None:
    found = compared(OfficialLine(operator_id="op-1", energy_kwh=Decimal("1.7501"), amount_cny=Decimal("5.25")))
    first, rest = found.lines
    assert (first.agreement, first.our_energy_kwh, first.our_amount_cny) == (
        Agreement.EQUAL,
        Decimal("1.750"),
        Decimal("5.25"),
    )
    assert (rest.operator_id, rest.site_id, rest.agreement) == ("op-2", "roof", Agreement.ONLY_OURS)
    assert (rest.our_energy_kwh, rest.our_amount_cny) == (Decimal("0.250"), Decimal("0.75"))


@pytest.mark.parametrize(
    ("energy", "amount", "agreement"),
    [
        ("0.25", "0.75", Agreement.EQUAL),
        ("0.251", None, Agreement.EQUAL),
        (None, "0.75", Agreement.EQUAL),
        ("0.252", "0.75", Agreement.DIFFERS),
        ("0.25", "0.76", Agreement.DIFFERS),
    ],
)
def test_a_line_agrees_within_a_watt_hour_and_to_the_fen(
    energy: str | None, amount: str | None, agreement: Agreement
) -> None:
    line = OfficialLine(
        operator_id="op-2",
        site_id="roof",
        energy_kwh=None if energy is None else Decimal(energy),
        amount_cny=None if amount is None else Decimal(amount),
    )
    assert compared(line).lines[0].agreement is agreement


def test_an_interval_is_compared_by_the_part_of_it_that_was_held() -> None:
    line = OfficialLine(
        operator_id="op-1", site_id="yard", start_at=START + timedelta(minutes=15), energy_kwh=Decimal("0.469")
    )
    found = compared(line).lines[0]
    assert found.our_energy_kwh == Decimal("0.469"), "3.75 kW for half a quarter of an hour"
    assert found.our_amount_cny is None, "single intervals are not settled apart"
    assert found.agreement is Agreement.EQUAL


def test_a_part_and_an_interval_that_we_do_not_know_are_only_official() -> None:
    strangers = (
        OfficialLine(operator_id="op-9", energy_kwh=Decimal(1)),
        OfficialLine(operator_id="op-1", start_at=START + timedelta(hours=9), energy_kwh=Decimal(1)),
    )
    found = compared(*strangers)
    assert [line.agreement for line in found.lines[:2]] == [Agreement.ONLY_OFFICIAL] * 2
    assert found.count(Agreement.ONLY_OURS) == 1, "the second line covers both sites of op-1"
