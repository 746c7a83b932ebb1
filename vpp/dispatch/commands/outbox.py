"""Setpoints as leases: what is wanted, what is in force, what is under way, and what became of it.

The outbox compares the wanted value of each row with what the device is believed to hold and sends only the
difference, at most one command a row at a time. Every command is journalled before it is handed over, and each ends
with exactly one ``Fate``.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.code_sets import among, of_class
from vpp.dispatch.columns import CommandTable
from vpp.dispatch.commands.command_ledger import CommandLedger, Fate, LedgerCounts
from vpp.dispatch.requests.book import Record
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.views import read_only
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.packing import column_body, column_of
from vpp.domain.resource import Adapter, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE

SENT = "setpoints.sent"
OUTCOMES = "setpoints.outcomes"
VERDICTS = "setpoints.verdicts"
TakeIds = Callable[[int], IdArray]
"""Returns that many command ids, rising and never given before."""

_ADAPTERS = tuple(Adapter)
_DEFAULT, _DISPATCH, _RELEASE = int(Layer.DEFAULT), int(Layer.DISPATCH), int(Layer.RELEASE)
_NOTHING = 255
_LEASE_SLACK_S = 5.0
"""A lease that ends this soon after a sample may have ended before it: devices count by clocks of their own."""
_LEAST_RAMP_KW_PER_MIN = 1.0
"""No plant is waited for as if it were slower."""
_UNTOUCHED = (Reason.REFUSED, Reason.NOT_CONNECTED, Reason.UNSUPPORTED, Reason.EXPIRED)
"""Reasons that say the device still holds what it held before."""


class Outbox:
    """Desired state of every row and the commands that bring it about.

    Args:
        index: The fleet.
        settings: Leases, dead bands and back-off.
        record: Takes the journal entries.
        take_ids: Where command ids come from.
        epoch: Leader epoch that is put on every batch.
    """

    def __init__(
        self, index: FleetIndex, settings: DispatchSettings, record: Record, *, take_ids: TakeIds, epoch: int
    ) -> None:
        self._settings = settings
        self._record = record
        self._take_ids = take_ids
        self.epoch = epoch
        self.table = CommandTable()
        self.sources: list[str] = []
        self._ledger = CommandLedger()
        self._connected: BoolArray = np.zeros(0, dtype=np.bool_)
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; rows keep what they hold."""
        self._index = index
        self._adapter = index.adapter_code.astype(np.int32)
        self._ceiling = of_class(index, ResourceClass.EV)
        self._producing = of_class(index, ResourceClass.PV)
        self._span_kw = index.nameplate.p_max_kw - index.nameplate.p_min_kw
        self._ramp_kw_per_s = np.maximum(index.nameplate.ramp_kw_per_min, _LEAST_RAMP_KW_PER_MIN) / SECONDS_PER_MINUTE
        self._consuming = of_class(index, ResourceClass.HVAC, ResourceClass.INDUSTRY)
        self._modulated = of_class(index, ResourceClass.STORAGE, ResourceClass.V2G) | self._consuming
        least = np.maximum(self._settings.modulated_resend_kw, self._settings.modulated_resend_ratio * self._span_kw)
        self._least_change_kw = np.where(self._modulated, least, np.nan)
        self.table.grow(len(index))

    def ledger(self) -> LedgerCounts:
        """Return what became of every command so far."""
        t = self.table
        return self._ledger.counts(int(np.count_nonzero(t.out_id) + np.count_nonzero(t.wait_id)))

    def limited(self, now_s: float) -> BoolArray:
        """Return the rows in which a dispatch value of ours may still be in force."""
        return np.asarray(self.table.limited_s > now_s)

    def settled(self) -> BoolArray:
        """Return the rows with a dispatch value in force and nothing under way."""
        t = self.table
        return np.asarray((t.out_id == 0) & (t.wait_id == 0) & ~np.isnan(t.dispatch_kw))

    def telling(self, now_s: float) -> BoolArray:
        """Return rows whose last command is under way, or failed and is due again, shape ``(n_resources,)``."""
        return np.asarray((self.table.out_id > 0) | (self.table.retry_s > now_s))

    def source_of(self, row: int) -> str:
        """Return who asked for the row's last dispatch value."""
        code = int(self.table.source[row])
        return self.sources[code] if code >= 0 else ""

    def flush(
        self,
        now_s: float,
        *,
        default_kw: FloatArray,
        dispatch_kw: FloatArray,
        until_s: FloatArray,
        free_kw: FloatArray,
        source: RowArray,
        reachable: BoolArray,
        urgent: BoolArray,
        rows: RowArray | None = None,
    ) -> SetpointBatch:
        """Return the commands that are due, journalled already.

        Args:
            now_s: Epoch seconds.
            rows: Rows to look at, rising; all if not given. The other arrays have one value for each of them. Rows left
                out must have no wish, nothing in force and nothing under way.
            default_kw: Wanted default value, NaN where we have no wish.
            dispatch_kw: Wanted dispatch value, NaN where the row should be free.
            until_s: Lease to give to a dispatch value.
            free_kw: Free power, noted with the command so that it survives a restart.
            source: Position in ``sources`` of who asks.
            reachable: Rows whose link is up.
            urgent: Rows that do not wait for the outcome of an earlier command.
        """
        looked_at = np.arange(len(self._index), dtype=np.int32) if rows is None else rows
        self._give_up_silent(now_s)
        self._end_leases(now_s, looked_at)
        action = self._actions(now_s, looked_at, default_kw, dispatch_kw, until_s, reachable=reachable, urgent=urgent)
        due = np.flatnonzero(action != _NOTHING)
        rows, default_kw, dispatch_kw, until_s = looked_at[due], default_kw[due], dispatch_kw[due], until_s[due]
        release, dispatch = (action[due] == code for code in (Layer.RELEASE, Layer.DISPATCH))
        layers = np.select((release, dispatch), (Layer.RELEASE, Layer.DISPATCH), Layer.DEFAULT)
        values = np.select((release, dispatch), (np.zeros(len(rows)), dispatch_kw), default_kw)
        until = np.select((release, dispatch), (np.full(len(rows), now_s), until_s), np.inf)
        batch = SetpointBatch(
            ids=self._take_ids(len(rows)) if len(rows) else np.empty(0, dtype=np.int64),
            rows=rows,
            layers=layers.astype(np.uint8),
            power_kw=values,
            until_s=until,
            epoch=self.epoch,
        )
        if len(rows):
            self._record(SENT, now_s, self._sent_body(batch, free_kw[due], source[due]))
            self._note_sent(batch, free_kw[due], source[due], now_s)
        return batch

    def outcomes(self, batch: OutcomeBatch, now_s: float) -> None:
        """Take what the links say; an outcome of a command that is not waited for any more is passed over."""
        if len(batch):
            self._record(OUTCOMES, now_s, _outcome_body(batch))
            self._note_outcomes(batch)

    def observe(self, state: FleetState) -> None:
        """Take note of links that are up again, and compare accepted commands with the meters.

        A command is confirmed, or given up in time. One whose lease is over by the last sample was not ignored.
        """
        self._welcome(state.connected)
        t = self.table
        rows = np.flatnonzero(t.wait_id).astype(np.int32)
        if not len(rows):
            return
        sampled = (state.power_at_s[rows] >= t.wait_s[rows]) & (state.quality[rows] <= Quality.STALE)
        shown = sampled & self._obeys(state, rows)
        late = ~shown & (state.at_s >= t.wait_s[rows] + self._settings.confirm_s) & (state.at_s >= self._due_s(rows))
        readback = late & ~sampled & (np.abs(state.limit_kw[rows] - t.wait_kw[rows]) <= self._tolerance_kw(rows))
        leased = (t.wait_layer[rows] != Layer.DISPATCH) | (state.power_at_s[rows] < t.lease_s[rows] - _LEASE_SLACK_S)
        ignored = late & sampled & leased & state.connected[rows]
        self._judge(rows[shown | readback], Fate.CONFIRMED, state.at_s)
        self._judge(rows[ignored], Fate.IGNORED, state.at_s)
        self._judge(rows[late & ~readback & ~ignored], Fate.EXPIRED, state.at_s)

    def restore(self, entries: Iterable[JournalEntry], now_s: float) -> None:
        """Rebuild everything from the journal; commands without outcome end as unreachable and are never repeated.

        A command that was under way may have taken effect, so its row counts as limited until its lease ends.
        """
        highest = self.epoch
        for entry in entries:
            if entry.kind == SENT:
                highest = max(highest, int(entry.body["epoch"]))  # type: ignore[call-overload] # JSON number
                self._replay_sent(entry)
            elif entry.kind == OUTCOMES:
                self._note_outcomes(outcomes_from(entry.body))
            elif entry.kind == VERDICTS:
                body: Any = entry.body
                self._note_verdicts(column_of(body["rows"], np.int32), Fate(body["fate"]), entry.at_s)
        self.epoch = highest
        t = self.table
        self._judge(np.flatnonzero(t.out_id).astype(np.int32), Fate.UNREACHABLE, now_s)
        t.wait_s = np.where(t.wait_id > 0, now_s, t.wait_s)
        t.retry_s[:] = t.away_s[:] = -np.inf
        self._end_leases(now_s, np.arange(len(self._index), dtype=np.int32))

    def _actions(
        self,
        now_s: float,
        rows: RowArray,
        default_kw: FloatArray,
        dispatch_kw: FloatArray,
        until_s: FloatArray,
        *,
        reachable: BoolArray,
        urgent: BoolArray,
    ) -> CodeArray:
        """Return the layer of the command that each of ``rows`` needs, ``_NOTHING`` where none."""
        return _actions(
            _sheet_of(self.table),
            read_only(rows),
            read_only(default_kw),
            read_only(dispatch_kw),
            read_only(until_s),
            read_only(reachable),
            read_only(urgent),
            read_only(self._least_change_kw),
            now_s,
            self._settings.resend_kw,
            self._settings.resend_ratio,
            0.5 * self._settings.lease_s,
        )

    def _obeys(self, state: FleetState, rows: RowArray) -> BoolArray:
        """Return whether each row's meter is consistent with the command it accepted.

        A charger's value is a ceiling and an inverter's a floor; a building asked for less than it would take may
        take less still; everything else must take what it was told, as far as it can at present.
        """
        t = self.table
        kw, power, tolerance = t.wait_kw[rows], state.power_kw[rows], self._tolerance_kw(rows)
        able = np.clip(kw, state.available_min_kw[rows], state.available_max_kw[rows])
        able = np.where(np.isnan(able), kw, able)
        free = t.free_kw[rows]
        below = power <= np.maximum(kw, able) + tolerance
        above = power >= np.minimum(kw, able) - tolerance
        only_below = self._ceiling[rows] | (self._consuming[rows] & (kw < free))
        only_above = self._producing[rows] | (self._consuming[rows] & (kw > free))
        return np.asarray((below | only_above) & (above | only_below))

    def _due_s(self, rows: RowArray) -> FloatArray:
        """Return by when each row must show its dispatch value, had it to come from its free power at its ramp.

        A plant that needs eight minutes for a large step has not ignored it after two; leases renewed on its way do
        not give it more. Shape ``(len(rows),)``.
        """
        t = self.table
        way_kw = np.nan_to_num(np.abs(t.since_kw[rows] - t.free_kw[rows]))
        due_s = t.since_s[rows] + self._settings.confirm_s + way_kw / self._ramp_kw_per_s[rows]
        return np.where(t.wait_layer[rows] == Layer.DISPATCH, due_s, -np.inf)

    def _welcome(self, connected: BoolArray) -> None:
        """Forget what could not be reached before a link came up: it says nothing of the link there is now.

        After a restart every link that is up counts as one that has come up.
        """
        before = np.zeros(len(connected), dtype=np.bool_)
        before[: len(self._connected)] = self._connected[: len(connected)]
        t, back = self.table, connected & ~before
        back &= t.failures[: len(back)] > 0
        self._connected = connected
        rows = np.flatnonzero(back)
        waiting = rows[t.retry_s[rows] == t.away_s[rows]]
        t.retry_s[waiting] = -np.inf
        t.failures[rows], t.away_s[rows] = 0, -np.inf

    def _tolerance_kw(self, rows: RowArray) -> FloatArray:
        return np.maximum(self._settings.confirm_kw, self._settings.confirm_ratio * self._span_kw[rows])

    def _give_up_silent(self, now_s: float) -> None:
        t = self.table
        out = np.flatnonzero(t.out_id).astype(np.int32)
        self._judge(out[now_s >= t.out_s[out] + self._settings.answer_s], Fate.UNREACHABLE, now_s)

    def _end_leases(self, now_s: float, rows: RowArray) -> None:
        t = self.table
        t.dispatch_kw[rows[now_s >= t.lease_s[rows]]] = np.nan

    def _judge(self, rows: RowArray, fate: Fate, now_s: float) -> None:
        if len(rows):
            self._record(VERDICTS, now_s, {"rows": column_body(rows), "fate": fate.value})
            self._note_verdicts(rows, fate, now_s)

    def _note_sent(self, batch: SetpointBatch, free_kw: FloatArray, source: RowArray, now_s: float) -> None:
        t, rows = self.table, batch.rows
        self._ledger.sent += len(rows)
        self._end(rows[t.wait_id[rows] > 0], Fate.SUPERSEDED)
        self._end(rows[t.out_id[rows] > 0], Fate.SUPERSEDED)
        t.wait_id[rows] = 0
        t.out_id[rows], t.out_layer[rows], t.out_kw[rows] = batch.ids, batch.layers, batch.power_kw
        t.out_until_s[rows], t.out_s[rows] = batch.until_s, now_s
        dispatch = batch.layers == Layer.DISPATCH
        limited = rows[dispatch]
        t.limited_s[limited] = np.maximum(t.limited_s[limited], batch.until_s[dispatch])
        t.free_kw[limited], t.source[limited] = free_kw[dispatch], source[dispatch]
        t.released_s[rows[batch.layers == Layer.RELEASE]] = now_s

    def _note_outcomes(self, batch: OutcomeBatch) -> None:
        known = (batch.ids > 0) & (self.table.out_id[batch.rows] == batch.ids)
        rows, status = batch.rows[known], batch.status[known]
        reasons, at_s = batch.reasons[known], batch.at_s[known]
        accepted = status == OutcomeStatus.ACCEPTED
        self._note_accepted(rows[accepted], at_s[accepted])
        self._note_refused(rows[~accepted], status[~accepted], reasons[~accepted], at_s[~accepted])
        self.table.out_id[rows] = 0

    def _note_accepted(self, rows: RowArray, at_s: FloatArray) -> None:
        t = self.table
        self._ledger.accepted += len(rows)
        t.failures[rows], t.away_s[rows] = 0, -np.inf
        layer = t.out_layer[rows]
        default, dispatch, release = (rows[layer == code] for code in (Layer.DEFAULT, Layer.DISPATCH, Layer.RELEASE))
        # A yes ends a row of refusals; that a device says yes and does nothing only its meter can take back.
        t.strikes[dispatch[~t.ignored[dispatch]]] = 0
        t.default_kw[default] = t.out_kw[default]
        moved = ~(np.abs(t.out_kw[dispatch] - t.since_kw[dispatch]) <= self._tolerance_kw(dispatch))
        moved |= np.isnan(t.dispatch_kw[dispatch])
        t.since_kw[dispatch[moved]] = t.out_kw[dispatch[moved]]
        t.since_s[dispatch[moved]] = at_s[layer == Layer.DISPATCH][moved]
        t.dispatch_kw[dispatch] = t.out_kw[dispatch]
        t.lease_s[dispatch] = t.limited_s[dispatch] = t.out_until_s[dispatch]
        t.dispatch_kw[release] = np.nan
        t.lease_s[release] = t.limited_s[release] = -np.inf
        # A default value under a dispatch value shows on no meter, nor does being let go: the answer is all there is.
        hidden = (layer == Layer.RELEASE) | ((layer == Layer.DEFAULT) & ~np.isnan(t.dispatch_kw[rows]))
        self._end(rows[hidden], Fate.CONFIRMED)
        shown = rows[~hidden]
        t.wait_id[shown], t.wait_layer[shown] = t.out_id[shown], t.out_layer[shown]
        t.wait_kw[shown], t.wait_s[shown] = t.out_kw[shown], at_s[~hidden]

    def _note_refused(self, rows: RowArray, status: Any, reasons: Any, at_s: FloatArray) -> None:  # noqa: ANN401 - code arrays
        t = self.table
        unreached = (status == OutcomeStatus.UNREACHABLE) | (reasons == Reason.NOT_CONNECTED)
        replaced = ~unreached & (reasons == Reason.EXPIRED)
        refused = ~unreached & ~replaced
        for fate, chosen in ((Fate.UNREACHABLE, unreached), (Fate.SUPERSEDED, replaced), (Fate.REFUSED, refused)):
            for reason in np.unique(reasons[chosen]):
                self._end(rows[chosen & (reasons == reason)], fate, Reason(int(reason)))
        self._back_off(rows[unreached], at_s[unreached])
        self._strike(rows[refused], at_s[refused], ignored=False)
        untouched = rows[among(reasons, _UNTOUCHED) & (t.out_layer[rows] == Layer.DISPATCH)]
        t.limited_s[untouched] = t.lease_s[untouched]

    def _note_verdicts(self, rows: RowArray, fate: Fate, at_s: float) -> None:
        t = self.table
        self._end(rows, fate, Reason.TIMEOUT if fate is Fate.UNREACHABLE else Reason.NONE)
        if fate is Fate.UNREACHABLE:
            self._back_off(rows, np.full(len(rows), at_s))
            t.out_id[rows] = 0
            return
        dispatch = rows[t.wait_layer[rows] == Layer.DISPATCH]
        if fate is Fate.CONFIRMED:
            t.strikes[dispatch] = 0
        if fate is Fate.IGNORED:
            self._strike_dispatch(dispatch, np.full(len(dispatch), at_s), ignored=True)
        t.wait_id[rows] = 0

    def _back_off(self, rows: RowArray, at_s: FloatArray) -> None:
        t, s = self.table, self._settings
        t.failures[rows] += 1
        wait_s = s.unreachable_retry_s * 2.0 ** (np.minimum(t.failures[rows], 8) - 1)
        t.retry_s[rows] = t.away_s[rows] = at_s + np.minimum(wait_s, s.retry_after_s)

    def _strike(self, rows: RowArray, at_s: FloatArray, *, ignored: bool) -> None:
        """Leave a row alone for a while, in the layer that it refused."""
        t, s = self.table, self._settings
        layer = t.out_layer[rows]
        default, dispatch, release = layer == Layer.DEFAULT, layer == Layer.DISPATCH, layer == Layer.RELEASE
        t.default_blocked_s[rows[default]] = at_s[default] + s.retry_after_s
        t.retry_s[rows[release]] = at_s[release] + s.unreachable_retry_s
        self._strike_dispatch(rows[dispatch], at_s[dispatch], ignored=ignored)

    def _strike_dispatch(self, rows: RowArray, at_s: FloatArray, *, ignored: bool) -> None:
        t, s = self.table, self._settings
        t.strikes[rows] += 1
        excused = (t.strikes[rows] < s.refusals) & (not ignored)
        t.retry_s[rows[excused]] = at_s[excused] + s.refused_retry_s
        counted, counted_s = rows[~excused], at_s[~excused]
        wait_s = s.retry_after_s * 2.0 ** (np.clip(t.strikes[counted] - s.refusals, 0, 8))
        t.blocked_s[counted] = counted_s + np.minimum(wait_s, s.retry_most_s)
        t.ignored[rows] = ignored

    def _end(self, rows: RowArray, fate: Fate, reason: Reason = Reason.NONE) -> None:
        counts = np.bincount(self._adapter[rows], minlength=len(_ADAPTERS)) if len(rows) else ()
        for adapter, count in zip(_ADAPTERS, counts, strict=False):
            self._ledger.end(adapter.value, fate, reason, int(count))

    def _sent_body(self, batch: SetpointBatch, free_kw: FloatArray, source: RowArray) -> dict[str, object]:
        codes, compact = np.unique(source, return_inverse=True)
        return {
            "ids": column_body(batch.ids),
            "rows": column_body(batch.rows),
            "layers": column_body(batch.layers),
            "power_kw": column_body(batch.power_kw),
            "until_s": column_body(batch.until_s),
            "free_kw": column_body(free_kw),
            "sources": [self.sources[code] if code >= 0 else "" for code in codes],
            "source": column_body(compact.astype(np.int32)),
            "epoch": batch.epoch,
        }

    def _replay_sent(self, entry: JournalEntry) -> None:
        body: Any = entry.body
        names = np.array([self.source_code(name) for name in body["sources"]], dtype=np.int32)
        free_kw = column_of(body["free_kw"], np.float64)
        self._note_sent(sent_from(body), free_kw, names[column_of(body["source"], np.int32)], entry.at_s)

    def source_code(self, name: str) -> int:
        """Return the position of ``name`` in ``sources``, adding it where it is new; -1 for the empty name."""
        if not name:
            return -1
        if name not in self.sources:
            self.sources.append(name)
        return self.sources.index(name)


def sent_from(body: Any) -> SetpointBatch:  # noqa: ANN401 - JSON
    """Return the commands that a journal entry holds."""
    until_s = column_of(body["until_s"], np.float64)
    return SetpointBatch(
        ids=column_of(body["ids"], np.int64),
        rows=column_of(body["rows"], np.int32),
        layers=column_of(body["layers"], np.uint8),
        power_kw=column_of(body["power_kw"], np.float64),
        until_s=np.where(np.isnan(until_s), np.inf, until_s),
        epoch=int(body["epoch"]),
    )


def _outcome_body(batch: OutcomeBatch) -> dict[str, object]:
    return {
        "ids": column_body(batch.ids),
        "rows": column_body(batch.rows),
        "status": column_body(batch.status),
        "reasons": column_body(batch.reasons),
        "at_s": column_body(batch.at_s),
    }


def outcomes_from(body: Any) -> OutcomeBatch:  # noqa: ANN401 - JSON
    """Return the outcomes that a journal entry holds."""
    return OutcomeBatch(
        ids=column_of(body["ids"], np.int64),
        rows=column_of(body["rows"], np.int32),
        status=column_of(body["status"], np.uint8),
        reasons=column_of(body["reasons"], np.uint8),
        at_s=column_of(body["at_s"], np.float64),
    )


class _Sheet(NamedTuple):
    """The columns of the command table that say whether something is due."""

    default_kw: FloatArray
    dispatch_kw: FloatArray
    lease_s: FloatArray
    limited_s: FloatArray
    out_id: IdArray
    out_layer: CodeArray
    out_kw: FloatArray
    retry_s: FloatArray
    blocked_s: FloatArray
    default_blocked_s: FloatArray


def _sheet_of(table: CommandTable) -> _Sheet:
    return _Sheet(*(read_only(getattr(table, name)) for name in _Sheet._fields))


@njit()
def _actions(  # noqa: PLR0917 - a kernel takes arguments by position
    sheet: _Sheet,
    rows: RowArray,
    default_kw: FloatArray,
    dispatch_kw: FloatArray,
    until_s: FloatArray,
    reachable: BoolArray,
    urgent: BoolArray,
    least_kw: FloatArray,
    now_s: float,
    resend_kw: float,
    resend_ratio: float,
    renew_s: float,
) -> CodeArray:
    """Return the layer of the command that each of ``rows`` needs, ``_NOTHING`` where none; ``(len(rows),)``."""
    in_default, in_dispatch, lease_s, limited_s, out_id, out_layer, out_kw, retry_s, blocked_s, default_blocked_s = (
        sheet
    )
    action = np.full(len(rows), _NOTHING, dtype=np.uint8)
    for place in range(len(rows)):
        row = rows[place]
        out = out_id[row] > 0
        if not reachable[place] or now_s < retry_s[row] or (out and not urgent[place]):
            continue
        wanted, least = dispatch_kw[place], least_kw[row]
        if np.isnan(wanted) and limited_s[row] > now_s and not (out and out_layer[row] == _RELEASE):
            action[place] = _RELEASE
            continue
        if not np.isnan(wanted) and until_s[place] > now_s and now_s >= blocked_s[row]:
            under_way = out and out_layer[row] == _DISPATCH
            repeated = under_way and not _differs(wanted, out_kw[row], least, resend_kw, resend_ratio)
            ends = lease_s[row] - now_s < renew_s and until_s[place] > lease_s[row] + 1.0
            if (ends or _differs(wanted, in_dispatch[row], least, resend_kw, resend_ratio)) and not repeated:
                action[place] = _DISPATCH
                continue
        changed = _differs(default_kw[place], in_default[row], least, resend_kw, resend_ratio)
        if changed and now_s >= default_blocked_s[row]:
            action[place] = _DEFAULT
    return action


@njit()
def _differs(wanted_kw: float, held_kw: float, least_kw: float, resend_kw: float, resend_ratio: float) -> bool:
    """Return whether a wanted value is worth sending; a row that holds nothing always needs its value.

    ``least_kw`` is the least change worth sending to a row that modulates, NaN for a whole row.
    """
    if np.isnan(wanted_kw):
        return False
    if np.isnan(held_kw):
        return True
    least = max(resend_kw, resend_ratio * abs(held_kw)) if np.isnan(least_kw) else least_kw
    return abs(wanted_kw - held_kw) > least
