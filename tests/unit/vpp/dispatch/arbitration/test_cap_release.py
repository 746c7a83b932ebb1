"""Production that a transformer's export cap holds back returns when there is room for it, and not before."""

from dataclasses import replace

import numpy as np

from tests.fleets import at_one_site
from vpp.dispatch.arbitration.cap_release import lift_caps
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.flexibility.accounted_load import no_doubt
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.image import ProcessImage

EXPORT_KW, SUN_KW, HELD_KW = 20.0, -48.0, -19.4


def _index() -> FleetIndex:
    return at_one_site(
        (
            Resource(
                id="pv",
                site_id="s",
                resource_class=ResourceClass.PV,
                adapter=Adapter.MODBUS,
                address="h:502/1",
                p_min_kw=-50.0,
                p_max_kw=0.0,
            ),
        ),
        limit_kw=400.0,
        export_limit_kw=EXPORT_KW,
    )


def _held_after(available_kw: float) -> bool:
    """Tell whether an inverter that is held at 19.4 of 48 kW stays so when that much could be produced."""
    index, assignments = _index(), Assignments(1)
    state: FleetState = replace(
        ProcessImage(index).swap(0.0, np.zeros(1, dtype=np.uint8)), available_min_kw=np.array([available_kw])
    )
    assignments.cap(np.array([0]), np.array([HELD_KW]), np.array([SUN_KW]))
    lift_caps(
        assignments,
        index.feeders,
        state,
        accounted=no_doubt(np.array([HELD_KW])),
        uncontrolled_kw=np.array([max(SUN_KW, available_kw)]),
        kept=np.zeros(1, dtype=np.bool_),
        order=np.zeros(1),
        caps=DispatchSettings().caps,
    )
    return not bool(np.isnan(assignments.columns.cap_kw[0]))


def test_an_inverter_held_for_an_export_cap_is_not_let_go_while_the_sun_shines() -> None:
    assert _held_after(SUN_KW), "it would be held again in the next cycle, and so on"


def test_an_inverter_held_for_an_export_cap_is_let_go_under_clouds() -> None:
    assert not _held_after(-5.0)


class _Held:
    """An inverter behind the transformer that follows what the engine tells it, at once."""

    def __init__(self) -> None:
        self.index = _index()
        self.image = ProcessImage(self.index)
        ids = iter(range(1, 10_000))
        self.engine = DispatchEngine(
            self.index,
            DispatchSettings(),
            lambda *_: None,
            take_ids=lambda count: np.array([next(ids) for _ in range(count)], dtype=np.int64),
            epoch=1,
        )
        self.at_s, self.ceiling_kw = 1_784_081_000.0, -np.inf

    def cycle(self, sun_kw: float) -> int:
        """Run one cycle under this much sun; return how many setpoints went out."""
        self.at_s += 10.0
        shown = {
            Quantity.CONNECTED: 1.0,
            Quantity.POWER_KW: max(sun_kw, self.ceiling_kw),
            Quantity.P_MIN_KW: sun_kw,
            Quantity.P_MAX_KW: 0.0,
        }
        self.image.write(TelemetryBatch.of([(0, quantity, value, self.at_s) for quantity, value in shown.items()]))
        state = self.image.swap(self.at_s, np.zeros(1, dtype=np.uint8))
        batch = self.engine.cycle(state, schedule=None, baselines={}).batch
        for layer, kw in zip(batch.layers.tolist(), batch.power_kw.tolist(), strict=True):
            self.ceiling_kw = kw if layer == Layer.DISPATCH else -np.inf
        codes = np.zeros(len(batch), dtype=np.uint8)
        at_s = np.full(len(batch), self.at_s)
        self.engine.outcomes(OutcomeBatch(ids=batch.ids, rows=batch.rows, status=codes, reasons=codes, at_s=at_s))
        return len(batch)


def test_one_setpoint_holds_it_and_one_lets_it_go() -> None:
    held = _Held()
    assert sum(held.cycle(SUN_KW) for _ in range(12)) == 1, "no release and new hold every other cycle"
    assert held.ceiling_kw == HELD_KW
    assert sum(held.cycle(-5.0) for _ in range(12)) == 1
    assert held.ceiling_kw == -np.inf
