"""What the journal, the bus and the stations say together of every instruction of a request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.bootstrap.store import Store
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.lab.bench.path.kill import STALE_ID, STALE_IDS, Killed
from vpp.lab.bench.path.trace import KINDS, Tap, Trace, legs, quantiles, repeated
from vpp.lab.compose.load.worker_group import Reply

_ANSWER_S = 30.0
"""An instruction that left so shortly before the end may be without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What was seen, once nobody tells anybody anything any more.

    Attributes:
        figures: What is known without the journal.
        tap: The bus's.
        heard: The stations', swarm by swarm.
        accepted_s: Epoch seconds of the acceptance.
        stopped_s: Epoch seconds from which the service was being ended.
        looked_s: When the stations were asked what they hold.
        killed: The gateway that was killed, if one was.
    """

    figures: dict[str, Any]
    tap: Tap
    heard: Sequence[Reply]
    accepted_s: float
    stopped_s: float
    looked_s: float
    killed: Killed | None


def judged(witness: Witness, url: str, n_rows: int) -> dict[str, Any]:
    """Return all figures of the report."""
    store = Store.open(url)
    trace = Trace.of(store.journal.entries(KINDS), n_rows)
    store.close()
    ids, at_s, holds = _told(witness.heard)
    figures = witness.figures | _legs(witness, trace, ids, at_s) | _losses(witness, trace, ids, holds)
    figures["failures"] += figures["unanswered"] + figures["stale_applied"]
    if witness.killed is not None:
        killed = witness.killed
        figures |= {
            "killed_stations": killed.stations,
            "back_booted_s": killed.booted_s,
            "back_seen_s": killed.seen_s,
        }
    else:
        figures["failures"] += figures["not_accepted"]
    return figures


def _told(heard: Sequence[Reply]) -> tuple[IdArray, FloatArray, IdArray]:
    """Return ids and instants of all stations in the order of arrival, and what every row holds."""
    ids = np.concatenate([reply["ids"] for reply in heard])
    at_s = np.concatenate([reply["at_s"] for reply in heard])
    order = np.argsort(at_s, kind="stable")
    return ids[order], at_s[order], np.concatenate([reply["holds"] for reply in heard])


def _legs(witness: Witness, trace: Trace, ids: IdArray, at_s: FloatArray) -> dict[str, Any]:
    """Return the legs of the request's instructions, and of those before it: cars that have just come meet the caps."""
    told = trace.installing() & (trace.layers == Layer.DISPATCH)
    ours = told & (trace.decided_s >= witness.accepted_s) & (trace.decided_s < witness.stopped_s - _ANSWER_S)
    first = np.unique(trace.rows[ours], return_index=True)[1]
    figures: dict[str, Any] = {
        "instructions": int(np.count_nonzero(ours)),
        "stations_told": len(first),
        "confirmed": int(np.count_nonzero(ours & trace.accepted() & ~np.isnan(trace.confirmed_s))),
        "not_accepted": int(np.count_nonzero(ours & ~trace.accepted())),
        "legs_s": {"acceptance_to_decision": quantiles(trace.decided_s[ours][first] - witness.accepted_s)}
        | legs(trace, ours, tap=witness.tap, ids=ids, at_s=at_s),
    }
    others = {"earlier": told & (trace.decided_s < witness.accepted_s), "default": trace.layers == Layer.DEFAULT}
    for name, chosen in others.items():
        figures[f"{name}_instructions"] = int(np.count_nonzero(chosen))
        if chosen.any():
            figures[f"{name}_legs_s"] = legs(trace, chosen, tap=witness.tap, ids=ids, at_s=at_s)
    return figures


def _losses(witness: Witness, trace: Trace, ids: IdArray, holds: IdArray) -> dict[str, int]:
    """Count what is missing or twice; of ``in_force`` by the journal, what its station does not hold is lost."""
    by_journal = trace.held(len(holds), witness.looked_s)
    installed = trace.ids[trace.accepted() & trace.installing()]
    return {
        "unanswered": trace.unanswered(witness.stopped_s - _ANSWER_S),
        "acknowledged": len(installed),
        "in_force": int(np.count_nonzero(by_journal > 0)),
        "acknowledged_unheard": int(np.count_nonzero(~np.isin(installed, ids))),
        "acknowledged_lost": int(np.count_nonzero((by_journal > 0) & (holds != by_journal))),
        "applied_twice": repeated(trace.ids, ids),
        "stale_applied": int(np.count_nonzero((ids >= STALE_ID) & (ids < STALE_ID + STALE_IDS))),
    }
