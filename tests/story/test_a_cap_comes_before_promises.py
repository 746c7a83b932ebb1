"""Two drivers short of time behind a transformer that carries one of their cars: the cap is kept, both give way."""

from collections.abc import AsyncIterator, Mapping

import numpy as np

from tests.fleets import at_one_site, chargers
from vpp.application.watch.alarms import Alarms
from vpp.application.watch.device_troubles import DeviceTroubles
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.event import StreamEvent
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.trouble import Trouble
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

BEGIN_S, CYCLE_S, CARS = 1_784_081_000.0, 10.0, 2
LIMIT_KW, CAR_KW, FLOOR_KW, PROMISED_KWH = 21.5, 30.0, 1.4, 15.0
STAY_S = 1800.0
"""At 30 kW there is not a minute to spare."""


class _Board:
    """News that are only kept."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, object]] = []

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> StreamEvent:
        """Keep an event."""
        self.events.append(body)
        return StreamEvent(number=len(self.events), kind=kind, at_s=at_s, body=body)

    def subscribe(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """Refuse: nobody listens here."""
        raise NotImplementedError(after)


class _Garage:
    """Chargers that follow what the engine tells them by the next cycle, and the watch over them."""

    def __init__(self) -> None:
        index = at_one_site(
            chargers(CARS, p_max_kw=CAR_KW, floor_kw=FLOOR_KW, default_kw=CAR_KW),
            limit_kw=LIMIT_KW,
            export_limit_kw=LIMIT_KW,
        )
        self.image = ProcessImage(index)
        self.ingest = Ingest(self.image, QualityRules())
        self.engine = DispatchEngine(index, DispatchSettings(), lambda *_: None)
        self.board, self.metrics, self.troubles = _Board(), Metrics("test"), DeviceTroubles()
        self.alarms = Alarms(self.board, self.metrics)
        self.at_s, self.wants_kw = BEGIN_S, np.zeros(CARS)
        self.ceiling_kw, self.charged_kwh = np.full(CARS, np.inf), np.zeros(CARS)

    def plug_in(self) -> None:
        """Let both cars come at once, each promised all that it can take until it leaves."""
        promise = Promise(energy_kwh=PROMISED_KWH, departure_s=self.at_s + STAY_S)
        for row in range(CARS):
            self.ingest.session(SessionStarted(session_id=f"c{row}:1", row=row, at_s=self.at_s, meter_kwh=0.0))
            self.ingest.session(SessionPromised(session_id=f"c{row}:1", promise=promise))
        self.wants_kw = np.full(CARS, CAR_KW)

    def leave(self, row: int) -> None:
        """Let a car leave."""
        end = SessionEnded(session_id=f"c{row}:1", row=row, at_s=self.at_s, meter_kwh=float(self.charged_kwh[row]))
        self.ingest.session(end)
        self.wants_kw[row] = 0.0

    def cycle(self) -> CycleResult:
        """Let ten seconds and a cycle pass."""
        self.at_s += CYCLE_S
        power_kw = np.minimum(self.wants_kw, self.ceiling_kw)
        self.charged_kwh += power_kw * CYCLE_S / 3600.0
        shown = (
            (Quantity.CONNECTED, np.ones(CARS)),
            (Quantity.PLUGGED, (self.wants_kw > 0.0).astype(np.float64)),
            (Quantity.POWER_KW, power_kw),
            (Quantity.ENERGY_KWH, self.charged_kwh),
        )
        samples = [(row, int(what), float(values[row]), self.at_s) for what, values in shown for row in range(CARS)]
        self.ingest.telemetry(TelemetryBatch.of(samples), self.at_s)
        state, ended = self.ingest.snapshot(self.at_s), self.ingest.ended()
        result = self.engine.cycle(state, schedule=None, baselines={})
        self._obey(result.batch)
        self.troubles.follow(state, self.image, self.ingest.gate, np.zeros(CARS, np.bool_), result.below_promise)
        self.alarms.follow(state, result, schedule=None, ended=ended)
        return result

    def _obey(self, batch: SetpointBatch) -> None:
        codes, at_s = np.zeros(len(batch), dtype=np.uint8), np.full(len(batch), self.at_s)
        for row, layer, kw in zip(batch.rows.tolist(), batch.layers.tolist(), batch.power_kw.tolist(), strict=True):
            self.ceiling_kw[row] = kw if layer == Layer.DISPATCH else np.inf
        self.engine.outcomes(OutcomeBatch(ids=batch.ids, rows=batch.rows, status=codes, reasons=codes, at_s=at_s))

    def yielding(self) -> list[int]:
        """Return the chargers whose operators see that the transformer takes from a promise."""
        return self.troubles.rows_with(Trouble.BELOW_PROMISE, CARS).nonzero()[0].tolist()


def test_a_small_transformer_is_kept_from_the_first_cycle_and_both_drivers_give_way() -> None:
    garage = _Garage()
    garage.cycle()
    garage.plug_in()
    first = garage.cycle()
    assert first.transformer_load_kw[0] == CARS * CAR_KW, "they charge before anybody could tell them anything"
    for result in [first, *(garage.cycle() for _ in range(60))]:
        assert result.transformer_expected_kw[0] <= LIMIT_KW
        assert garage.yielding() == [0, 1]
    assert np.minimum(garage.wants_kw, garage.ceiling_kw).sum() > 0.95 * LIMIT_KW, "no more is taken than has to be"
    assert np.ptp(garage.charged_kwh) < 0.02 * garage.charged_kwh.max(), "side by side"

    garage.leave(0)
    for _ in range(20):
        garage.cycle()
    assert garage.yielding() == [1], "one alone still wants more than the transformer carries"
    assert garage.ceiling_kw[1] > 0.95 * LIMIT_KW, "what became free is given back"

    garage.at_s = BEGIN_S + STAY_S + 2.0 * CYCLE_S
    garage.leave(1)
    garage.cycle()
    broken = [body for body in garage.board.events if body["alarm"] == "promise_broken"]
    assert [(body["resource_id"], body["for_transformer"]) for body in broken] == [("c1", True)]
    assert garage.yielding() == []
