"""Settled shares in the journal and back."""

import numpy as np
import pytest

from vpp.application.delivery.issued_shares import shares_body, shares_from
from vpp.domain.performance import Shares
from vpp.record.stored_body import read_body, stored_body


def some(count: int) -> Shares:
    return Shares(
        operator_ids=tuple(f"op-{n % 3}" for n in range(count)),
        site_ids=tuple(f"site-{n}" for n in range(count)),
        energy_kwh=np.arange(count) / 7.0,
        settlement_fen={"gross": np.arange(count) * 101, "penalty": -np.arange(count)},
        delivered_kw=np.ones((count, 2)),
    )


@pytest.mark.parametrize("count", [0, 2, 500])
def test_what_was_settled_comes_back_to_the_last_bit(count: int) -> None:
    shares = some(count)
    found = shares_from(read_body(*stored_body({"shares": shares_body(shares)}))["shares"])  # type: ignore[arg-type] # as the journal gives it
    assert (found.operator_ids, found.site_ids) == (shares.operator_ids, shares.site_ids)
    np.testing.assert_array_equal(found.energy_kwh, shares.energy_kwh)
    for name, fen in shares.settlement_fen.items():
        np.testing.assert_array_equal(found.settlement_fen[name], fen)
        assert found.settlement_fen[name].dtype == np.int64
    assert found.delivered_kw.shape == (count, 0), "intervals are measured again"


def test_entries_older_than_shares_have_none() -> None:
    assert len(shares_from(None)) == 0
