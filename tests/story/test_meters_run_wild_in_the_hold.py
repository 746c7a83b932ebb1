"""In a hold one meter in ten runs wild, each in its way, for ten minutes: nobody is misled, and it can be repeated."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.bootstrap.replay import Replay
from vpp.domain.telemetry import FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState

_HOLD_MINUTES, _WILD_MINUTES = 30.0, 10.0
_WILD: tuple[Callable[[FloatArray], FloatArray], ...] = (
    lambda kw: kw * 1000.0,
    lambda kw: np.full(len(kw), 1e9),
    lambda kw: -kw - 100.0,
    lambda kw: np.full(len(kw), np.nan),
    lambda kw: np.full(len(kw), np.inf),
)


class WildMeters:
    """Stands before the service's ingest and distorts what some rows say."""

    def __init__(self, city: VirtualCity, rows: RowArray) -> None:
        self._take = city.service.core.plane.telemetry
        self._index = city.plant.fleet().index
        self.rows, self.wild = rows, False

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Hand on a batch, distorted while the meters are wild."""
        values, at_s = batch.values.copy(), batch.at_s.copy()
        for number, row in enumerate(self.rows if self.wild else ()):
            mine = batch.rows == row
            power, charge = mine & (batch.quantities == Quantity.POWER_KW), mine & (batch.quantities == Quantity.SOC)
            values[power] = _WILD[number % len(_WILD)](values[power])
            values[charge] = 0.0 if number % 2 else 1.004
            at_s[mine] += (0.0, 590.0, 3000.0)[number % 3]
        self._take(TelemetryBatch(rows=batch.rows, quantities=batch.quantities, values=values, at_s=at_s))


def _plausible(state: FleetState) -> bool:
    margin_kw = 0.25 * np.maximum(np.abs(state.index.nameplate.p_min_kw), np.abs(state.index.nameplate.p_max_kw)) + 0.5
    low, high = state.index.nameplate.p_min_kw - margin_kw, state.index.nameplate.p_max_kw + margin_kw
    known = ~np.isnan(state.power_kw)
    return bool((state.power_kw >= low)[known].all() and (state.power_kw <= high)[known].all())


async def test_wild_meters_mislead_nobody_and_the_run_is_reproduced(
    city: VirtualCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = city.draft(FAR_TOO_MUCH_KW, minutes=_HOLD_MINUTES)
    quoted_kw, _ = await city.quoted_kw(draft)
    request = await city.commit(city.draft(round(0.5 * quoted_kw), minutes=_HOLD_MINUTES))
    meters = WildMeters(city, np.arange(0, len(city.index), 10, dtype=np.int32))
    monkeypatch.setattr(city.service.core.plane, "telemetry", meters.telemetry)
    await city.play_until(request.draft.start_at.timestamp() + 300.0)

    meters.wild = True
    until_s = city.clock.now_s() + 60.0 * _WILD_MINUTES
    while city.clock.now_s() < until_s:
        await city.cycle()
        assert _plausible(city.plant.fleet())
    troubles = city.plant.troubles()
    assert troubles[Trouble.IMPLAUSIBLE_VALUES] >= len(meters.rows) // 2
    assert troubles[Trouble.CLOCK_OFF] > 0
    progress = city.plant.progress(request.id)
    assert progress is not None
    assert progress["metered_ratio"] < 1.0

    meters.wild = False
    await city.play(minutes=3.0)
    state = city.plant.fleet()
    assert (state.quality[state.connected] == 0).mean() > 0.9, "one good reading mends a meter"
    await city.play_out(request.id)
    shown = city.service.core.metrics.registry.get_sample_value
    assert shown("vpp_cap_violations_total") == 0.0
    verdict = city.verdict(request)
    assert verdict["cap_violations"] <= verdict["cap_violations_counterfactual"]
    assert verdict["limits_not_restored"] == 0
    assert verdict["accuracy_true_ratio"] > 0.9
    replayed = Replay(city.settings, city.store).run()
    assert replayed.differences == []
    assert replayed.setpoints == city.plant.commands()["sent"]
