"""Outbox of setpoints as leases: only the difference between wanted and in force is sent.

At most one command a row is under way. Every command is journalled before it is handed over, and each ends with exactly
one ``Fate``.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

import numpy as np

from numerics.views import read_only
from vpp.dispatch.commands.command_ledger import Fate, LedgerCounts
from vpp.dispatch.commands.command_memory import CommandMemory
from vpp.dispatch.commands.due_commands import NO_COMMAND, Resend, Wanted, due_layers
from vpp.dispatch.commands.in_force import InForce
from vpp.dispatch.commands.journal_codec import (
    OUTCOMES,
    SENT,
    VERDICTS,
    Noted,
    outcome_body,
    sent_body,
    verdict_body,
)
from vpp.dispatch.commands.meter_confirmation import MeterConfirmation
from vpp.dispatch.record import Record
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.dispatch.rows.row_columns import views
from vpp.dispatch.settings import CommandRules
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.state_codec import StateTree

TakeIds = Callable[[int], IdArray]
"""Returns that many command ids, rising and never given before."""

_MODULATING = (ResourceClass.STORAGE, ResourceClass.V2G, ResourceClass.HVAC, ResourceClass.INDUSTRY)


class Outbox:
    """Wanted values of every row, and the commands that bring them about.

    Args:
        index: The fleet.
        rules: Leases, dead bands, confirmation and waits.
        record: Takes the journal entries.
        take_ids: Where command ids come from.
        epoch: Leader epoch that is put on every batch.

    Attributes:
        in_force: Values devices are believed to hold.
        sources: Names of requests and other sources of commands; empty at a position that is free again.
    """

    def __init__(
        self, index: FleetIndex, rules: CommandRules, record: Record, *, take_ids: TakeIds, epoch: int
    ) -> None:
        self._rules, self._record, self._take_ids = rules, record, take_ids
        self.epoch = epoch
        self._memory = CommandMemory(rules.back_off)
        self._states, self.sources = self._memory.states, self._memory.sources
        self.in_force = InForce(self._states)
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed; rows keep what they hold."""
        self._count = len(index)
        self._confirmation = MeterConfirmation(index, self._rules.confirmation)
        self._memory.resize(index, self._confirmation.tolerance_kw)
        deadband = self._rules.deadband
        least_kw = np.maximum(
            deadband.modulated_kw, deadband.modulated_ratio * (index.nameplate.p_max_kw - index.nameplate.p_min_kw)
        )
        self._resend = Resend(
            kw=deadband.kw,
            ratio=deadband.ratio,
            modulated_kw=read_only(np.where(index.is_class(*_MODULATING), least_kw, np.nan)),
            share_kw=read_only(index.nameplate.share_kw),
            renew_s=0.5 * self._rules.leases.lease_s,
        )

    @property
    def columns(self) -> CommandColumns:
        """Commands of every row, read-only."""
        return self._states.columns

    @property
    def least_change_kw(self) -> FloatArray:
        """Least change worth a command to a row that modulates, NaN for other rows, shape ``(n_resources,)``."""
        return self._resend.modulated_kw

    def ledger(self) -> LedgerCounts:
        """Return the commands so far, by how they ended."""
        return self._states.ledger()

    def under_way(self, now_s: float) -> BoolArray:
        """Return rows whose last command is unanswered, or failed and is due again, shape ``(n_resources,)``."""
        return np.asarray((self.columns.unanswered.id > 0) | (self.columns.back_off.retry_s > now_s))

    def refusing(self, at_s: float) -> BoolArray:
        """Return rows that will still be left alone for refusing, ignoring or being unreachable at ``at_s``."""
        return np.asarray((self.columns.back_off.blocked_s > at_s) | (self.columns.back_off.away_s > at_s))

    def ignoring(self) -> BoolArray:
        """Return rows that accept commands and do not follow them, shape ``(n_resources,)``."""
        return np.asarray(self.columns.back_off.ignored & (self.columns.back_off.strikes > 0))

    def source_of(self, row: int) -> str:
        """Return the source of the row's last dispatch value."""
        code = int(self.columns.in_force.source[row])
        return self.sources[code] if code >= 0 else ""

    def source_code(self, name: str) -> int:
        """Return the position of ``name`` in ``sources``, where it is put if it is new; -1 for the empty name."""
        return self._memory.source_code(name)

    def bound_sources(self, now_s: float) -> AbstractSet[str]:
        """Return the sources of which a device may hold a dispatch value, or has a command under way after one."""
        return self._memory.bound_sources(now_s)

    def forget_sources(self, names: Iterable[str]) -> None:
        """Free the positions of sources of which nothing is in force any more."""
        self._memory.forget_sources(names)

    def flush(self, now_s: float, wanted: Wanted, noted: Noted) -> SetpointBatch:
        """Return the commands that are due, journalled already.

        Args:
            now_s: Epoch seconds.
            wanted: Values wanted of some rows; the others must have no wish, nothing in force and nothing under way.
            noted: Notes on each of them.
        """
        self._end(self._states.silent(now_s), Fate.UNREACHABLE, now_s)
        self._states.end_leases(now_s, wanted.rows)
        action = due_layers(views(wanted), self.columns, self._resend, now_s)
        due = np.flatnonzero(action != NO_COMMAND)
        batch = self._batch(now_s, wanted, due, action[due])
        if len(batch):
            sent = Noted(noted.uncontrolled_kw[due], noted.source[due])
            self._record(SENT, now_s, sent_body(batch, sent, self.sources))
            self._states.sent(batch, sent, now_s)
        return batch

    def note_defaults(self, rows: RowArray, default_kw: FloatArray) -> None:
        """Note the default values that ``rows`` hold by their registration of before, ``(len(rows),)`` each."""
        self._states.note_defaults(rows, default_kw)

    def forget(self, rows: RowArray) -> None:
        """Take ``rows`` as never commanded: their devices hold nothing of ours, or others have taken their places."""
        self._states.forget(rows)

    def outcomes(self, batch: OutcomeBatch, now_s: float) -> None:
        """Take outcomes from the links; one of a command that is not under way any more is passed over."""
        if len(batch):
            self._record(OUTCOMES, now_s, outcome_body(batch))
            self._states.answered(batch)

    def observe(self, state: FleetState) -> None:
        """Note links that came up, and compare accepted commands with the meters: each is confirmed or ends in time."""
        self._states.observe_links(state.connected)
        confirmed, ignored, expired = self._confirmation.verdicts(state, self.columns)
        self._end(confirmed, Fate.CONFIRMED, state.at_s)
        self._end(ignored, Fate.IGNORED, state.at_s)
        self._end(expired, Fate.EXPIRED, state.at_s)

    def load(self, state: StateTree, now_s: float) -> None:
        """Take what a ``CommandMemory`` has folded from the journal.

        Commands without outcome end as unreachable and are never repeated. One that was under way may have taken
        effect, so its row counts as limited until its lease ends.
        """
        self._memory.load(state)
        self.epoch = max(self.epoch, self._memory.epoch)
        self._end(np.flatnonzero(self.columns.unanswered.id).astype(np.int32), Fate.UNREACHABLE, now_s)
        self._states.restarted(now_s)
        self._states.end_leases(now_s, np.arange(self._count, dtype=np.int32))

    def _batch(self, now_s: float, wanted: Wanted, due: IdArray, action: CodeArray) -> SetpointBatch:
        """Return the commands of the rows at places ``due``, whose layers are ``action``."""
        rows = wanted.rows[due]
        release, dispatch = action == Layer.RELEASE, action == Layer.DISPATCH
        return SetpointBatch(
            ids=self._take_ids(len(rows)) if len(rows) else np.empty(0, dtype=np.int64),
            rows=rows,
            layers=action,
            power_kw=np.where(release, 0.0, np.where(dispatch, wanted.dispatch_kw[due], wanted.default_kw[due])),
            until_s=np.where(release, now_s, np.where(dispatch, wanted.until_s[due], np.inf)),
            epoch=self.epoch,
        )

    def _end(self, rows: RowArray, fate: Fate, now_s: float) -> None:
        if len(rows):
            self._record(VERDICTS, now_s, verdict_body(rows, fate))
            self._states.ended(rows, fate, now_s)
