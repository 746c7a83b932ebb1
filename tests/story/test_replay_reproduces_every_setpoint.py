"""Journal and telemetry alone decide every cycle again, and come to the same setpoints."""

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import sqlalchemy as sa

from tests.story.conftest import Story
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import engine_version, newest_good
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.parts.restoration import STARTED
from vpp.bootstrap.replay import Replay
from vpp.domain.telemetry import Quantity
from vpp.record.checkpoint import CHECKPOINT, Checkpoint
from vpp.record.state_codec import encode_state
from vpp.storage.codec import decode, encode
from vpp.storage.sql import telemetry_frames


def _cycles(story: Story) -> int:
    return sum(entry.kind == "cycle" for entry in story.entries)


def _halved(samples: bytes) -> bytes:
    """Return a frame whose powers are half of what was metered."""
    frame = decode(bytes(samples))
    power = frame.quantities == Quantity.POWER_KW
    return encode(replace(frame, values=np.where(power, 0.5 * frame.values, frame.values)))


def test_a_run_is_reproduced(delivered: Story) -> None:
    verdict = Replay(delivered.settings, delivered.store).run()

    assert verdict.differences == []
    assert verdict.cycles == _cycles(delivered) > 500
    assert verdict.setpoints == delivered.commands["sent"]


def test_a_run_is_reproduced_across_a_restart(restarted: Story) -> None:
    verdict = Replay(restarted.settings, restarted.store).run()

    assert verdict.differences == []
    assert verdict.cycles == _cycles(restarted) > 500
    assert verdict.setpoints == restarted.commands["sent"]


def test_samples_that_were_changed_afterwards_are_found_out(restarted: Story) -> None:
    frames, database = telemetry_frames.c, restarted.store.database
    in_hold = sa.select(frames.frame, frames.samples).where(frames.at_s > restarted.request.draft.start_at.timestamp())
    with database.begin() as connection:
        heard = connection.execute(in_hold.order_by(frames.frame)).all()
        number, samples = next((n, s) for n, s in heard if (decode(bytes(s)).quantities == Quantity.POWER_KW).any())
        update = sa.update(telemetry_frames).where(frames.frame == number)
        connection.execute(update.values(samples=_halved(samples)))
    try:
        assert Replay(restarted.settings, restarted.store).run().differences
    finally:
        with database.begin() as connection:
            connection.execute(update.values(samples=samples))


def test_the_last_run_is_reproduced_from_the_checkpoint_before_it(restarted: Story) -> None:
    store, journal, maker = restarted.store, restarted.store.journal, engine_version(version("vpp"))
    started = max((entry for entry in restarted.entries if entry.kind == STARTED), key=lambda entry: entry.sequence)
    index = store.registry.load()
    state = FoldedState(lambda: index, dispatch_settings(restarted.settings))
    before = [entry for entry in restarted.entries if entry.sequence < started.sequence]
    state.follow(before)
    kept = Checkpoint(
        sequence=state.sequence,
        at_s=started.at_s,
        version=maker,
        chain_sha256=before[-1].sha256,
        body=encode_state(state.state()),
    )
    store.checkpoints.write(kept)
    journal.append(CHECKPOINT, restarted.entries[-1].at_s, kept.entry())
    journal.flush_now()
    found = newest_good(lambda: state, journal, store.checkpoints, version=maker, until=started.sequence)
    cycles = sum(entry.kind == "cycle" and entry.sequence > started.sequence for entry in restarted.entries)

    verdict = Replay(restarted.settings, store, last=True).run()

    assert found.sequence == started.sequence - 1
    assert started.body["plan"], "the plan of the run before is in force at once"
    assert verdict.differences == []
    assert 0 < verdict.cycles == cycles < _cycles(restarted)
