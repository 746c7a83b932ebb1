"""Instructions a gateway obeys: once, in time, of the highest epoch."""

from tests.conformance.bus_parts import orders
from vpp.bus.gateway.command_fencing import CommandFencing
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.runtime.clock import SYSTEM_CLOCK


def test_instructions_are_admitted_once_in_order_of_the_leader_and_in_time() -> None:
    admission = CommandFencing()
    admission.resize(3)
    going, ended = admission.judge(1, orders([10, 11], [0, 1], epoch=2), SYSTEM_CLOCK.now_s())
    assert (going.ids.tolist(), len(ended)) == ([10, 11], 0)
    for sequence in (1, 9):
        going, ended = admission.judge(sequence, orders([10, 11], [0, 1], epoch=2), SYSTEM_CLOCK.now_s())
        assert (len(going), len(ended)) == (0, 0), "a repetition is dropped without a word"
    going, ended = admission.judge(3, orders([9, 12], [0, 0], epoch=2), SYSTEM_CLOCK.now_s())
    assert (going.ids.tolist(), ended.ids.tolist()) == ([12], [9]), "an overtaken one is refused"
    assert ended.reasons.tolist() == [Reason.EXPIRED]
    going, ended = admission.judge(4, orders([13], [0], epoch=2, lease_s=-1.0), SYSTEM_CLOCK.now_s())
    assert (len(going), ended.reasons.tolist()) == (0, [Reason.EXPIRED]), "its lease has ended"
    going, _ = admission.judge(5, orders([7], [0], epoch=2, layer=Layer.DEFAULT), SYSTEM_CLOCK.now_s())
    assert going.ids.tolist() == [7], "the layers do not overtake one another"
    going, ended = admission.judge(6, orders([20], [5], epoch=2), SYSTEM_CLOCK.now_s())
    assert ended.status.tolist() == [OutcomeStatus.UNREACHABLE], "a row we do not know"
    going, ended = admission.judge(7, orders([21], [0], epoch=1), SYSTEM_CLOCK.now_s())
    assert (len(going), ended.reasons.tolist(), admission.stale) == (0, [Reason.EXPIRED], 1)
