"""Capability and schedule, 96 points a day, and the record of quotes."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from pydantic import Field

from vpp.api.schemas.base import Known, Schema, known_values
from vpp.domain.flexibility import Capability, Sustained
from vpp.domain.request import Direction, QuoteCalibration, QuoteRecord
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.index import CLASSES, FleetIndex


class SustainedSeries(Schema):
    """Power that can be held for one length of time, kW per 15 minutes each; null beyond the forecast."""

    sustain_minutes: Known
    p10_kw: list[Known] = Field(
        description="Reached with nine chances in ten, the loss of a whole operator or protocol included."
    )
    p50_kw: list[Known] = Field(description="Even chances.")
    p90_kw: list[Known] = Field(description="One chance in ten.")
    without_largest_kw: list[Known] = Field(description="Even chances without the operator that carries most.")
    ramp_kw_per_min: list[Known]

    @classmethod
    def of(cls, sustained: Sustained) -> Self:
        """Return one length of hold as it is shown."""
        names = [name for name in cls.model_fields if name != "sustain_minutes"]
        return cls(
            sustain_minutes=sustained.minutes, **{name: known_values(getattr(sustained, name)) for name in names}
        )


class CapabilitySeries(Schema):
    """One direction: four capacities that never mix, a value per 15 minutes each."""

    connected_kw: list[Known] = Field(description="Nameplate of devices whose link is up.")
    declared_kw: list[Known] = Field(description="Contracted, never above what was verified.")
    verified_kw: list[Known] = Field(
        description="What drills and calls have shown, as far as it still holds; 0 before any."
    )
    available_kw: list[Known] = Field(description="Power available from that interval on for sustain_minutes.")
    ramp_kw_per_min: list[Known]
    sustain_minutes: list[Known] = Field(description="null where energy is no limit")
    contracted_kw: list[Known] = Field(default=[], description="Contracted, whatever was verified.")
    tested: bool = Field(default=False, description="False until a test or an event has shown verified_kw.")
    verified_at: dt.datetime | None = Field(
        default=None, description="End of the last drill or call that showed something; null where none is known."
    )
    sustained: list[SustainedSeries] = Field(default=[], description="The same intervals for several lengths of hold.")

    @classmethod
    def of(cls, capability: Capability) -> Self:
        """Return one direction as it is shown."""
        apart = {"contracted_kw", "tested", "sustained", "verified_at"}
        contracted = capability.contracted_kw
        return cls(
            **{name: known_values(getattr(capability, name)) for name in cls.model_fields if name not in apart},
            contracted_kw=[] if contracted is None else known_values(contracted),
            tested=capability.tested,
            verified_at=None if math.isnan(capability.verified_at_s) else instant(capability.verified_at_s),
            sustained=[SustainedSeries.of(one) for one in capability.sustained],
        )


class CapabilityView(Schema):
    """Declaration of one area and one day (GB/T 44260 capability record)."""

    area: str
    date: dt.date
    interval_starts_at: list[dt.datetime]
    up: CapabilitySeries = Field(description="Net load can be cut by this much.")
    down: CapabilitySeries = Field(description="Net load can be raised by this much.")

    @classmethod
    def of(cls, area: str, day: dt.date, up: Capability, down: Capability) -> Self:
        """Return both directions as they are shown."""
        return cls(
            area=area,
            date=day,
            interval_starts_at=[instant(at_s) for at_s in up.grid.starts_s().tolist()],
            up=CapabilitySeries.of(up),
            down=CapabilitySeries.of(down),
        )


class KeptView(Schema):
    """Windows and requests of one area, direction, notice and part of the day, and how many kept what was quoted."""

    area: str
    direction: Direction
    notice: str = Field(description="15min, 1h, 4h or 24h: the nearest to the notice given.")
    block: str = Field(description="Hours of the day, Asia/Shanghai, in which they begin.")
    windows: int = Field(description="Number judged so far.")
    kept_p10_ratio: Known = Field(description="Share whose least quarter of an hour could deliver p10; 0.9 is right.")
    kept_p50_ratio: Known = Field(description="The same of p50; 0.5 is right.")
    kept_p90_ratio: Known = Field(description="The same of p90; 0.1 is right.")
    since_at: dt.datetime
    learnt: bool = Field(description="False while too few are known: quotes follow the normal law.")


class CalibrationView(Schema):
    """How quotes were kept so far; what was twenty days ago counts half in a ratio."""

    items: list[KeptView]
    left_out: dict[str, int] = Field(
        description="Windows that could not be judged, by reason: under_dispatch, not_metered, not_seen."
    )

    @classmethod
    def of(cls, calibration: QuoteCalibration) -> Self:
        """Return the record of quotes as it is shown."""
        return cls(items=[_kept(one) for one in calibration.records], left_out=calibration.left_out)


def _kept(one: QuoteRecord) -> KeptView:
    p10, p50, p90 = one.kept_ratio
    return KeptView(
        area=one.area,
        direction=one.direction,
        notice=one.notice,
        block=one.block,
        windows=one.windows,
        kept_p10_ratio=p10,
        kept_p50_ratio=p50,
        kept_p90_ratio=p90,
        since_at=one.since_at,
        learnt=one.learnt,
    )


class ScheduleSeries(Schema):
    """Planned mean net power of one class in one area, load positive, a value per 15 minutes."""

    area: str
    resource_class: ResourceClass
    power_kw: list[Known]


class ScheduleView(Schema):
    """The plan in force on one day; ``null`` where it does not reach."""

    area: str
    date: dt.date
    interval_starts_at: list[dt.datetime]
    rung: str = Field(description="optimal, previous or safe_default: where on the fallback ladder the plan stands")
    reason: str = Field(description="Reason the plan is not optimal; empty where it is.")
    objective_cny: Known
    gap_ratio: Known
    total_kw: list[Known]
    series: list[ScheduleSeries]

    @classmethod
    def of(cls, schedule: Schedule, index: FleetIndex, *, area: str, grid: TimeGrid, day: dt.date) -> Self:
        """Return the plan summed by area and class.

        Args:
            schedule: The plan.
            index: The fleet it is for; rows that joined since have no plan yet.
            area: ``"city"`` for all areas, or one area's id.
            grid: The intervals of ``day``.
            day: What to call them.

        Raises:
            UnknownIdError: No such area.
        """
        rows = np.flatnonzero(index.in_area(area)[: len(schedule.power_kw)]).astype(np.int32)
        steps, covered = _steps(schedule.grid, grid)
        power_kw = np.full((len(rows), grid.count), np.nan)
        power_kw[:, covered] = schedule.power_kw[np.ix_(rows, steps[covered])]
        return cls(
            area=area,
            date=day,
            interval_starts_at=[instant(at_s) for at_s in grid.starts_s().tolist()],
            rung=schedule.rung.name.lower(),
            reason=schedule.reason,
            objective_cny=schedule.objective_cny,
            gap_ratio=schedule.gap_ratio,
            total_kw=known_values(power_kw.sum(axis=0) if len(rows) else np.where(covered, 0.0, np.nan)),
            series=list(_series(index, rows, power_kw)),
        )


def _steps(plan: TimeGrid, day: TimeGrid) -> tuple[RowArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    steps = ((day.starts_s() - plan.start_s) // plan.step_s).astype(np.int32)
    return steps, (steps >= 0) & (steps < plan.count)


def _series(index: FleetIndex, rows: RowArray, power_kw: FloatArray) -> Iterator[ScheduleSeries]:
    if not len(rows):
        return
    keys = index.area_code[rows].astype(np.int64) * len(CLASSES) + index.class_code[rows]
    order = np.argsort(keys, kind="stable")
    groups, firsts = np.unique(keys[order], return_index=True)
    for key, total_kw in zip(groups.tolist(), np.add.reduceat(power_kw[order], firsts), strict=True):
        area, resource_class = divmod(key, len(CLASSES))
        yield ScheduleSeries(
            area=index.areas[area].id, resource_class=CLASSES[resource_class], power_kw=known_values(total_kw)
        )
