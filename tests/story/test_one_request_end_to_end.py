"""A peak-shaving request from the question to the money, on a fleet that refuses, ignores and drops out as usual."""

from tests.story.conftest import SHARE, Story
from vpp.domain.request import RequestState
from vpp.storage.journal import verify

STATES = [
    *("submitted", "quoted", "accepted", "scheduled", "preconditioning", "ramping"),
    *("holding", "releasing", "rebound_watch", "completed", "verified", "settled"),
]
LEAST_ACCURACY = 0.98
LEAST_TRUE_ACCURACY = 0.97
"""Five plants carry most of the cut and each wanders by 1 % of some 3 MW (`vpp.lab.twin.physics.scenarios`), which no
baseline can know: 50-70 kW in 5,000 are out of anybody's reach. Ten times the fleet holds 0.98 (`vpp demo`)."""


def test_what_was_accepted_is_delivered_by_the_meters_and_in_truth(delivered: Story) -> None:
    request, performance, verdict = delivered.request, delivered.performance, delivered.verdict

    assert request.accepted_kw == round(SHARE * delivered.quoted_kw)
    assert performance.accuracy_ratio >= LEAST_ACCURACY
    assert verdict["accuracy_true_ratio"] >= LEAST_TRUE_ACCURACY
    assert verdict["sessions"] > 0
    assert verdict["promises_broken"] == 0
    assert verdict["cap_violations"] == 0


def test_every_setpoint_is_accounted_for_and_every_limit_restored(delivered: Story) -> None:
    assert delivered.commands["sent"] == len(delivered.ids) == len(set(delivered.ids))
    assert delivered.commands["unaccounted"] == 0
    assert delivered.commands["confirmed"] > 0.7 * delivered.commands["sent"]
    assert delivered.verdict["limits_not_restored"] == 0


def test_the_states_are_passed_in_order_and_each_is_in_the_journal(delivered: Story) -> None:
    request = delivered.request
    assert request.state is RequestState.SETTLED
    assert [step.to_state.value for step in request.history] == STATES

    moves = [e.body for e in delivered.entries if e.kind == "request.transition" and e.body["id"] == request.id]
    assert [(m["to_state"], m["version"]) for m in moves] == [(s, i + 1) for i, s in enumerate(STATES)]
    assert all(move["actor"] and move["reason"] for move in moves)


def test_the_audit_finds_the_chain_whole(delivered: Story) -> None:
    assert verify(delivered.store.database).count == len(delivered.entries)
