"""Figures of a run, from the journal, the bus and the stations: legs of every command, losses, repetitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.bootstrap.store import Store
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.lab.bench.path.kill import STALE_ID, STALE_IDS, GatewayLoss
from vpp.lab.bench.path.trace import KINDS, BusTap, Trace, legs, quantiles, repeated
from vpp.lab.compose.load.worker_group import Reply

_ANSWER_S = 30.0
"""A command sent later than this before the end may be without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Observations of a run, made once the service has stopped.

    Attributes:
        figures: Figures known without the journal.
        tap: Messages on the bus.
        received: Profiles received by the stations, swarm by swarm.
        accepted_s: Epoch seconds of the acceptance.
        stopped_s: Epoch seconds at which the service's end began.
        asked_s: Epoch seconds at which the stations' profiles were read.
        killed: The gateway that was killed, if one was.
    """

    figures: dict[str, Any]
    tap: BusTap
    received: Sequence[Reply]
    accepted_s: float
    stopped_s: float
    asked_s: float
    killed: GatewayLoss | None


def judged(observation: Observation, url: str, n_rows: int) -> dict[str, Any]:
    """Return all figures of the report."""
    store = Store.open(url)
    trace = Trace.of(store.journal.entries(KINDS), n_rows)
    store.close()
    ids, at_s, holds = _profiles_received(observation.received)
    figures = observation.figures | _legs(observation, trace, ids, at_s) | _losses(observation, trace, ids, holds)
    figures["failures"] += figures["unanswered"] + figures["stale_applied"]
    if observation.killed is not None:
        killed = observation.killed
        figures |= {
            "killed_stations": killed.stations,
            "back_booted_s": killed.booted_s,
            "back_seen_s": killed.seen_s,
        }
    else:
        figures["failures"] += figures["not_accepted"]
    return figures


def _profiles_received(received: Sequence[Reply]) -> tuple[IdArray, FloatArray, IdArray]:
    """Return ids and instants of arrival at all stations, in order, and the profile in force in every row."""
    ids = np.concatenate([reply["ids"] for reply in received])
    at_s = np.concatenate([reply["at_s"] for reply in received])
    order = np.argsort(at_s, kind="stable")
    return ids[order], at_s[order], np.concatenate([reply["holds"] for reply in received])


def _legs(observation: Observation, trace: Trace, ids: IdArray, at_s: FloatArray) -> dict[str, Any]:
    """Return the legs of the request's commands, and of those before it, which hold new cars below the caps."""
    sent = trace.installing() & (trace.layers == Layer.DISPATCH)
    ours = sent & (trace.decided_s >= observation.accepted_s) & (trace.decided_s < observation.stopped_s - _ANSWER_S)
    first = np.unique(trace.rows[ours], return_index=True)[1]
    figures: dict[str, Any] = {
        "instructions": int(np.count_nonzero(ours)),
        "stations_told": len(first),
        "confirmed": int(np.count_nonzero(ours & trace.accepted() & ~np.isnan(trace.confirmed_s))),
        "not_accepted": int(np.count_nonzero(ours & ~trace.accepted())),
        "legs_s": {"acceptance_to_decision": quantiles(trace.decided_s[ours][first] - observation.accepted_s)}
        | legs(trace, ours, tap=observation.tap, ids=ids, at_s=at_s),
    }
    others = {
        "earlier": sent & (trace.decided_s < observation.accepted_s),
        "default": trace.layers == Layer.DEFAULT,
    }
    for name, chosen in others.items():
        figures[f"{name}_instructions"] = int(np.count_nonzero(chosen))
        if chosen.any():
            figures[f"{name}_legs_s"] = legs(trace, chosen, tap=observation.tap, ids=ids, at_s=at_s)
    return figures


def _losses(observation: Observation, trace: Trace, ids: IdArray, holds: IdArray) -> dict[str, int]:
    """Count commands lost or repeated; one in force by the journal that its station does not hold is lost."""
    by_journal = trace.held(len(holds), observation.asked_s)
    installed = trace.ids[trace.accepted() & trace.installing()]
    return {
        "unanswered": trace.unanswered(observation.stopped_s - _ANSWER_S),
        "acknowledged": len(installed),
        "in_force": int(np.count_nonzero(by_journal > 0)),
        "acknowledged_unheard": int(np.count_nonzero(~np.isin(installed, ids))),
        "acknowledged_lost": int(np.count_nonzero((by_journal > 0) & (holds != by_journal))),
        "applied_twice": repeated(trace.ids, ids),
        "stale_applied": int(np.count_nonzero((ids >= STALE_ID) & (ids < STALE_ID + STALE_IDS))),
    }
