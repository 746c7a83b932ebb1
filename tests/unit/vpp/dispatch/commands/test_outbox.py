"""The outbox sends only differences, one command a row at a time, and knows what became of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.dispatch.commands.command_memory import CommandMemory
from vpp.dispatch.commands.due_commands import Wanted
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.commands.meter_confirmation import MeterConfirmation
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.settings import CommandRules
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry

NONE = np.full(3, np.nan)
Numbers = Sequence[float] | FloatArray
RULES = CommandRules()


def fleet() -> FleetIndex:
    def resource(number: int, kind: ResourceClass, adapter: Adapter, p_min_kw: float) -> Resource:
        return Resource(
            id=f"r{number}",
            site_id="s",
            resource_class=kind,
            adapter=adapter,
            address=str(number),
            p_min_kw=p_min_kw,
            p_max_kw=10.0,
        )

    return at_one_site(
        (
            resource(0, ResourceClass.EV, Adapter.OCPP, 0.0),
            resource(1, ResourceClass.STORAGE, Adapter.MODBUS, -10.0),
            resource(2, ResourceClass.HVAC, Adapter.MQTT, 0.0),
        ),
        limit_kw=1e6,
        export_limit_kw=1e6,
    )


class Bench:
    """An outbox with its journal and a clock."""

    def __init__(self) -> None:
        self.journal: list[JournalEntry] = []
        self.last_id = 0
        self.box = self.new()
        self.now_s = 1000.0

    def new(self) -> Outbox:
        """Return an outbox that remembers nothing."""
        return Outbox(fleet(), RULES, self.record, take_ids=self.take, epoch=4)

    def restore(self, box: Outbox, entries: Iterable[JournalEntry]) -> None:
        """Load what a memory has folded from ``entries`` into ``box``, as a start of the service does."""
        memory = CommandMemory(RULES.back_off)
        memory.resize(fleet(), MeterConfirmation(fleet(), RULES.confirmation).tolerance_kw)
        for entry in entries:
            memory.follow(entry)
        box.load(memory.state(), self.now_s)

    def record(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Keep a journal entry."""
        self.journal.append(JournalEntry(sequence=1, kind=kind, at_s=at_s, body=body, sha256=""))

    def take(self, count: int) -> IdArray:
        """Return fresh command ids."""
        self.last_id += count
        return np.arange(self.last_id - count + 1, self.last_id + 1, dtype=np.int64)

    def flush(self, dispatch: Numbers = NONE, *, default: Numbers = NONE, urgent: bool = False) -> SetpointBatch:
        """Send what is due for these wishes."""
        return self.box.flush(
            self.now_s,
            Wanted(
                rows=np.arange(3, dtype=np.int32),
                default_kw=np.asarray(default, dtype=np.float64),
                dispatch_kw=np.asarray(dispatch, dtype=np.float64),
                until_s=np.full(3, self.now_s + RULES.leases.lease_s),
                reachable=np.ones(3, dtype=np.bool_),
                urgent=np.full(3, urgent),
            ),
            Noted(np.full(3, 7.0), np.full(3, self.box.source_code("req"), dtype=np.int32)),
        )

    def answer(
        self, batch: SetpointBatch, status: OutcomeStatus = OutcomeStatus.ACCEPTED, reason: Reason = Reason.NONE
    ) -> None:
        """Answer a batch."""
        n = len(batch)
        outcome = OutcomeBatch(
            ids=batch.ids,
            rows=batch.rows,
            status=np.full(n, status, dtype=np.uint8),
            reasons=np.full(n, reason, dtype=np.uint8),
            at_s=np.full(n, self.now_s),
        )
        self.box.outcomes(outcome, self.now_s)

    def meter(self, power: Numbers, *, sampled_s: float | None = None, up: bool = True) -> None:
        """Show what the meters read."""
        at_s = self.now_s if sampled_s is None else sampled_s
        self.box.observe(
            FleetState(
                index=fleet(),
                at_s=self.now_s,
                cycle=1,
                power_kw=np.asarray(power, dtype=np.float64),
                power_at_s=np.full(3, at_s),
                quality=np.zeros(3, dtype=np.uint8),
                energy_kwh=np.zeros(3),
                soc=np.full(3, 0.5),
                connected=np.full(3, up),
                plugged=np.ones(3, dtype=np.bool_),
                available_min_kw=np.array([0.0, -10.0, 0.0]),
                available_max_kw=np.full(3, 10.0),
                limit_kw=np.full(3, np.nan),
                need_kwh=NONE,
                departure_s=NONE,
                sheddable=np.ones(3, dtype=np.bool_),
            )
        )


def test_an_unchanged_wish_is_sent_once_and_its_lease_renewed_past_the_half() -> None:
    bench = Bench()
    wish = [2.0, -5.0, 3.0]
    first = bench.flush(wish)
    assert first.epoch == 4
    assert bench.journal[0].body["ids"] == first.ids.tolist() == [1, 2, 3]
    assert len(bench.flush(wish)) == 0
    bench.answer(first)
    bench.now_s += 100.0
    assert len(bench.flush(wish)) == 0
    bench.now_s += 60.0
    assert bench.flush(wish).layers.tolist() == [Layer.DISPATCH] * 3


def test_changes_below_the_dead_band_are_not_sent_to_chargers_nor_to_rows_that_modulate() -> None:
    bench = Bench()
    bench.answer(bench.flush([5.0, -5.0, 3.0]))
    assert len(bench.flush([5.08, -5.4, 3.0])) == 0
    assert bench.flush([5.08, -5.6, 3.0]).rows.tolist() == [1]


def test_a_row_with_an_unanswered_command_waits_unless_it_is_urgent() -> None:
    bench = Bench()
    bench.flush([2.0, np.nan, np.nan])
    assert len(bench.flush([4.0, np.nan, np.nan])) == 0
    assert len(bench.flush([4.0, np.nan, np.nan], urgent=True)) == 1
    counts = bench.box.ledger()
    assert (counts.sent, counts.superseded, counts.pending, counts.unaccounted) == (2, 1, 1, 0)


def test_a_command_is_confirmed_by_a_meter_that_was_read_after_it_was_accepted() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, 3.0]))
    bench.meter([1.0, -5.0, 3.0], sampled_s=bench.now_s - 5.0)
    assert bench.box.ledger().confirmed == 0
    bench.meter([1.0, -5.1, 9.0])
    assert bench.box.in_force.settled().tolist() == [True, True, False]
    assert bench.box.ledger().confirmed == 2


def test_a_row_that_says_yes_and_does_nothing_is_ignored_and_left_alone() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]))
    bench.now_s += RULES.confirmation.within_s
    bench.meter([7.0, 0.0, 0.0])
    assert bench.box.ledger().ignored == 1
    assert bench.box.columns.back_off.blocked_s[0] == bench.now_s + RULES.back_off.retry_after_s
    assert bench.flush([1.0, np.nan, np.nan]).rows.tolist() == []


def test_a_refusal_names_its_reason_and_leaves_no_limit_behind() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    assert not bench.box.in_force.limited(bench.now_s).any()
    assert bench.box.ledger().by_reason == {("ocpp", "refused", "refused"): 1}


def test_a_timeout_may_have_limited_the_row_and_its_release_is_retried_with_back_off() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    assert bench.box.in_force.limited(bench.now_s)[0]
    assert len(bench.flush()) == 0
    bench.now_s += RULES.back_off.unreachable_retry_s
    release = bench.flush()
    assert release.layers.tolist() == [Layer.RELEASE]
    bench.answer(release, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    bench.now_s += RULES.back_off.unreachable_retry_s
    assert len(bench.flush()) == 0
    bench.now_s += RULES.back_off.unreachable_retry_s
    bench.answer(bench.flush())
    assert not bench.box.in_force.limited(bench.now_s).any()
    assert bench.box.ledger().unaccounted == 0


def test_a_lease_that_ran_out_needs_no_release() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]))
    bench.now_s += 301.0
    assert len(bench.flush()) == 0


def test_a_command_nobody_answers_ends_as_unreachable() -> None:
    bench = Bench()
    late = bench.flush([2.0, np.nan, np.nan])
    bench.now_s += RULES.back_off.answer_s
    bench.flush([2.0, np.nan, np.nan])
    counts = bench.box.ledger()
    assert (counts.unreachable, counts.pending) == (1, 0)
    bench.answer(late)
    assert bench.box.ledger().accepted == 0


def test_a_default_is_sent_when_it_changes_and_holds_for_ever() -> None:
    bench = Bench()
    batch = bench.flush(default=[np.nan, 4.0, np.nan])
    assert batch.layers.tolist() == [Layer.DEFAULT]
    assert np.isinf(batch.until_s).all()
    bench.answer(batch)
    assert len(bench.flush(default=[np.nan, 4.0, np.nan])) == 0
    assert bench.flush(default=[np.nan, -4.0, np.nan]).power_kw.tolist() == [-4.0]


def test_after_a_crash_nothing_is_repeated_and_nothing_is_lost() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, np.nan]))
    bench.meter([2.0, -5.0, 0.0])
    unanswered = bench.flush([2.0, -5.0, 3.0])
    before = bench.box.ledger()
    entries = list(bench.journal)
    bench.box = bench.new()
    bench.now_s += 20.0
    bench.restore(bench.box, entries)
    counts = bench.box.ledger()
    assert (counts.sent, counts.accepted, counts.confirmed) == (before.sent, before.accepted, before.confirmed)
    assert (counts.unreachable, counts.pending, counts.unaccounted) == (1, 0, 0)
    assert bench.box.in_force.limited(bench.now_s)[2]
    again = bench.flush([2.0, -5.0, 3.0])
    assert again.rows.tolist() == [2]
    assert again.ids[0] > unanswered.ids[0]


def test_a_link_that_comes_up_again_is_tried_at_once_however_often_it_failed() -> None:
    bench = Bench()
    bench.meter([7.0, 0.0, 0.0])
    for _ in range(4):
        bench.answer(bench.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        bench.now_s += RULES.back_off.retry_after_s
    bench.answer(bench.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    bench.meter([7.0, 0.0, 0.0], up=False)
    assert bench.box.columns.back_off.away_s[0] > bench.now_s
    assert len(bench.flush([2.0, np.nan, np.nan])) == 0
    bench.meter([7.0, 0.0, 0.0])
    assert bench.box.columns.back_off.away_s[0] == -np.inf
    assert bench.flush([2.0, np.nan, np.nan]).rows.tolist() == [0]


def test_a_restart_keeps_no_row_from_being_tried() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    entries, bench.box = list(bench.journal), bench.new()
    bench.restore(bench.box, entries)
    assert bench.box.columns.back_off.away_s[0] == -np.inf
    assert bench.flush([2.0, np.nan, np.nan]).rows.tolist() == [0]


def test_a_device_whose_lease_had_ended_when_it_was_metered_ignored_nothing() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, np.nan, np.nan]))
    bench.now_s += RULES.leases.lease_s - 1.0
    bench.meter([7.0, 0.0, 0.0])
    counts = bench.box.ledger()
    assert (counts.ignored, counts.expired) == (0, 1)
    assert bench.box.columns.back_off.blocked_s[0] == -np.inf


def test_a_plant_is_given_the_time_its_ramp_takes() -> None:
    bench = Bench()
    slow = replace(fleet(), resources=tuple(replace(r, ramp_kw_per_min=1.0) for r in fleet().resources))
    bench.box.resize(slow)
    bench.answer(bench.flush([np.nan, np.nan, 3.0]))  # from 7 kW: four minutes
    bench.now_s += RULES.confirmation.within_s + 40.0
    bench.meter([0.0, 0.0, 7.0])
    assert bench.box.ledger().ignored == 0
    bench.answer(bench.flush([np.nan, np.nan, 3.0]))  # its lease is renewed, which gives it no more time
    bench.now_s += RULES.confirmation.within_s + 20.0
    bench.meter([0.0, 0.0, 7.0])
    assert bench.box.ledger().ignored == 0
    bench.answer(bench.flush([np.nan, np.nan, 3.1]))
    bench.now_s += RULES.confirmation.within_s
    bench.meter([0.0, 0.0, 7.0])
    assert bench.box.ledger().ignored == 1


def test_refusals_count_in_a_row_only() -> None:
    bench = Bench()
    for k in range(2 * RULES.back_off.refusals):
        bench.now_s += RULES.back_off.refused_retry_s
        refused = k % 2 == 0
        batch = bench.flush([1.0 + k, np.nan, np.nan])
        assert batch.rows.tolist() == [0]
        bench.answer(batch, OutcomeStatus.REJECTED if refused else OutcomeStatus.ACCEPTED, Reason.NONE)
    assert bench.box.columns.back_off.blocked_s[0] == -np.inf


@pytest.mark.parametrize("status", list(OutcomeStatus))
def test_every_command_ends_in_exactly_one_fate(status: OutcomeStatus) -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, 3.0]), status, Reason.NONE)
    bench.now_s += RULES.confirmation.within_s
    bench.meter([2.0, 5.0, 3.0])
    counts = bench.box.ledger()
    assert counts.pending == counts.unaccounted == 0


def test_a_lease_that_has_ended_holds_nothing_and_needs_no_release() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, 3.0]))
    bench.meter([2.0, -5.0, 3.0])
    assert bench.box.in_force.settled().all()
    bench.now_s += RULES.leases.lease_s - 1.0
    assert bench.flush().layers.tolist() == [Layer.RELEASE] * 3, "one second before its end"
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, 3.0]))
    bench.meter([2.0, -5.0, 3.0])
    bench.now_s += RULES.leases.lease_s
    assert len(bench.flush()) == 0
    assert not bench.box.in_force.settled().any()
    again = bench.new()
    bench.restore(again, bench.journal)
    assert not again.in_force.settled().any()


def test_a_restart_never_falls_back_behind_the_highest_epoch_in_the_journal() -> None:
    bench = Bench()
    bench.box.epoch = 9
    assert bench.flush([2.0, np.nan, np.nan]).epoch == 9
    again = bench.new()
    bench.restore(again, bench.journal)
    assert again.epoch == 9
    later = Outbox(fleet(), RULES, bench.record, take_ids=bench.take, epoch=11)
    bench.restore(later, bench.journal)
    assert later.epoch == 11


def test_the_instant_of_a_release_is_remembered_over_a_restart() -> None:
    bench = Bench()
    bench.answer(bench.flush([2.0, -5.0, np.nan]))
    bench.meter([2.0, -5.0, 0.0])
    bench.now_s += 60.0
    released, released_s = bench.flush([2.0, np.nan, np.nan]), bench.now_s
    assert (released.rows.tolist(), released.layers.tolist()) == ([1], [Layer.RELEASE])
    again = bench.new()
    bench.now_s += 10.0
    bench.restore(again, bench.journal)
    for box in (bench.box, again):
        assert box.columns.in_force.released_s[1] == released_s
        assert (box.columns.in_force.released_s[[0, 2]] < released_s).all()


def test_a_default_that_was_refused_is_left_alone_for_a_while_and_the_dispatch_layer_goes_on() -> None:
    bench = Bench()
    bench.answer(bench.flush(default=[4.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    bench.now_s += RULES.back_off.retry_after_s - 1.0
    assert len(bench.flush(default=[4.0, np.nan, np.nan])) == 0
    assert bench.flush([2.0, np.nan, np.nan], default=[4.0, np.nan, np.nan]).layers.tolist() == [Layer.DISPATCH]
    bench = Bench()
    bench.answer(bench.flush(default=[4.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    bench.now_s += RULES.back_off.retry_after_s
    assert bench.flush(default=[4.0, np.nan, np.nan]).layers.tolist() == [Layer.DEFAULT]
