"""Shares of operators and sites as journal entries and checkpoints hold them: one list or column a field."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vpp.domain.performance import Shares
from vpp.record.columns import column_body, column_of


def shares_body(shares: Shares) -> dict[str, object]:
    """Return settled shares for the journal; the intervals follow from the stored means."""
    return {
        "operator_id": list(shares.operator_ids),
        "site_id": list(shares.site_ids),
        "energy_kwh": column_body(shares.energy_kwh),
        "settlement_fen": {name: column_body(fen) for name, fen in shares.settlement_fen.items()},
    }


def shares_from(body: Mapping[str, Any] | None) -> Shares:
    """Return the shares in what ``shares_body`` returned; none of an entry that is older than they are."""
    if body is None:
        return Shares()
    energy_kwh = column_of(body["energy_kwh"], np.float64)
    return Shares(
        operator_ids=tuple(body["operator_id"]),
        site_ids=tuple(body["site_id"]),
        energy_kwh=energy_kwh,
        settlement_fen={name: column_of(fen, np.int64) for name, fen in body["settlement_fen"].items()},
        delivered_kw=np.zeros((len(energy_kwh), 0)),
    )
