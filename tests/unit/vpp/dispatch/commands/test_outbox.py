"""The outbox sends only differences, one command a row at a time, and knows what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.dispatch.commands.due_commands import Wanted
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.settings import CommandRules
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import FloatArray, IdArray

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


class Desk:
    """An outbox with its journal and a clock."""

    def __init__(self) -> None:
        self.journal: list[JournalEntry] = []
        self.last_id = 0
        self.box = self.new()
        self.now_s = 1000.0

    def new(self) -> Outbox:
        """Return an outbox that remembers nothing."""
        return Outbox(fleet(), RULES, self.record, take_ids=self.take, epoch=4)

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
    desk = Desk()
    wish = [2.0, -5.0, 3.0]
    first = desk.flush(wish)
    assert first.epoch == 4
    assert desk.journal[0].body["ids"] == first.ids.tolist() == [1, 2, 3]
    assert len(desk.flush(wish)) == 0
    desk.answer(first)
    desk.now_s += 100.0
    assert len(desk.flush(wish)) == 0
    desk.now_s += 60.0
    assert desk.flush(wish).layers.tolist() == [Layer.DISPATCH] * 3


def test_changes_below_the_dead_band_are_not_sent_to_chargers_nor_to_rows_that_modulate() -> None:
    desk = Desk()
    desk.answer(desk.flush([5.0, -5.0, 3.0]))
    assert len(desk.flush([5.08, -5.4, 3.0])) == 0
    assert desk.flush([5.08, -5.6, 3.0]).rows.tolist() == [1]


def test_a_row_with_an_unanswered_command_waits_unless_it_is_urgent() -> None:
    desk = Desk()
    desk.flush([2.0, np.nan, np.nan])
    assert len(desk.flush([4.0, np.nan, np.nan])) == 0
    assert len(desk.flush([4.0, np.nan, np.nan], urgent=True)) == 1
    counts = desk.box.ledger()
    assert (counts.sent, counts.superseded, counts.pending, counts.unaccounted) == (2, 1, 1, 0)


def test_a_command_is_confirmed_by_a_meter_that_was_read_after_it_was_accepted() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, 3.0]))
    desk.meter([1.0, -5.0, 3.0], sampled_s=desk.now_s - 5.0)
    assert desk.box.ledger().confirmed == 0
    desk.meter([1.0, -5.1, 9.0])
    assert desk.box.in_force.settled().tolist() == [True, True, False]
    assert desk.box.ledger().confirmed == 2


def test_a_row_that_says_yes_and_does_nothing_is_ignored_and_left_alone() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]))
    desk.now_s += RULES.confirmation.within_s
    desk.meter([7.0, 0.0, 0.0])
    assert desk.box.ledger().ignored == 1
    assert desk.box.columns.back_off.blocked_s[0] == desk.now_s + RULES.back_off.retry_after_s
    assert desk.flush([1.0, np.nan, np.nan]).rows.tolist() == []


def test_a_refusal_names_its_reason_and_leaves_no_limit_behind() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    assert not desk.box.in_force.limited(desk.now_s).any()
    assert desk.box.ledger().by_reason == {("ocpp", "refused", "refused"): 1}


def test_a_timeout_may_have_limited_the_row_and_its_release_is_retried_with_back_off() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    assert desk.box.in_force.limited(desk.now_s)[0]
    assert len(desk.flush()) == 0
    desk.now_s += RULES.back_off.unreachable_retry_s
    release = desk.flush()
    assert release.layers.tolist() == [Layer.RELEASE]
    desk.answer(release, OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    desk.now_s += RULES.back_off.unreachable_retry_s
    assert len(desk.flush()) == 0
    desk.now_s += RULES.back_off.unreachable_retry_s
    desk.answer(desk.flush())
    assert not desk.box.in_force.limited(desk.now_s).any()
    assert desk.box.ledger().unaccounted == 0


def test_a_lease_that_ran_out_needs_no_release() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]))
    desk.now_s += 301.0
    assert len(desk.flush()) == 0


def test_a_command_nobody_answers_ends_as_unreachable() -> None:
    desk = Desk()
    late = desk.flush([2.0, np.nan, np.nan])
    desk.now_s += RULES.back_off.answer_s
    desk.flush([2.0, np.nan, np.nan])
    counts = desk.box.ledger()
    assert (counts.unreachable, counts.pending) == (1, 0)
    desk.answer(late)
    assert desk.box.ledger().accepted == 0


def test_a_default_is_sent_when_it_changes_and_holds_for_ever() -> None:
    desk = Desk()
    batch = desk.flush(default=[np.nan, 4.0, np.nan])
    assert batch.layers.tolist() == [Layer.DEFAULT]
    assert np.isinf(batch.until_s).all()
    desk.answer(batch)
    assert len(desk.flush(default=[np.nan, 4.0, np.nan])) == 0
    assert desk.flush(default=[np.nan, -4.0, np.nan]).power_kw.tolist() == [-4.0]


def test_after_a_crash_nothing_is_repeated_and_nothing_is_lost() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, np.nan]))
    desk.meter([2.0, -5.0, 0.0])
    unanswered = desk.flush([2.0, -5.0, 3.0])
    before = desk.box.ledger()
    entries = list(desk.journal)
    desk.box = desk.new()
    desk.now_s += 20.0
    desk.box.restore(entries, desk.now_s)
    counts = desk.box.ledger()
    assert (counts.sent, counts.accepted, counts.confirmed) == (before.sent, before.accepted, before.confirmed)
    assert (counts.unreachable, counts.pending, counts.unaccounted) == (1, 0, 0)
    assert desk.box.in_force.limited(desk.now_s)[2]
    again = desk.flush([2.0, -5.0, 3.0])
    assert again.rows.tolist() == [2]
    assert again.ids[0] > unanswered.ids[0]


def test_a_link_that_comes_up_again_is_tried_at_once_however_often_it_failed() -> None:
    desk = Desk()
    desk.meter([7.0, 0.0, 0.0])
    for _ in range(4):
        desk.answer(desk.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        desk.now_s += RULES.back_off.retry_after_s
    desk.answer(desk.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    desk.meter([7.0, 0.0, 0.0], up=False)
    assert desk.box.columns.back_off.away_s[0] > desk.now_s
    assert len(desk.flush([2.0, np.nan, np.nan])) == 0
    desk.meter([7.0, 0.0, 0.0])
    assert desk.box.columns.back_off.away_s[0] == -np.inf
    assert desk.flush([2.0, np.nan, np.nan]).rows.tolist() == [0]


def test_a_restart_keeps_no_row_from_being_tried() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
    entries, desk.box = list(desk.journal), desk.new()
    desk.box.restore(entries, desk.now_s)
    assert desk.box.columns.back_off.away_s[0] == -np.inf
    assert desk.flush([2.0, np.nan, np.nan]).rows.tolist() == [0]


def test_a_device_whose_lease_had_ended_when_it_was_metered_ignored_nothing() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, np.nan, np.nan]))
    desk.now_s += RULES.leases.lease_s - 1.0
    desk.meter([7.0, 0.0, 0.0])
    counts = desk.box.ledger()
    assert (counts.ignored, counts.expired) == (0, 1)
    assert desk.box.columns.back_off.blocked_s[0] == -np.inf


def test_a_plant_is_given_the_time_its_ramp_takes() -> None:
    desk = Desk()
    slow = replace(fleet(), resources=tuple(replace(r, ramp_kw_per_min=1.0) for r in fleet().resources))
    desk.box.resize(slow)
    desk.answer(desk.flush([np.nan, np.nan, 3.0]))  # from 7 kW: four minutes
    desk.now_s += RULES.confirmation.within_s + 40.0
    desk.meter([0.0, 0.0, 7.0])
    assert desk.box.ledger().ignored == 0
    desk.answer(desk.flush([np.nan, np.nan, 3.0]))  # its lease is renewed, which gives it no more time
    desk.now_s += RULES.confirmation.within_s + 20.0
    desk.meter([0.0, 0.0, 7.0])
    assert desk.box.ledger().ignored == 0
    desk.answer(desk.flush([np.nan, np.nan, 3.1]))
    desk.now_s += RULES.confirmation.within_s
    desk.meter([0.0, 0.0, 7.0])
    assert desk.box.ledger().ignored == 1


def test_refusals_count_in_a_row_only() -> None:
    desk = Desk()
    for k in range(2 * RULES.back_off.refusals):
        desk.now_s += RULES.back_off.refused_retry_s
        refused = k % 2 == 0
        batch = desk.flush([1.0 + k, np.nan, np.nan])
        assert batch.rows.tolist() == [0]
        desk.answer(batch, OutcomeStatus.REJECTED if refused else OutcomeStatus.ACCEPTED, Reason.NONE)
    assert desk.box.columns.back_off.blocked_s[0] == -np.inf


@pytest.mark.parametrize("status", list(OutcomeStatus))
def test_every_command_ends_in_exactly_one_fate(status: OutcomeStatus) -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, 3.0]), status, Reason.NONE)
    desk.now_s += RULES.confirmation.within_s
    desk.meter([2.0, 5.0, 3.0])
    counts = desk.box.ledger()
    assert counts.pending == counts.unaccounted == 0


def test_a_lease_that_has_ended_holds_nothing_and_needs_no_release() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, 3.0]))
    desk.meter([2.0, -5.0, 3.0])
    assert desk.box.in_force.settled().all()
    desk.now_s += RULES.leases.lease_s - 1.0
    assert desk.flush().layers.tolist() == [Layer.RELEASE] * 3, "one second before its end"
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, 3.0]))
    desk.meter([2.0, -5.0, 3.0])
    desk.now_s += RULES.leases.lease_s
    assert len(desk.flush()) == 0
    assert not desk.box.in_force.settled().any()
    again = desk.new()
    again.restore(desk.journal, desk.now_s)
    assert not again.in_force.settled().any()


def test_a_restart_never_falls_back_behind_the_highest_epoch_in_the_journal() -> None:
    desk = Desk()
    desk.box.epoch = 9
    assert desk.flush([2.0, np.nan, np.nan]).epoch == 9
    again = desk.new()
    again.restore(desk.journal, desk.now_s)
    assert again.epoch == 9
    later = Outbox(fleet(), RULES, desk.record, take_ids=desk.take, epoch=11)
    later.restore(desk.journal, desk.now_s)
    assert later.epoch == 11


def test_the_instant_of_a_release_is_remembered_over_a_restart() -> None:
    desk = Desk()
    desk.answer(desk.flush([2.0, -5.0, np.nan]))
    desk.meter([2.0, -5.0, 0.0])
    desk.now_s += 60.0
    released = desk.flush([2.0, np.nan, np.nan])
    assert (released.rows.tolist(), released.layers.tolist()) == ([1], [Layer.RELEASE])
    again = desk.new()
    again.restore(desk.journal, desk.now_s + 10.0)
    for box in (desk.box, again):
        assert box.columns.in_force.released_s[1] == desk.now_s
        assert (box.columns.in_force.released_s[[0, 2]] < desk.now_s).all()


def test_a_default_that_was_refused_is_left_alone_for_a_while_and_the_dispatch_layer_goes_on() -> None:
    desk = Desk()
    desk.answer(desk.flush(default=[4.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    desk.now_s += RULES.back_off.retry_after_s - 1.0
    assert len(desk.flush(default=[4.0, np.nan, np.nan])) == 0
    assert desk.flush([2.0, np.nan, np.nan], default=[4.0, np.nan, np.nan]).layers.tolist() == [Layer.DISPATCH]
    desk = Desk()
    desk.answer(desk.flush(default=[4.0, np.nan, np.nan]), OutcomeStatus.REJECTED, Reason.REFUSED)
    desk.now_s += RULES.back_off.retry_after_s
    assert desk.flush(default=[4.0, np.nan, np.nan]).layers.tolist() == [Layer.DEFAULT]
