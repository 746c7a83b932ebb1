"""Power ranges of the fleet as of an entry of the journal: what a restart has to know of nameplates of then."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry


class PowerRanges:
    """Greatest less least power of every row, after the changes of the fleet that were followed.

    Attributes:
        kw: Shape ``(n_resources,)``.
    """

    def __init__(self) -> None:
        self.kw: FloatArray = np.zeros(0)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown; rows known before keep their ranges, whatever they are in ``index``."""
        plate = index.nameplate
        self.kw = np.concatenate((self.kw, (plate.p_max_kw - plate.p_min_kw)[len(self.kw) :]))

    def follow(self, entry: JournalEntry) -> None:
        """Take the ranges after an entry ``fleet.changed``."""
        for row, _, new in _resources(entry):
            self.kw[row] = _range_kw(new)

    def date_back(self, changes: Iterable[JournalEntry]) -> None:
        """Take the ranges before ``changes``, the entries ``fleet.changed`` since, in order; now they are those after.

        A row that joins by one of them has its range of then.
        """
        found: dict[int, float] = {}
        for entry in changes:
            for row, old, new in _resources(entry):
                found.setdefault(row, _range_kw(old or new))
        for row, range_kw in found.items():
            self.kw[row] = range_kw

    def load(self, kw: FloatArray) -> None:
        """Take the ranges of a fleet of another size perhaps; rows beyond it are left as they are."""
        count = min(len(self.kw), len(kw))
        self.kw[:count] = kw[:count]


def _resources(entry: JournalEntry) -> Iterator[tuple[int, Mapping[str, Any] | None, Mapping[str, Any]]]:
    """Iterate rows that an entry ``fleet.changed`` tells of, before (``None`` where they join) and after."""
    body: Any = entry.body
    for change in body["changes"]:
        if change["kind"] == "resource":
            yield int(change["position"]), change["old"], change["new"]


def _range_kw(member: Mapping[str, Any]) -> float:
    """Return the range of a resource as `vpp.fleet.members.member_codec.body_of` describes it."""
    return float(member["p_max_kw"]) - float(member["p_min_kw"])
