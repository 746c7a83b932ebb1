"""Stored samples of one device, and the power of an area by minute."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Depends, Query, Request

from vpp.api.deps import AreaQuery, TheScope
from vpp.api.problems import documented
from vpp.api.schemas.base import LAST_YEAR, Instant
from vpp.api.schemas.telemetry import HistoryView, PowerView, SeriesView
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.request import CITY
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY
from vpp.ports import SampleHistory

LONGEST_DAYS = 31
_LAST_S = datetime(LAST_YEAR, 1, 1, tzinfo=UTC).timestamp()
router = APIRouter(tags=["telemetry"])


async def _history(request: Request) -> SampleHistory:
    store = getattr(request.app.state, "telemetry", None)
    if store is None:
        raise ConflictError("this service keeps no telemetry; set VPP_TELEMETRY_URL")
    return cast(SampleHistory, store)


TheHistory = Annotated[SampleHistory, Depends(_history)]
From = Annotated[Instant, Query(alias="from", description="ISO-8601 time with an offset, from which on.")]
To = Annotated[Instant, Query(alias="to", description="ISO-8601 time with an offset, up to which.")]


@router.get(
    "/resources/{resource_id:path}/telemetry",
    summary="What one device reported",
    responses=documented(401, 404, 409, 422),
)
async def telemetry(resource_id: str, store: TheHistory, scope: TheScope, start: From, end: To) -> HistoryView:
    """Return the samples of one device, by quantity."""
    from_s, to_s = _window(start, end)
    batch = await asyncio.to_thread(store.samples, resource_id, from_s=from_s, to_s=to_s, scope=scope)
    return HistoryView(resource_id=resource_id, series=_series(batch))


@router.get("/telemetry/power", summary="Metered power by minute", responses=documented(401, 404, 409, 422))
async def power(
    *,
    store: TheHistory,
    scope: TheScope,
    start: From,
    end: To,
    area: AreaQuery = CITY,
    step_minutes: Annotated[Literal[1, 15], Query(description="Length of a step.")] = 1,
) -> PowerView:
    """Return the sum over devices of the mean power of each."""
    from_s, to_s = _window(start, end)
    start_s, power_kw, devices = await asyncio.to_thread(
        store.power, area, from_s=from_s, to_s=to_s, step_s=60 * step_minutes, scope=scope
    )
    return PowerView(
        area=area,
        step_minutes=step_minutes,
        start_at=[instant(at_s) for at_s in start_s.tolist()],
        power_kw=power_kw.tolist(),
        devices=devices.tolist(),
    )


def _window(start: datetime, end: datetime) -> tuple[float, float]:
    from_s, to_s = start.timestamp(), end.timestamp()
    if not from_s < to_s <= from_s + LONGEST_DAYS * SECONDS_PER_DAY:
        raise InputError("to", end.isoformat(), f"a time after 'from', at most {LONGEST_DAYS} days later")
    return from_s, to_s


def _series(batch: TelemetryBatch) -> list[SeriesView]:
    shown = []
    for code in np.unique(batch.quantities).tolist():
        here = (batch.quantities == code) & (batch.at_s >= 0.0) & (batch.at_s < _LAST_S)
        shown.append(
            SeriesView(
                quantity=Quantity(code).name.lower(),
                at=[instant(at_s) for at_s in batch.at_s[here].tolist()],
                value=batch.values[here].tolist(),
            )
        )
    return shown
