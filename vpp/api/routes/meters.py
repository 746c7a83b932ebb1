"""Metered 15-minute means from the operators' own systems."""

import asyncio

from fastapi import APIRouter, HTTPException, Request

from vpp.api.bodies import MeterTable, meter_table
from vpp.api.deps import ThePlant
from vpp.api.problems import RejectedFieldsError, documented
from vpp.api.schemas.base import FieldError
from vpp.api.schemas.registration import MetersImported
from vpp.domain.fleet import FleetIndex

MAX_BYTES = 512 * 2**20
EXAMPLE = "start_at,mall-7-ev-1,mall-7-ev-2\n2026-07-15T14:00:00+08:00,6.2,\n2026-07-15T14:15:00+08:00,6.4,3.0\n"

router = APIRouter(tags=["meters"])


@router.post(
    "/meter-intervals",
    summary="Import metered 15-minute means",
    responses=documented(401, 413, 415, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
async def import_meters(request: Request, plant: ThePlant) -> MetersImported:
    """Merge a wide table into the metered history; an empty field leaves what was known."""
    if not request.headers.get("content-type", "").startswith("text/csv"):
        raise HTTPException(415, "give the table as text/csv")
    body = await request.body()
    table = await asyncio.to_thread(meter_table, body)
    _check_ids(table, plant.fleet().index)
    values = await plant.import_meters(table.grid, table.resource_ids, table.mean_kw)
    return MetersImported(resources=len(table.resource_ids), intervals=table.grid.count, values=values)


def _check_ids(table: MeterTable, index: FleetIndex) -> None:
    unknown = [identity for identity in table.resource_ids if identity not in index.row_of]
    if unknown:
        raise RejectedFieldsError(
            [FieldError(field="header", value=identity, accepted="ids of registered resources") for identity in unknown]
        )
