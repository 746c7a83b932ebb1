"""Tracking of every request as the journal tells it: its cycles, and what the controller last remembered."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from numerics.views import read_only
from vpp.domain.telemetry import FloatArray
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

TRACKING = "dispatch.tracking"
"""Kind of the entries: one request in one cycle."""
_FIGURES = ("target_kw", "baseline_kw", "measured_kw")
_COLUMNS = 1 + len(_FIGURES)
_MEASURED = 1 + _FIGURES.index("measured_kw")


class TrackingMemory:
    """Cycles of every request: instant, target, baseline and measured power.

    What meters showed at a cycle of a request with a signal is amended by a later one, when all have been read.

    Attributes:
        last: What tracking remembered at the end of each request's last cycle, as journalled.
    """

    def __init__(self) -> None:
        self.last: dict[str, Mapping[str, Any]] = {}
        self._loaded: dict[str, FloatArray] = {}
        self._since: dict[str, array[float]] = {}

    def follow(self, entry: JournalEntry) -> None:
        """Take one entry of kind ``TRACKING``."""
        body: Any = entry.body
        self.last[body["id"]] = body["memory"]
        if "metered" in body:
            self._amend(body["id"], *body["metered"])
        figures = (_number(body[name]) for name in _FIGURES)
        self._since.setdefault(body["id"], array("d")).extend((entry.at_s, *figures))

    def _amend(self, request_id: str, at_s: Sequence[float], measured_kw: Sequence[float]) -> None:
        """Take what meters were found to have shown at earlier cycles of a request, once all had been read."""
        instants_s, measured = np.array(at_s, dtype=np.float64), np.array(measured_kw, dtype=np.float64)
        known = self._loaded.get(request_id)
        if known is not None and instants_s[0] <= known[-1, 0]:
            known = self._loaded[request_id] = known.copy()
            _put_measured(known, instants_s, measured)
        if request_id in self._since:
            _put_measured(np.frombuffer(self._since[request_id]).reshape(-1, _COLUMNS), instants_s, measured)

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop the cycles of some requests."""
        for request_id in request_ids:
            self.last.pop(request_id, None)
            self._loaded.pop(request_id, None)
            self._since.pop(request_id, None)

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {"last": {name: dict(last) for name, last in self.last.items()}, "cycles": self.cycles()}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self.last = dict(state["last"])
        self._loaded = {name: read_only(np.array(cycles, dtype=np.float64)) for name, cycles in state["cycles"].items()}
        self._since = {}

    def cycles(self) -> dict[str, FloatArray]:
        """Return the cycles of every request by id, NaN for a figure not known, shape ``(n_cycles, 4)`` each.

        Read-only; those of a request without any since ``load`` are this object's own: years of them are tens of
        megabytes.
        """
        since = {name: read_only(np.array(cycles).reshape(-1, _COLUMNS)) for name, cycles in self._since.items()}
        known = self._loaded
        both = {name: read_only(np.concatenate((known[name], since[name]))) for name in since if name in known}
        return {**known, **since, **both}


def _put_measured(cycles: FloatArray, at_s: FloatArray, measured_kw: FloatArray) -> None:
    """Write the measured power of those cycles that began at ``at_s``, rising; others are passed over."""
    place = np.minimum(np.searchsorted(cycles[:, 0], at_s), len(cycles) - 1)
    same = cycles[place, 0] == at_s
    cycles[place[same], _MEASURED] = measured_kw[same]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
