"""States of the commands of every row, changed by named transitions only: sent, answered, ended, lease over.

A row holds a default and perhaps a dispatch value (*in force*), and has at most one command under way: *unanswered*,
then *unconfirmed* until its meter shows it. Diagram and table: ``docs/row-states.md``.
"""

import numpy as np

from vpp.dispatch.code_sets import among
from vpp.dispatch.commands.back_off import RowBackOff
from vpp.dispatch.commands.command_ledger import CommandLedger, Fate, LedgerCounts
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.rows.command_columns import blank_commands
from vpp.dispatch.rows.row_columns import grown, put_tree, refilled, repeated, tree_of, views
from vpp.dispatch.settings import BackOff
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.fleet.index import ADAPTERS, FleetIndex
from vpp.record.state_codec import StateTree

_UNTOUCHED = (Reason.REFUSED, Reason.NOT_CONNECTED, Reason.UNSUPPORTED, Reason.EXPIRED)
"""Reasons that say the device still holds what it held before."""
_DOUBT_KW = 1e-3
"""What a safe default counts as higher that may have been taken: no other value equals it, so that it is sent again."""


class CommandStates:
    """The one owner of the columns in which commands are followed.

    Args:
        rules: Waits after failure.

    Attributes:
        columns: Read-only view of the columns, replaced by ``resize`` only.
    """

    def __init__(self, rules: BackOff) -> None:
        self._rules = rules
        self._own = repeated(blank_commands(), 0)
        self.columns = views(self._own)
        self._back_off = RowBackOff(self._own.back_off, rules)
        self._ledger = CommandLedger()
        self._tolerance_kw: FloatArray = np.zeros(0)
        self._adapter = np.zeros(0, dtype=np.int32)
        self._charging = np.zeros(0, dtype=np.bool_)
        self._connected: BoolArray = np.zeros(0, dtype=np.bool_)

    def resize(self, index: FleetIndex, tolerance_kw: FloatArray) -> None:
        """Take a fleet that has grown or changed; rows keep their states.

        Args:
            index: The fleet.
            tolerance_kw: Powers of a row that differ by no more count as the same, shape ``(n_resources,)``.
        """
        self._own = grown(self._own, blank_commands(), len(index))
        self.columns = views(self._own)
        self._back_off = RowBackOff(self._own.back_off, self._rules)
        self._adapter = index.adapter_code.astype(np.int32)
        self._charging = index.is_class(ResourceClass.EV)
        self.tolerate(tolerance_kw)

    def tolerate(self, tolerance_kw: FloatArray) -> None:
        """Take other tolerances, as for ``resize``."""
        self._tolerance_kw = tolerance_kw

    def state(self) -> StateTree:
        """Return columns and ledger as a state tree; its arrays are the columns themselves."""
        return {"columns": tree_of(self.columns), "ledger": self._ledger.state()}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned, of a fleet of another size perhaps; rows beyond it are left as they are."""
        put_tree(self._own, state["columns"])
        self._ledger.load(state["ledger"])

    def ledger(self) -> LedgerCounts:
        """Return the commands so far, by how they ended."""
        pending = np.count_nonzero(self._own.unanswered.id) + np.count_nonzero(self._own.unconfirmed.id)
        return self._ledger.counts(int(pending))

    def sent(self, batch: SetpointBatch, noted: Noted, now_s: float) -> None:
        """Note commands as sent; those under way for the same rows are superseded."""
        held, out, accepted, rows = self._own.in_force, self._own.unanswered, self._own.unconfirmed, batch.rows
        self._ledger.sent += len(rows)
        self._end(rows[accepted.id[rows] > 0], Fate.SUPERSEDED)
        self._end(rows[out.id[rows] > 0], Fate.SUPERSEDED)
        self._doubt(rows[out.id[rows] > 0])
        accepted.id[rows] = 0
        out.id[rows], out.layer[rows], out.power_kw[rows] = batch.ids, batch.layers, batch.power_kw
        out.until_s[rows], out.sent_s[rows] = batch.until_s, now_s
        dispatch = batch.layers == Layer.DISPATCH
        limited = rows[dispatch]
        held.limited_s[limited] = np.maximum(held.limited_s[limited], batch.until_s[dispatch])
        held.uncontrolled_kw[limited], held.source[limited] = noted.uncontrolled_kw[dispatch], noted.source[dispatch]
        held.released_s[rows[batch.layers == Layer.RELEASE]] = now_s

    def answered(self, batch: OutcomeBatch) -> None:
        """Note outcomes; one of a command that is not under way any more is passed over."""
        known = (batch.ids > 0) & (self._own.unanswered.id[batch.rows] == batch.ids)
        rows, status = batch.rows[known], batch.status[known]
        reasons, at_s = batch.reasons[known], batch.at_s[known]
        accepted = status == OutcomeStatus.ACCEPTED
        if accepted.any():
            self._accept(rows[accepted], at_s[accepted])
        if not accepted.all():
            self._fail(rows[~accepted], status[~accepted], reasons[~accepted], at_s[~accepted])
        self._own.unanswered.id[rows] = 0

    def ended(self, rows: RowArray, fate: Fate, at_s: float) -> None:
        """End commands by a verdict: unreachable without an outcome, or confirmed, ignored or expired by the meter."""
        self._end(rows, fate, Reason.TIMEOUT if fate is Fate.UNREACHABLE else Reason.NONE)
        if fate is Fate.UNREACHABLE:
            self._back_off.unreachable(rows, np.full(len(rows), at_s))
            self._doubt(rows)
            self._own.unanswered.id[rows] = 0
            return
        dispatch = rows[self._own.unconfirmed.layer[rows] == Layer.DISPATCH]
        if fate is Fate.CONFIRMED:
            self._back_off.confirmed(dispatch)
        if fate is Fate.IGNORED:
            self._back_off.ignored(dispatch, at_s)
        self._own.unconfirmed.id[rows] = 0

    def silent(self, now_s: float) -> RowArray:
        """Return the rows whose command has been without an outcome for too long."""
        out = np.flatnonzero(self._own.unanswered.id).astype(np.int32)
        return out[now_s >= self._own.unanswered.sent_s[out] + self._rules.answer_s]

    def end_leases(self, now_s: float, rows: RowArray) -> None:
        """Take dispatch values whose lease is over as no longer in force."""
        held = self._own.in_force
        held.dispatch_kw[rows[now_s >= held.lease_s[rows]]] = np.nan

    def observe_links(self, connected: BoolArray) -> None:
        """Note links that have come up, shape ``(n_resources,)``; after a restart every link that is up has."""
        before = np.zeros(len(connected), dtype=np.bool_)
        before[: len(self._connected)] = self._connected[: len(connected)]
        self._connected = connected
        self._back_off.reconnected(connected & ~before)

    def forget(self, rows: RowArray) -> None:
        """Take ``rows`` as never commanded: their devices hold nothing of ours, or others have taken their places."""
        self._end(rows[self._own.unconfirmed.id[rows] > 0], Fate.SUPERSEDED)
        self._end(rows[self._own.unanswered.id[rows] > 0], Fate.SUPERSEDED)
        refilled(self._own, blank_commands(), rows)

    def bound_sources(self, now_s: float) -> RowArray:
        """Return the sources of which a device may hold a dispatch value, or has a command under way after one."""
        held = self._own.in_force
        sources = held.source[(held.limited_s > now_s) | (self._own.unanswered.id > 0)]
        return np.unique(sources[sources >= 0])

    def forget_source(self, source: int) -> None:
        """Take the dispatch values of a source, none of which is in force any more, as of no source."""
        held = self._own.in_force
        held.source[held.source == source] = -1

    def note_defaults(self, rows: RowArray, default_kw: FloatArray) -> None:
        """Note the values that ``rows`` hold by their registration of before, where no other one is in force."""
        held = self._own.in_force
        untold = np.isnan(held.default_kw[rows])
        held.default_kw[rows[untold]] = default_kw[untold]

    def restarted(self, now_s: float) -> None:
        """Restart the time for confirmations, and forget waits: an earlier life of the service knew other links."""
        accepted = self._own.unconfirmed
        accepted.accepted_s[accepted.id > 0] = now_s
        self._back_off.restarted()

    def _accept(self, rows: RowArray, at_s: FloatArray) -> None:
        held, out, accepted = self._own.in_force, self._own.unanswered, self._own.unconfirmed
        self._ledger.accepted += len(rows)
        self._back_off.reached(rows)
        layer = out.layer[rows]
        default, dispatch, release = (rows[layer == code] for code in (Layer.DEFAULT, Layer.DISPATCH, Layer.RELEASE))
        self._back_off.accepted(dispatch)
        held.default_kw[default] = out.power_kw[default]
        moved = ~(np.abs(out.power_kw[dispatch] - held.since_kw[dispatch]) <= self._tolerance_kw[dispatch])
        moved |= np.isnan(held.dispatch_kw[dispatch])
        held.since_kw[dispatch[moved]] = out.power_kw[dispatch[moved]]
        held.since_s[dispatch[moved]] = at_s[layer == Layer.DISPATCH][moved]
        held.dispatch_kw[dispatch] = out.power_kw[dispatch]
        held.lease_s[dispatch] = held.limited_s[dispatch] = out.until_s[dispatch]
        held.dispatch_kw[release] = np.nan
        held.lease_s[release] = held.limited_s[release] = -np.inf
        # A default value under a dispatch value shows on no meter, nor does a release: the answer is all there is.
        hidden = (layer == Layer.RELEASE) | ((layer == Layer.DEFAULT) & ~np.isnan(held.dispatch_kw[rows]))
        self._end(rows[hidden], Fate.CONFIRMED)
        shown = rows[~hidden]
        accepted.id[shown], accepted.layer[shown] = out.id[shown], out.layer[shown]
        accepted.power_kw[shown], accepted.accepted_s[shown] = out.power_kw[shown], at_s[~hidden]

    def _fail(self, rows: RowArray, status: CodeArray, reasons: CodeArray, at_s: FloatArray) -> None:
        held, layer = self._own.in_force, self._own.unanswered.layer
        unreached = (status == OutcomeStatus.UNREACHABLE) | (reasons == Reason.NOT_CONNECTED)
        replaced = ~unreached & (reasons == Reason.EXPIRED)
        refused = ~unreached & ~replaced
        for fate, chosen in ((Fate.UNREACHABLE, unreached), (Fate.SUPERSEDED, replaced), (Fate.REFUSED, refused)):
            for reason in np.unique(reasons[chosen]):
                self._end(rows[chosen & (reasons == reason)], fate, Reason(int(reason)))
        self._back_off.unreachable(rows[unreached], at_s[unreached])
        self._back_off.refused(rows[refused], layer[rows[refused]], at_s[refused])
        self._doubt(rows[~among(reasons, _UNTOUCHED)])
        untouched = rows[among(reasons, _UNTOUCHED) & (layer[rows] == Layer.DISPATCH)]
        held.limited_s[untouched] = held.lease_s[untouched]

    def _doubt(self, rows: RowArray) -> None:
        """Count the safe defaults under way to ``rows``, which may have been taken, as in force where they are higher.

        Default values of a plan are not followed so: another one is sent before long.
        """
        held, out = self._own.in_force, self._own.unanswered
        rows = rows[(out.id[rows] > 0) & (out.layer[rows] == Layer.DEFAULT) & self._charging[rows]]
        held.default_kw[rows] = np.fmax(held.default_kw[rows], out.power_kw[rows] + _DOUBT_KW)

    def _end(self, rows: RowArray, fate: Fate, reason: Reason = Reason.NONE) -> None:
        counts = np.bincount(self._adapter[rows], minlength=len(ADAPTERS)) if len(rows) else ()
        for adapter, count in zip(ADAPTERS, counts, strict=False):
            self._ledger.end(adapter.value, fate, reason, int(count))
