"""Samples between a device and the next cycle."""

import numpy as np

from tests.unit.vpp.settlement.performance_parts import INDEX
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

NOW_S = 1_784_088_000.0


def test_nothing_that_a_device_said_before_it_left_is_taken_by_the_next_cycle() -> None:
    image = ProcessImage(INDEX)
    ingest = Ingest(image, QualityRules(stale_s=180.0))
    said = [(row, int(Quantity.POWER_KW), 1.0, NOW_S) for row in (0, 1)]
    ingest.telemetry(TelemetryBatch.of(said), NOW_S)
    ingest.vacate(np.array([0], dtype=np.int32), NOW_S + 1.0)
    samples, _ = ingest.taken()
    told = list(zip(samples.rows.tolist(), samples.quantities.tolist(), samples.values.tolist(), strict=True))
    assert told[0] == (1, int(Quantity.POWER_KW), 1.0)
    assert told[1][:2] == (0, int(Quantity.CONNECTED))
    assert np.isnan(told[1][2])

    replayed = ProcessImage(INDEX)
    replayed.write(samples)
    np.testing.assert_array_equal(replayed.columns().value, image.columns().value)
    np.testing.assert_array_equal(replayed.columns().at_s, image.columns().at_s)
