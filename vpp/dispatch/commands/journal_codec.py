"""Commands, outcomes and verdicts as journal bodies; the names of columns and kinds stand in old journals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vpp.dispatch.commands.command_ledger import Fate
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.record.columns import column_body, column_of

SENT = "setpoints.sent"
OUTCOMES = "setpoints.outcomes"
VERDICTS = "setpoints.verdicts"
Body = Mapping[str, Any]


class Noted(NamedTuple):
    """Notes on the commands of a batch, shape ``(n,)`` each.

    Attributes:
        uncontrolled_kw: Uncontrolled power of each row, so that it survives a restart.
        source: Position of each command's source in a list of sources, -1 for none.
    """

    uncontrolled_kw: FloatArray
    source: RowArray


def sent_body(batch: SetpointBatch, noted: Noted, sources: Sequence[str]) -> dict[str, object]:
    """Return the body of a batch that is sent."""
    codes, compact = np.unique(noted.source, return_inverse=True)
    return {
        "ids": column_body(batch.ids),
        "rows": column_body(batch.rows),
        "layers": column_body(batch.layers),
        "power_kw": column_body(batch.power_kw),
        "until_s": column_body(batch.until_s),
        "free_kw": column_body(noted.uncontrolled_kw),
        "sources": [sources[code] if code >= 0 else "" for code in codes],
        "source": column_body(compact.astype(np.int32)),
        "epoch": batch.epoch,
    }


def sent_from(body: Body) -> SetpointBatch:
    """Return the batch that ``sent_body`` wrote."""
    until_s = column_of(body["until_s"], np.float64)
    return SetpointBatch(
        ids=column_of(body["ids"], np.int64),
        rows=column_of(body["rows"], np.int32),
        layers=column_of(body["layers"], np.uint8),
        power_kw=column_of(body["power_kw"], np.float64),
        until_s=np.where(np.isnan(until_s), np.inf, until_s),
        epoch=int(body["epoch"]),
    )


def noted_from(body: Body) -> tuple[Noted, Sequence[str]]:
    """Return the notes that ``sent_body`` wrote, and the list their sources are positions in."""
    noted = Noted(column_of(body["free_kw"], np.float64), column_of(body["source"], np.int32))
    return noted, [str(name) for name in body["sources"]]


def outcome_body(batch: OutcomeBatch) -> dict[str, object]:
    """Return the body of outcomes."""
    return {
        "ids": column_body(batch.ids),
        "rows": column_body(batch.rows),
        "status": column_body(batch.status),
        "reasons": column_body(batch.reasons),
        "at_s": column_body(batch.at_s),
    }


def outcomes_from(body: Body) -> OutcomeBatch:
    """Return the outcomes that ``outcome_body`` wrote."""
    return OutcomeBatch(
        ids=column_of(body["ids"], np.int64),
        rows=column_of(body["rows"], np.int32),
        status=column_of(body["status"], np.uint8),
        reasons=column_of(body["reasons"], np.uint8),
        at_s=column_of(body["at_s"], np.float64),
    )


def verdict_body(rows: RowArray, fate: Fate) -> dict[str, object]:
    """Return the body of commands that ended without an outcome, or were compared with their meters."""
    return {"rows": column_body(rows), "fate": fate.value}


def verdict_from(body: Body) -> tuple[RowArray, Fate]:
    """Return the rows and the fate that ``verdict_body`` wrote."""
    return column_of(body["rows"], np.int32), Fate(body["fate"])
