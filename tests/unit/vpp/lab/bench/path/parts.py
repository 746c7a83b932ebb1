"""Builders shared by the tests beside this file."""

import numpy as np

from vpp.bootstrap.store import Store
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, VERDICTS
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.record.columns import column_body

N = 4
UNTIL_S = 1000.0


def sent_batch(ids: list[int], rows: list[int], layer: Layer = Layer.DISPATCH) -> SetpointBatch:
    return SetpointBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        layers=np.full(len(ids), layer, dtype=np.uint8),
        power_kw=np.full(len(ids), 4.0),
        until_s=np.full(len(ids), UNTIL_S),
        epoch=2,
    )


def answers(ids: list[int], rows: list[int], *, at_s: float, status: OutcomeStatus, reason: Reason) -> OutcomeBatch:
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.full(len(ids), status, dtype=np.uint8),
        reasons=np.full(len(ids), reason, dtype=np.uint8),
        at_s=np.full(len(ids), at_s),
    )


def yes(ids: list[int], rows: list[int], *, at_s: float) -> OutcomeBatch:
    return answers(ids, rows, at_s=at_s, status=OutcomeStatus.ACCEPTED, reason=Reason.NONE)


def _sent_body(batch: SetpointBatch) -> dict[str, object]:
    names = ("ids", "rows", "layers", "power_kw", "until_s")
    return {name: column_body(getattr(batch, name)) for name in names} | {"epoch": batch.epoch}


def _outcome_body(batch: OutcomeBatch) -> dict[str, object]:
    return {name: column_body(getattr(batch, name)) for name in ("ids", "rows", "status", "reasons", "at_s")}


def write_journal(store: Store) -> None:
    """Write one request: rows 0 to 2 are told, 0 and 1 say yes, and the meter shows 0."""
    journal = store.journal
    journal.append("cycle", 100.0, {})
    journal.append(SENT, 100.0, _sent_body(sent_batch([1, 2, 3], [0, 1, 2])))
    journal.append("cycle", 110.0, {})
    journal.append(OUTCOMES, 110.0, _outcome_body(yes([1, 2], [0, 1], at_s=101.0)))
    journal.append("cycle", 160.0, {})
    journal.append(VERDICTS, 160.0, {"rows": [0], "fate": "confirmed"})
    journal.flush_now()
