"""Meters that fall silent while the connections stay: nothing is credited that nobody measures."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import START, Bench, Plant, fleet
from tests.unit.vpp.dispatch.regulation.parts import Played, usual_kw
from tests.unit.vpp.dispatch.regulation.parts import seen as regulated
from vpp.dispatch.regulation.reservation import Reservation
from vpp.domain.telemetry import Quality
from vpp.fleet.fleet_state import FleetState

TARGET_KW, STALE_S = 700.0, 180.0


@dataclass
class SilentPlant(Plant):
    """Devices of which every other one's meter stands still from an instant on."""

    silent_s: float = np.inf

    def state(self) -> FleetState:
        """Return the snapshot the service would see."""
        silent = (np.arange(len(self.index)) % 2 == 0) & (self.now_s > self.silent_s)
        if not silent.any():
            self._last_kw = self.metered.copy()
            return super().state()
        stale = silent & (self.now_s > self.silent_s + STALE_S)
        return replace(
            super().state(),
            power_kw=np.where(silent, self._last_kw, self.metered),
            power_at_s=np.where(silent, self.silent_s, self.metered_s),
            quality=np.where(stale, Quality.STALE, Quality.GOOD).astype(np.uint8),
        )


@pytest.fixture(scope="module")
def bench() -> Bench:
    made = Bench(SilentPlant(fleet(), silent_s=START.timestamp() + 300.0))
    made.commit(TARGET_KW)
    made.run(START + timedelta(minutes=15))
    return made


def test_what_nobody_measures_is_not_delivered(bench: Bench) -> None:
    last = [result.progress[0] for _, result in bench.results if result.progress][-1]
    baseline_kw = bench.baselines[last.request_id].power_kw[:, 1].sum()
    silent = np.arange(len(bench.plant.index)) % 2 == 0
    measured = bench.plant.power[~silent].sum() + bench.baselines[last.request_id].power_kw[silent, 1].sum()
    # What silent devices truly give is credited to nobody; what others give in their place is.
    assert last.delivered_kw == pytest.approx(baseline_kw - measured, abs=0.1 * TARGET_KW)
    assert baseline_kw - bench.plant.power.sum() > last.delivered_kw


def test_others_are_asked_in_their_place_and_progress_says_how_much_is_metered(bench: Bench) -> None:
    progress = {at: result.progress[0] for at, result in bench.results if result.progress}
    before = progress[START.timestamp() + 300.0]
    after = progress[max(progress)]
    assert before.metered_ratio == 1.0
    assert 0.2 < after.metered_ratio < 1.0
    assert after.rows >= before.rows


def test_regulation_leaves_out_who_is_not_freshly_metered() -> None:
    played = Played()
    state = regulated(played.index, usual_kw(played.index), played.at_s)
    stale = np.arange(len(played.index)) % 2 == 0
    reach = {}
    for name, quality in (("fresh", np.zeros(len(stale))), ("stale", np.where(stale, Quality.STALE, 0))):
        held = Reservation(
            holding=played.holding,
            base_kw=played.base_kw,
            held_kw=played.held_kw,
            kept=played.kept,
            pinned=played.pinned,
            shed=np.zeros(len(stale)),
        )
        played.follower.refresh(replace(state, quality=quality.astype(np.uint8)), held)
        followed = played.follower.tick(played.at_s + 4.0, 0.0)
        reach[name] = followed.up_kw + followed.down_kw
    assert reach["stale"] < 0.8 * reach["fresh"]
