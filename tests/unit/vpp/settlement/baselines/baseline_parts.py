"""A small fleet, its metered history, and baselines of it."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from tests.fleets import at_one_site
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import SHANGHAI
from vpp.fleet.index import FleetIndex
from vpp.settlement.baselines.baseline import compute_baseline

EVENT_DAY = date(2026, 7, 15)


class Ledger:
    """Meters whose every interval is kept by day: ``days[date]`` has shape (n_resources, 96)."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.days: dict[date, FloatArray] = {}

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return what the ledger holds, NaN elsewhere."""
        columns = [self._column(at_s) for at_s in grid.starts_s().tolist()]
        return np.array(columns).reshape(grid.count, self.rows).T.copy()

    def _column(self, at_s: float) -> FloatArray:
        at = datetime.fromtimestamp(at_s, SHANGHAI)
        day = self.days.get(at.date())
        return np.full(self.rows, np.nan) if day is None else day[:, at.hour * 4 + at.minute // 15]

    def fill(self, day: date, *row_kw: float) -> None:
        """Let every row take the same power all day."""
        self.days[day] = np.repeat(np.array(row_kw)[:, None], 96, axis=1)


def fleet(*classes: ResourceClass) -> FleetIndex:
    resources = tuple(
        Resource(
            id=f"r{row}",
            site_id="s",
            resource_class=cls,
            adapter=Adapter.MQTT,
            address=f"s/r{row}",
            p_min_kw=-500.0,
            p_max_kw=500.0,
        )
        for row, cls in enumerate(classes)
    )
    return at_one_site(resources, limit_kw=1e6, export_limit_kw=1e6)


def at(hour: int, minute: int = 0, day: date = EVENT_DAY) -> float:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI).timestamp()


def draft(**changes: object) -> RequestDraft:
    plain = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=100.0,
        area="city",
        start_at=datetime(2026, 7, 15, 10, 0, tzinfo=UTC),
        end_at=datetime(2026, 7, 15, 11, 0, tzinfo=UTC),
        notice_class=NoticeClass.INTRADAY,
    )
    return replace(plain, **changes)


def plan(*row_kw: float, hours: float = 24.0) -> Schedule:
    count = int(hours * 4)
    return Schedule(
        grid=TimeGrid(start_at=datetime.fromtimestamp(at(0), UTC), count=count),
        power_kw=np.repeat(np.array(row_kw)[:, None], count, axis=1),
        rung=Rung.OPTIMAL,
        objective_cny=0.0,
        gap_ratio=0.0,
        solve_s=0.0,
        overload_kw={},
    )


def baseline_of(meter: Ledger, index: FleetIndex, asked: RequestDraft | None = None, **changes: object) -> Baseline:
    given: dict[str, object] = {
        "index": index,
        "portfolio": np.ones(len(index), dtype=np.bool_),
        "meter": meter,
        "schedule": None,
        "notice_s": at(14),
        "start_s": at(17, 50),
        "end_s": at(19, 30),
    }
    return compute_baseline(asked or draft(), **{**given, **changes})
