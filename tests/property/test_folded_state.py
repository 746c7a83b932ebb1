"""The state of a checkpoint with the tail that follows it is the state of all entries, bit for bit.

The journals are those of a small city cut off in a hold and in regulation (commit 2f8590a), and what their services
went on to write; they are cut at any entry.
"""

import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import FIXTURES
from vpp.application.recovery.folded_state import KINDS, FoldedState
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.store import Store
from vpp.fleet.index import FleetIndex
from vpp.lab.simulate.city import virtual_settings
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import decode_state, encode_state

JOURNALS = FIXTURES / "journal-2f8590a"
FACTS = json.loads((JOURNALS / "facts.json").read_text())


@lru_cache
def journal(name: str) -> tuple[FleetIndex, Sequence[JournalEntry]]:
    """Return fleet and entries of a fixture."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "vpp.sqlite3").write_bytes(gzip.decompress((JOURNALS / f"{name}.sqlite3.gz").read_bytes()))
        store = Store.open(virtual_settings(place).database_url)
        found = store.registry.load(), tuple(store.journal.entries())
        store.close()
    return found


def fresh(index: FleetIndex) -> FoldedState:
    """Return a state that has followed nothing."""
    return FoldedState(lambda: index, dispatch_settings(virtual_settings(Path())))


def folded(index: FleetIndex, entries: Sequence[JournalEntry]) -> FoldedState:
    """Return the state after some entries."""
    state = fresh(index)
    state.follow(entries)
    return state


def bits(state: FoldedState) -> bytes:
    """Return everything of a state as bytes, which are equal only where every bit is."""
    return encode_state(state.state()) + str(state.sequence).encode()


@lru_cache
def whole(name: str) -> bytes:
    """Return the state after all entries of a fixture, as bytes."""
    return bits(folded(*journal(name)))


@pytest.mark.parametrize("name", sorted(FACTS))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_checkpoint_and_tail_are_all_entries(name: str, data: st.DataObject) -> None:
    index, entries = journal(name)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), min_size=1, max_size=3), label="cuts"))
    state = fresh(index)
    for begin, end in zip([0, *cuts], [*cuts, len(entries)], strict=True):
        state.follow(entries[begin:end])
        again = fresh(index)
        again.load(decode_state(encode_state(state.state())), state.sequence)
        state = again
    assert bits(state) == whole(name)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_kinds_that_say_nothing_of_the_state_may_be_left_out(name: str) -> None:
    index, entries = journal(name)
    state = folded(index, [entry for entry in entries if entry.kind in KINDS])
    state.sequence = len(entries)
    assert bits(state) == whole(name)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_state_holds_what_was_true(name: str) -> None:
    index, entries = journal(name)
    facts, state = FACTS[name], folded(index, entries)
    held = state.dispatch.commands.states.columns.in_force
    live = np.flatnonzero(~np.isnan(held.dispatch_kw) & (held.lease_s > facts["stopped_s"]))
    request = state.dispatch.requests.get(facts["request"])
    assert (request.state.value, request.accepted_kw) == (facts["state"], facts["accepted_kw"])
    assert {str(row): float(held.dispatch_kw[row]) for row in live} == pytest.approx(facts["held"])
    assert state.dispatch.commands.states.ledger().sent == facts["sent"]


def test_a_fleet_that_has_grown_keeps_what_its_first_rows_held() -> None:
    index, entries = journal("hold")
    state = folded(index, entries)
    fewer = FleetIndex(
        areas=index.areas,
        operators=index.operators,
        transformers=index.transformers,
        sites=index.sites,
        resources=index.resources[:20],
    )
    small = fresh(fewer)
    small.load(state.state(), state.sequence)
    kept, whole_fleet = (one.dispatch.commands.states.columns.in_force.default_kw for one in (small, state))
    assert np.array_equal(kept, whole_fleet[:20], equal_nan=True)
    small.resize(index)
    assert len(small.dispatch.commands.states.columns.in_force.default_kw) == len(index)
