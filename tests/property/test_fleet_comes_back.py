"""Whatever links, answers and lives of the service were lost in the hold, the request is back within ten minutes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vpp.dispatch.parts import CYCLE_S, END, SETTINGS, START, Bench, Plant, fleet, restore
from vpp.dispatch.allocation.tracking_controller import wanted_kw
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch

TARGET_KW = 900.0
TROUBLED_MINUTES = 12
LEAST_RATIO = 0.97
MOST_RATIO = 1.03
MOST_CORRECTION_RATIO = 0.15
"""Settlement judges the mean of a quarter of an hour, so what was delivered too much in it is taken back in it."""

Answers = Literal["told", "lost", "undelivered"]


@dataclass(frozen=True)
class Minute:
    """One minute of trouble.

    Attributes:
        away: Share of the devices whose links are down.
        seed: Which of them.
        answers: Outcomes come back; are lost though devices obeyed; or commands never arrived.
        dies: The service dies at its end, and another starts from the journal.
    """

    away: float
    seed: int
    answers: Answers
    dies: bool


minutes = st.builds(
    Minute,
    away=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    seed=st.integers(0, 3),
    answers=st.sampled_from(["told", "lost", "undelivered"]),
    dies=st.sampled_from([False, False, False, True]),
)


class TroubledBench(Bench):
    """A bench whose links and service fail as a script says.

    Attributes:
        aims: Delivery that the tracking controller aims at, with its time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aims: list[tuple[float, float]] = []

    def step(self) -> CycleResult:
        """Run one cycle and note what it aims at."""
        result = super().step()
        for memory in self.engine._requests._memories.values():
            self.aims.append((self.plant.now_s, wanted_kw(memory, TARGET_KW)))
        return result

    def play(self, minute: Minute) -> None:
        """Live through one minute."""
        away = np.random.default_rng(minute.seed).random(len(self.plant.index)) < minute.away
        self.plant.connected = ~away
        for _ in range(round(60.0 / CYCLE_S)):
            self.plant.advance(CYCLE_S)
            state = self.plant.state()
            result = self.engine.cycle(state, schedule=self.schedule, baselines=self.baselines)
            self.answer(result.batch, minute.answers)
        if minute.dies:
            self.restart()

    def answer(self, batch: SetpointBatch, answers: Answers) -> None:
        """Let devices have a batch, and the service their answers, or not."""
        outcomes: OutcomeBatch | None = None if answers == "undelivered" else self.plant.obey(batch)
        if outcomes is not None and answers == "told":
            self.engine.outcomes(outcomes)

    def free_kw(self, at_s: float) -> float:
        """Return what the fleet would take without a request; stores are planned to rest."""
        index = self.plant.index
        stores = index.is_class(ResourceClass.STORAGE, ResourceClass.V2G)
        return float(np.where(stores, 0.0, self.plant.free(at_s)).sum())

    def restart(self) -> None:
        """Go on with an engine that knows the journal only."""
        engine = DispatchEngine(self.plant.index, self.settings, self.record, epoch=self.engine.outbox.epoch + 1)
        restore(engine, self.journal, self.plant.now_s, self.settings)
        self.engine = engine


@settings(max_examples=15, deadline=None)
@given(script=st.lists(minutes, min_size=1, max_size=TROUBLED_MINUTES))
def test_the_fleet_comes_back_to_its_request(script: list[Minute]) -> None:
    bench = TroubledBench(Plant(fleet(), noise=0.0))
    bench.commit(TARGET_KW)
    bench.run(START + timedelta(minutes=2))
    for minute in script:
        bench.play(minute)
    bench.plant.connected[:] = True
    bench.run(START + timedelta(minutes=2 + len(script) + 10))
    commands, now_s = bench.engine.outbox.columns, bench.plant.now_s
    assert (commands.back_off.away_s <= now_s).all()
    assert (commands.back_off.blocked_s <= now_s).all()
    assert (now_s - commands.unanswered.sent_s[commands.unanswered.id > 0] < SETTINGS.commands.back_off.answer_s).all()

    bench.run(min(START + timedelta(minutes=2 + len(script) + 13), END))
    delivered_kw = np.mean([bench.free_kw(at_s) - kw for at_s, kw in bench.powers if at_s > now_s])
    aimed_kw = np.mean([aimed for at_s, aimed in bench.aims if at_s > now_s])
    assert LEAST_RATIO <= delivered_kw / aimed_kw <= MOST_RATIO
    assert abs(aimed_kw / TARGET_KW - 1.0) <= MOST_CORRECTION_RATIO
