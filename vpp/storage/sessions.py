"""Charging sessions and the promises in them, so that a restart forgets no driver."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import orjson
import sqlalchemy as sa

from vpp.domain.session import ChargingSession, Promise
from vpp.storage.sql import sessions

_CHUNK = 500


class SessionStore:
    """Sessions by id; calls block."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save(self, changed: Iterable[ChargingSession]) -> None:
        """Insert or replace sessions, in one transaction."""
        rows = {session.id: _row(session) for session in changed}
        ids = list(rows)
        with self._engine.begin() as connection:
            for first in range(0, len(ids), _CHUNK):
                chunk = ids[first : first + _CHUNK]
                connection.execute(sa.delete(sessions).where(sessions.c.id.in_(chunk)))
                connection.execute(sa.insert(sessions), [rows[identity] for identity in chunk])

    def load(self, *, plugged_only: bool = True) -> tuple[ChargingSession, ...]:
        """Return the saved sessions in order of id, those of plugged-in cars unless all are wanted."""
        wanted = sa.select(sessions.c.body).order_by(sessions.c.id)
        if plugged_only:
            wanted = wanted.where(sessions.c.plugged)
        with self._engine.connect() as connection:
            return tuple(_session(orjson.loads(body)) for body in connection.execute(wanted).scalars())


def _row(session: ChargingSession) -> dict[str, object]:
    return {
        "id": session.id,
        "plugged": session.ended_s is None,
        "body": orjson.dumps(asdict(session), option=orjson.OPT_SERIALIZE_NUMPY).decode(),
    }


def _session(body: Mapping[str, Any]) -> ChargingSession:
    promise = body["promise"]
    return ChargingSession(**{**body, "promise": None if promise is None else Promise(**promise)})
