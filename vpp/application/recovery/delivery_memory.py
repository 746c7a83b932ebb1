"""Delivery as the journal tells it: what was issued, and in which entries plan, baselines and session means stand.

These are as large as the fleet and never change: the state names their entries, and they are read from the journal when
they are needed.
"""

from typing import Any

import numpy as np

from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.issued_shares import shares_body, shares_from
from vpp.application.delivery.official_results import OFFICIAL, official_body, official_of
from vpp.application.delivery.recovery import ISSUED, Issued, issued_of
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.application.loops.slow_loop import PLAN
from vpp.dispatch.requests.forgotten import FORGOTTEN
from vpp.domain.official_settlement import OfficialResult
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

KINDS = frozenset({BASELINE, SESSIONS, ISSUED, OFFICIAL, PLAN, FORGOTTEN})
"""Kinds of the entries it takes."""


class DeliveryMemory:
    """Issued measurements, and the sequence numbers of what they rest on.

    Attributes:
        plan: Entry of the last plan, 0 before the first.
        baselines: Entry of every request's last frozen baseline, by request id.
        session_means: Entry of every interval's session means, by epoch seconds of its start.
        issued: Issued measurements by request id.
        forgotten: What stays known of forgotten requests.
        officials: Versions of official results by request id.
    """

    def __init__(self) -> None:
        self.plan = 0
        self.baselines: dict[str, int] = {}
        self.session_means: dict[float, int] = {}
        self.issued: dict[str, Issued] = {}
        self.forgotten = ForgottenCalls()
        self.officials: dict[str, list[OfficialResult]] = {}

    def follow(self, entry: JournalEntry) -> None:
        """Take one entry of the journal; other kinds are passed over."""
        body: Any = entry.body
        if entry.kind == PLAN:
            self.plan = entry.sequence
        elif entry.kind == BASELINE:
            self.baselines[str(body["request_id"])] = entry.sequence
        elif entry.kind == SESSIONS:
            self.session_means[float(body["start_s"])] = entry.sequence
        elif entry.kind == ISSUED:
            self.issued.update(issued_of((entry,)))
        elif entry.kind == FORGOTTEN:
            self._forget(body)
        elif entry.kind == OFFICIAL:
            self.officials.setdefault(str(body["request_id"]), []).append(official_of(entry.at_s, body))

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {
            "plan": self.plan,
            "baselines": dict(self.baselines),
            "mean_starts_s": np.array(list(self.session_means), dtype=np.float64),
            "mean_entries": np.array(list(self.session_means.values()), dtype=np.int64),
            "issued": {
                request_id: [
                    issued.at_s,
                    issued.delivered_mean_kw,
                    dict(issued.spread_kw),
                    shares_body(issued.shares),
                    issued.version,
                ]
                for request_id, issued in self.issued.items()
            },
            "forgotten": self.forgotten.body(),
            "officials": {
                request_id: [[result.at_s, official_body(result)] for result in versions]
                for request_id, versions in self.officials.items()
            },
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        self.plan = int(state["plan"])
        self.baselines = dict(state["baselines"])
        self.session_means = dict(zip(state["mean_starts_s"].tolist(), state["mean_entries"].tolist(), strict=True))
        self.issued = {
            request_id: Issued(
                at_s=at_s,
                delivered_mean_kw=mean_kw,
                spread_kw=spread_kw,
                shares=shares_from(shares),
                version=int(version[0]) if version else 1,  # checkpoints of before corrections have none
            )
            for request_id, (at_s, mean_kw, spread_kw, shares, *version) in state["issued"].items()
        }
        # States of earlier versions lack it: nothing was forgotten then.
        self.forgotten = ForgottenCalls.of(state["forgotten"]) if "forgotten" in state else ForgottenCalls()
        # Checkpoints of before official results were taken know none.
        self.officials = {
            request_id: [official_of(at_s, body) for at_s, body in versions]
            for request_id, versions in state.get("officials", {}).items()
        }

    def _forget(self, body: Any) -> None:  # noqa: ANN401 - a journal's body is JSON
        for request_id in body["ids"]:
            self.baselines.pop(request_id, None)
            self.issued.pop(request_id, None)
            self.officials.pop(request_id, None)
        kept_from_s = float(body["means_from_s"])
        self.session_means = {start_s: entry for start_s, entry in self.session_means.items() if start_s >= kept_from_s}
        calls = ForgottenCalls.of(body["calls"])
        self.forgotten.add(calls, from_s=float(body["calls_from_s"]))
