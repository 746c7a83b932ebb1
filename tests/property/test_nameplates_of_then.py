"""Nameplates that change between commands: the running service, all entries, and a checkpoint with its tail agree."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.story.town import INDEX
from vpp.application.recovery.folded_state import FoldedState
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.dispatch.commands.command_memory import CommandMemory
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, Noted, outcome_body, sent_body
from vpp.dispatch.commands.meter_confirmation import MeterConfirmation
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put
from vpp.fleet.members.changes import CHANGED
from vpp.lab.simulate.city import virtual_settings
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import decode_state, encode_state
from vpp.record.stored_body import read_body, stored_body

_RULES = dispatch_settings(virtual_settings(Path()))
_ROWS = 3
_ACTS = st.lists(
    st.tuples(st.sampled_from(("command", "nameplate", "join")), st.integers(0, _ROWS - 1), st.floats(0.0, 30.0)),
    min_size=1,
    max_size=25,
)


class _Live:
    """Commands as a running service follows them, with the fleet of the moment, and its journal."""

    def __init__(self) -> None:
        self.index = INDEX
        self.memory = CommandMemory(_RULES.commands.back_off)
        self.entries: list[JournalEntry] = []
        self._resize()

    def act(self, what: str, row: int, kw: float) -> None:
        """Send a command that is accepted, change a nameplate, or let a device join."""
        at_s = 1000.0 + len(self.entries)
        if what == "command":
            self._command(row, kw, at_s)
            return
        device = self.index.resources[row]
        member = replace(device, p_max_kw=device.p_min_kw + 40.0 * kw)
        if what == "join":
            member = replace(member, id=f"new-{at_s}", address=f"new-{at_s}/1")
        change = put(self.index, member, at_s=at_s, actor="op")
        self.index = change.applied(self.index)
        self._resize()
        for body in change.bodies() if change.members else ():
            self._record(CHANGED, at_s, body)

    def _command(self, row: int, kw: float, at_s: float) -> None:
        number, rows = np.array([len(self.entries) + 1]), np.array([row], dtype=np.int32)
        batch = SetpointBatch(
            ids=number,
            rows=rows,
            layers=np.array([Layer.DISPATCH], dtype=np.uint8),
            power_kw=np.array([kw]),
            until_s=np.array([at_s + 60.0]),
            epoch=1,
        )
        codes = np.zeros(1, dtype=np.int32)
        answer = OutcomeBatch(
            ids=number,
            rows=rows,
            status=np.array([OutcomeStatus.ACCEPTED], dtype=np.uint8),
            reasons=np.array([Reason.NONE], dtype=np.uint8),
            at_s=np.array([at_s + 0.5]),
        )
        self._record(SENT, at_s, sent_body(batch, Noted(np.array([7.0]), codes), ["a request"]))
        self._record(OUTCOMES, at_s, outcome_body(answer))
        self.memory.follow(self.entries[-2])
        self.memory.follow(self.entries[-1])

    def _resize(self) -> None:
        confirmation = MeterConfirmation(self.index, _RULES.commands.confirmation)
        self.memory.resize(self.index, confirmation.tolerance_kw)

    def _record(self, kind: str, at_s: float, body: dict[str, object]) -> None:
        read = body if kind != CHANGED else read_body(*stored_body(body))
        self.entries.append(JournalEntry(sequence=len(self.entries) + 1, kind=kind, at_s=at_s, body=read, sha256=""))


def _fresh(index: FleetIndex, entries: Sequence[JournalEntry]) -> FoldedState:
    """Return a state before all entries, of a start that knows the fleet of the end."""
    state = FoldedState(lambda: index, _RULES)
    state.date_back(entry for entry in entries if entry.kind == CHANGED)
    return state


@settings(deadline=None, max_examples=60)
@given(acts=_ACTS, data=st.data())
def test_a_fold_with_the_fleet_of_the_end_is_what_the_service_held(
    acts: Sequence[tuple[str, int, float]], data: st.DataObject
) -> None:
    live = _Live()
    for act in acts:
        live.act(*act)
    state = _fresh(live.index, live.entries)
    state.follow(live.entries)
    assert encode_state(state.dispatch.commands.state()) == encode_state(live.memory.state())

    cut = data.draw(st.integers(0, len(live.entries)), label="cut")
    early = _fresh(live.index, live.entries)
    early.follow(live.entries[:cut])
    kept = encode_state(early.state())
    again = FoldedState(lambda: live.index, _RULES)
    again.load(decode_state(kept), cut)
    again.follow(live.entries[cut:])
    assert encode_state(again.state()) == encode_state(state.state())
