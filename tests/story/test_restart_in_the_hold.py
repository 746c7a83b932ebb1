"""A power cut in the hold, after commands were written down and before they left; forty seconds later it is over."""

from tests.story.conftest import LAST_OF_32_BITS, Story
from vpp.domain.request import RequestState
from vpp.storage.journal import verify

LEAST_ACCURACY = 0.97


def test_the_request_goes_on_and_is_delivered(restarted: Story) -> None:
    assert restarted.request.state is RequestState.SETTLED
    assert restarted.performance.accuracy_ratio >= LEAST_ACCURACY
    assert restarted.verdict["accuracy_true_ratio"] >= LEAST_ACCURACY
    assert restarted.verdict["promises_broken"] == 0
    assert restarted.verdict["cap_violations"] == 0
    assert restarted.verdict["limits_not_restored"] == 0


def test_no_command_goes_out_twice_and_none_is_forgotten(restarted: Story) -> None:
    written = [i for entry in restarted.entries if entry.kind == "setpoints.sent" for i in entry.body["ids"]]  # type: ignore[attr-defined] # JSON

    assert len(set(written)) == len(written)
    assert len(set(restarted.ids)) == len(restarted.ids)
    lost = set(written) - set(restarted.ids)
    assert lost, "the cut came before anything left"
    assert set(restarted.ids) <= set(written)
    assert restarted.commands["sent"] == len(written)
    assert restarted.commands["unaccounted"] == 0


def test_command_ids_pass_the_end_of_32_bits_unnoticed(restarted: Story) -> None:
    assert min(restarted.ids) <= LAST_OF_32_BITS < max(restarted.ids)


def test_the_epoch_rises_and_the_chain_holds_over_the_gap(restarted: Story) -> None:
    epochs = [entry.body["epoch"] for entry in restarted.entries if entry.kind == "service.started"]

    assert epochs == [1, 2]
    assert verify(restarted.store.database).count == len(restarted.entries)
