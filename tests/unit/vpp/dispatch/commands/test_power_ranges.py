"""Power ranges follow the changes of the fleet, forwards and back."""

from dataclasses import replace

import numpy as np

from tests.story.town import INDEX
from vpp.dispatch.commands.power_ranges import PowerRanges
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put, retire
from vpp.fleet.members.changes import CHANGED, FleetChange
from vpp.record.entry import JournalEntry

ROW = 3


def of(index: FleetIndex) -> PowerRanges:
    """Return the ranges of a fleet as it is."""
    ranges = PowerRanges()
    ranges.resize(index)
    return ranges


def told(change: FleetChange) -> JournalEntry:
    """Return the entry of a change."""
    return JournalEntry(sequence=1, kind=CHANGED, at_s=change.at_s, body=change.bodies()[0], sha256="")


def changed() -> tuple[list[FleetIndex], list[JournalEntry]]:
    """Return a fleet whose row is widened twice, which another one joins, and whose row is retired; its entries."""
    fleets, entries = [INDEX], list[JournalEntry]()
    device = INDEX.resources[ROW]
    wider = replace(device, p_min_kw=device.p_min_kw - 1.0, p_max_kw=device.p_max_kw + 50.0)
    for number, member in enumerate(
        (wider, replace(wider, p_max_kw=500.0), replace(device, id="new", address="new/1", p_max_kw=99.0))
    ):
        change = put(fleets[-1], member, at_s=100.0 + number, actor="a")
        entries.append(told(change))
        fleets.append(change.applied(fleets[-1]))
    gone = retire(fleets[-1], "resource", device.id, at_s=200.0, actor="a")
    return [*fleets, gone.applied(fleets[-1])], [*entries, told(gone)]


def test_ranges_after_every_entry_are_those_of_the_fleet_of_then() -> None:
    fleets, entries = changed()
    ranges = of(INDEX)
    for fleet, entry in zip(fleets[1:], entries, strict=True):
        ranges.resize(fleets[-1])
        ranges.follow(entry)
        assert np.array_equal(ranges.kw[: len(fleet)], of(fleet).kw)


def test_ranges_of_the_end_dated_back_are_those_of_the_beginning() -> None:
    fleets, entries = changed()
    for begin, fleet in enumerate(fleets):
        ranges = of(fleets[-1])
        ranges.date_back(entries[begin:])
        assert np.array_equal(ranges.kw[: len(fleet)], of(fleet).kw)


def test_rows_known_before_keep_their_ranges_in_a_larger_fleet() -> None:
    fleets, _ = changed()
    ranges = of(INDEX)
    ranges.resize(fleets[-1])
    assert np.array_equal(ranges.kw[: len(INDEX)], of(INDEX).kw)
    assert ranges.kw[-1] == of(fleets[-1]).kw[-1]


def test_ranges_of_a_smaller_fleet_leave_the_rows_beyond() -> None:
    ranges = of(INDEX)
    ranges.load(np.zeros(2))
    assert np.array_equal(ranges.kw[:2], np.zeros(2))
    assert np.array_equal(ranges.kw[2:], of(INDEX).kw[2:])
