"""Metered 15-minute means from the operators' own systems."""

import asyncio

from fastapi import APIRouter, HTTPException, Request

from vpp.api.deps import TheAdministration, TheScope
from vpp.api.metertable import MeterTable, meter_table
from vpp.api.problems import RejectedFieldsError, documented
from vpp.api.schemas.base import FieldError
from vpp.api.schemas.registration import MetersImported
from vpp.telemetry.table_gate import RefusedMeansError

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
async def import_meters(request: Request, administration: TheAdministration, scope: TheScope) -> MetersImported:
    """Merge a wide table into the metered history; an empty field changes nothing."""
    if not request.headers.get("content-type", "").startswith("text/csv"):
        raise HTTPException(415, "give the table as text/csv")
    body = await request.body()
    table = await asyncio.to_thread(meter_table, body, administration.fleet(scope=scope).index.row_of)
    try:
        values = await administration.import_meters(table.grid, table.resource_ids, table.mean_kw, scope=scope)
    except RefusedMeansError as error:
        raise RejectedFieldsError(_by_line(error, table)) from error
    return MetersImported(resources=len(table.resource_ids), intervals=table.grid.count, values=values)


def _by_line(error: RefusedMeansError, table: MeterTable) -> list[FieldError]:
    """Return the values the gate refused, by the records of the table, in their order."""
    found = [
        FieldError(
            row=int(table.line_of[table.grid.index_at(refused.at_s)]),
            field=resource_id,
            value=refused.value_kw,
            accepted=accepted,
        )
        for (refused, accepted), resource_id in zip(error.refused, error.resource_ids, strict=True)
    ]
    return sorted(found, key=lambda fault: fault.row or 0)
