"""Whatever happened to a device: once connected, metered and accepting, it is called again within a stated time."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.vpp.dispatch.commands.test_outbox import RULES, Bench
from vpp.domain.setpoint import OutcomeStatus, Reason, SetpointBatch

WITHIN_S = RULES.back_off.retry_most_s
"""However often a device refused or ignored what it was told, it is asked again after that long."""
WISH = [2.0, -5.0, 3.0]
FREE = [7.0, 0.0, 9.0]


class Device(RuleBasedStateMachine):
    """One outbox, its devices' moods, their links, the service's deaths."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.up = True
        self.open: list[SetpointBatch] = []
        self.refused_once = False

    @rule(seconds=st.sampled_from([1.0, 10.0, 60.0, 120.0, 300.0, 900.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.now_s += seconds

    @rule(obeys=st.booleans(), fresh=st.booleans())
    def cycle(self, obeys: bool, fresh: bool) -> None:  # noqa: FBT001 - drawn
        """Meter, and send what is due."""
        self.refused_once |= not obeys
        sampled_s = self.bench.now_s if fresh and self.up else self.bench.now_s - 1000.0
        self.bench.meter(WISH if obeys else FREE, sampled_s=sampled_s, up=self.up)
        if self.up:
            batch = self.bench.flush(WISH)
            self.open += [batch] if len(batch) else []

    @precondition(lambda self: self.open)
    @rule(status=st.sampled_from(OutcomeStatus), reason=st.sampled_from(Reason))
    def answer(self, status: OutcomeStatus, reason: Reason) -> None:
        """Answer the oldest batch in some way."""
        self.refused_once |= status is OutcomeStatus.REJECTED
        self.bench.answer(self.open.pop(0), status, reason)

    @precondition(lambda self: self.open)
    @rule()
    def swallow(self) -> None:
        """Never answer the oldest batch."""
        self.open.pop(0)

    @rule()
    def link(self) -> None:
        """Lose the link, or have it back."""
        self.up = not self.up
        self.bench.meter(FREE, sampled_s=self.bench.now_s - 1000.0, up=self.up)

    @rule()
    def die(self) -> None:
        """Let the service die and come back."""
        entries, self.bench.box = list(self.bench.journal), self.bench.new()
        self.bench.restore(self.bench.box, entries)
        self.open.clear()

    @invariant()
    def nothing_lasts_for_ever(self) -> None:
        """Every bar that stands now is down in the stated time; a link that is up and was never refused has none."""
        table, now_s = self.bench.box.columns.back_off, self.bench.now_s
        assert (table.blocked_s <= now_s + WITHIN_S).all()
        assert (table.retry_s <= now_s + RULES.back_off.retry_after_s).all()
        assert (table.away_s <= now_s + RULES.back_off.retry_after_s).all()
        if not self.refused_once:
            assert (table.blocked_s == -np.inf).all()

    def teardown(self) -> None:
        """Play the end: links up, meters fresh, every command accepted and obeyed."""
        bench = self.bench
        bench.meter(FREE, sampled_s=bench.now_s - 1000.0, up=False)
        bench.now_s += max(WITHIN_S if self.refused_once else 0.0, RULES.back_off.answer_s)
        bench.meter(FREE, sampled_s=bench.now_s - 1000.0)
        # Whoever never answered is given up; what an earlier life left in force is taken out, and that is accepted.
        released = bench.flush([np.nan] * 3)
        if len(released):
            bench.answer(released, OutcomeStatus.ACCEPTED, Reason.NONE)
        bench.meter(FREE, sampled_s=bench.now_s - 1000.0, up=False)
        bench.meter(FREE, sampled_s=bench.now_s - 1000.0)
        batch = bench.flush(WISH)
        held = bench.box.in_force.dispatch_kw
        assert set(batch.rows.tolist()) | set(np.flatnonzero(~np.isnan(held)).tolist()) == {0, 1, 2}
        assert (bench.box.columns.back_off.away_s <= bench.now_s).all()


TestDevice = Device.TestCase
TestDevice.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
