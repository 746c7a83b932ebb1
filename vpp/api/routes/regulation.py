"""Regulation signals: one value at a time or a table for tests, and how well they are followed."""

import asyncio

import numpy as np
from fastapi import APIRouter, HTTPException, Request

from vpp.api.deps import TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.regulation import RegulationView, SignalBody, SignalTaken
from vpp.dispatch.regulation.signal_table import parse_signal
from vpp.domain.errors import ConflictError
from vpp.ports import GridSink, RegulationSignals
from vpp.settlement.regulation_performance import estimated_scores_of, scores_of

MAX_BYTES = 16 * 2**20
EXAMPLE = "time,value\n2026-07-15T14:00:00+08:00,0.0\n2026-07-15T14:00:04+08:00,0.12\n"

router = APIRouter(tags=["regulation"])


@router.put(
    "/requests/{request_id}/signal",
    summary="The regulation signal's next value",
    responses=documented(401, 404, 409, 410, 422),
)
async def put_signal(request_id: str, body: SignalBody, service: TheService, scope: TheScope) -> SignalTaken:
    """Record one value; sending it again changes nothing, a stale one is refused."""
    value, unit = body.asked()
    at_s = np.array([body.at.timestamp()])
    new = await _regulating(service).take_signal(request_id, at_s, np.array([value]), unit=unit, scope=scope)
    return SignalTaken(values=1, new=new)


@router.post(
    "/requests/{request_id}/signal",
    summary="A whole regulation signal as a table, for tests",
    responses=documented(401, 404, 409, 410, 413, 415, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
async def post_signal(request_id: str, request: Request, service: TheService, scope: TheScope) -> SignalTaken:
    """Record many values at once, all or none; they may lie in the future."""
    if not request.headers.get("content-type", "").startswith("text/csv"):
        raise HTTPException(415, "give the signal as text/csv")
    regulating = _regulating(service)
    service.request(request_id, scope=scope)
    signal = await asyncio.to_thread(parse_signal, await request.body())
    new = await regulating.take_signal(request_id, signal.time_s, signal.value, unit=signal.unit, scope=scope)
    return SignalTaken(values=len(signal.time_s), new=new)


@router.get(
    "/requests/{request_id}/regulation",
    summary="How the regulation signal is followed, with its scores",
    responses=documented(401, 404, 409, 410, 422),
)
async def regulation(request_id: str, service: TheService, scope: TheScope) -> RegulationView:
    """Return the power asked and commanded now, and the scores by every rule so far."""
    standing = _regulating(service).regulation(request_id, scope=scope)
    scores, estimated = await asyncio.to_thread(lambda: (scores_of(standing), estimated_scores_of(standing)))
    return RegulationView.of(standing, scores, estimated)


def _regulating(service: GridSink) -> RegulationSignals:
    if not isinstance(service, RegulationSignals):
        raise ConflictError("this service offers no regulation")
    return service
