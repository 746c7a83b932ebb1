"""One settled request over four intervals."""

from datetime import UTC, datetime

import numpy as np

from tests.fleets import at_one_site
from vpp.domain.performance import Baseline
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    RequestDraft,
    RequestState,
)
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.timegrid import TimeGrid

START_AT = datetime(2026, 7, 15, 10, 0, tzinfo=UTC)
GRID = TimeGrid(start_at=datetime(2026, 7, 15, 9, 45, tzinfo=UTC), count=6)
"""One step of ramp, two of hold, one of release, two of watch."""
START_S = START_AT.timestamp()
INDEX = at_one_site(
    tuple(
        Resource(
            id=f"r{row}",
            site_id="s",
            resource_class=cls,
            adapter=Adapter.MQTT,
            address=f"s/{row}",
            p_min_kw=-500.0,
            p_max_kw=500.0,
        )
        for row, cls in enumerate((ResourceClass.EV, ResourceClass.EV, ResourceClass.STORAGE, ResourceClass.HVAC))
    ),
    limit_kw=1e6,
    export_limit_kw=1e6,
)
EVERYBODY = np.ones(4, dtype=np.bool_)
BASELINE = Baseline(
    grid=GRID,
    power_kw=np.repeat(np.array([[100.0], [100.0], [0.0], [200.0]]), 6, axis=1),
    methods={"ev": BaselineMethod.SAME_TYPE_DAYS},
    reference_days=(),
    excluded_days=(),
    adjustment_ratio={},
    input_sha256="00",
)
DRAFT = RequestDraft(
    product=Product.PEAK_SHAVING,
    direction=Direction.UP,
    target_kw=100.0,
    area="city",
    start_at=START_AT,
    end_at=datetime(2026, 7, 15, 10, 30, tzinfo=UTC),
    notice_class=NoticeClass.INTRADAY,
)
REQUEST = DispatchRequest(
    id="q", draft=DRAFT, state=RequestState.COMPLETED, created_at=GRID.start_at, accepted_kw=100.0
)
