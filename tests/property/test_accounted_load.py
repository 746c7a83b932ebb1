"""Whatever meters, links and leases do, a row counts within its nameplate, and what is measured counts as measured."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleets import at_one_site
from vpp.dispatch.flexibility.accounted_load import LoadAccounting
from vpp.dispatch.rows.command_columns import blank_commands
from vpp.dispatch.rows.row_columns import repeated, views
from vpp.domain.plausible import believable_kw
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import Quality, Quantity, TelemetryBatch
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules

NOW_S = 1_784_088_000.0
RANGES = {
    ResourceClass.EV: (0.0, 7.0),
    ResourceClass.V2G: (-11.0, 11.0),
    ResourceClass.STORAGE: (-50.0, 50.0),
    ResourceClass.PV: (-30.0, 0.0),
    ResourceClass.HVAC: (0.0, 60.0),
    ResourceClass.INDUSTRY: (10.0, 90.0),
}
KINDS = tuple(RANGES)
INDEX = at_one_site(
    tuple(
        Resource(
            id=kind.value,
            site_id="s",
            resource_class=kind,
            adapter=Adapter.MQTT,
            address=kind.value,
            p_min_kw=low,
            p_max_kw=high,
            capacity_kwh=50.0,
        )
        for kind, (low, high) in RANGES.items()
    ),
    limit_kw=100.0,
    export_limit_kw=100.0,
)
ROW = st.integers(0, len(KINDS) - 1)
SAMPLES = st.lists(
    st.tuples(
        ROW,
        st.sampled_from([int(Quantity.POWER_KW), int(Quantity.CONNECTED), int(Quantity.PLUGGED)]),
        st.sampled_from([0.0, 1.0, 5.0, -5.0, 40.0, -40.0, 7000.0, -1e9]),
    ),
    max_size=8,
)
COMMANDS = st.lists(st.tuples(ROW, st.floats(-60.0, 95.0), st.floats(-400.0, 400.0)), max_size=3)


@given(cycles=st.lists(st.tuples(st.floats(1.0, 200.0), SAMPLES, COMMANDS), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_every_row_counts_within_its_nameplate_and_measured_ones_as_measured(
    cycles: list[tuple[float, list[tuple[int, int, float]], list[tuple[int, float, float]]]],
) -> None:
    ingest, accounting = Ingest(ProcessImage(INDEX), QualityRules()), LoadAccounting(len(INDEX))
    held = repeated(blank_commands(), len(INDEX)).in_force
    now_s, (low, high) = NOW_S, believable_kw(INDEX.nameplate.p_min_kw, INDEX.nameplate.p_max_kw)
    for pause_s, samples, commands in cycles:
        now_s += pause_s
        ingest.telemetry(TelemetryBatch.of([(*sample, now_s) for sample in samples]), now_s)
        for row, kw, lease_s in commands:
            held.dispatch_kw[row], held.lease_s[row], held.limited_s[row] = kw, now_s + lease_s, now_s + lease_s
        state = ingest.snapshot(now_s)
        found = accounting.account(state, views(held))
        assert (found.least_kw <= found.most_kw).all()
        assert (found.least_kw >= np.minimum(low, 0.0)).all()
        assert (found.most_kw <= np.maximum(high, 0.0)).all()
        measured = state.connected & (state.quality == Quality.GOOD)
        for column in found[:3]:
            np.testing.assert_array_equal(column[measured], state.power_kw[measured])
        if not found.doubtful:
            np.testing.assert_array_equal(found.most_kw, found.known_kw)
            np.testing.assert_array_equal(found.least_kw, found.known_kw)
