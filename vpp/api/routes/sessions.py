"""Plugged-in cars, and their drivers' wishes."""

from fastapi import APIRouter

from vpp.api.deps import TheAdministration, ThePage, TheScope
from vpp.api.problems import documented
from vpp.api.schemas.base import Page
from vpp.api.schemas.sessions import PromiseBody, SessionView
from vpp.domain.errors import InputError

router = APIRouter(tags=["sessions"])


@router.get("/sessions", summary="Cars that are plugged in", responses=documented(401, 422))
async def sessions(administration: TheAdministration, scope: TheScope, page: ThePage) -> Page[SessionView]:
    """Return open sessions."""
    index = administration.fleet(scope=scope).index
    return page.of(administration.sessions(scope=scope), lambda session: SessionView.of(session, index))


@router.post(
    "/sessions/{session_id:path}/promise",
    summary="State a driver's wish",
    responses=documented(401, 404, 409, 422),
)
async def promise(
    session_id: str, body: PromiseBody, administration: TheAdministration, scope: TheScope
) -> SessionView:
    """Record energy, departure, floor, opt-out or boost of one session."""
    if body.floor_kwh > body.energy_kwh:
        raise InputError("floor_kwh", body.floor_kwh, f"at most energy_kwh = {body.energy_kwh}")
    promised = await administration.promise(session_id, body.promise(), scope=scope)
    return SessionView.of(promised, administration.fleet(scope=scope).index)
