"""Acceptance of a record that does not verify, by an operator: by the leading service, or here where none leads."""

import asyncio
import contextlib
import getpass
import sys

import sqlalchemy as sa

from vpp.application.trust.accepted_restore import check_acceptable, note_acceptance, vouch_for_acceptance
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.leadership.candidacy import Candidacy
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.bootstrap.record.anchor import anchor_of
from vpp.bootstrap.record.audit import verification
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, ConflictError, StorageError
from vpp.ports import Clock
from vpp.record.decisions import RestoreDecision
from vpp.record.verification import Verification
from vpp.runtime.clock import MachineTime
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.places import has_file
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import open_database

_PATIENCE_WALL_S, _LOOK_WALL_S = 180.0, 0.25
"""Longest time the leading service is given to verify once more and carry the decision out."""


def run_accept_restore(settings: Settings, *, reason: str, actor: str | None) -> None:
    """Accept the record as it stands, with a journal entry and a new signed head.

    Raises:
        ConflictError: The record holds, or is damaged.
        ConfigurationError: There is no database, or no reason.
        StorageError: The leading service has not carried the decision out in time.
    """
    if not reason.strip():
        raise ConfigurationError("--reason: give a text that says why the record is accepted")
    if not has_file(settings.database_url):
        raise ConfigurationError("VPP_DATA_DIR, VPP_DB_URL: there is no database; restore it first")
    found = verification(settings)
    if not found.holds:
        check_acceptable(found)
    asyncio.run(_accept(settings, found, reason=reason.strip(), actor=actor or getpass.getuser()))
    sys.stdout.write("the record is accepted as it stands; new commitments are taken\n")


async def _accept(settings: Settings, found: Verification, *, reason: str, actor: str) -> None:
    async with running_clock(settings) as clock:
        engine = open_database(settings.database_url)
        try:
            SqlRegistry(engine).fleet_id(settings.fleet_id)
            anchor = anchor_of(settings, engine)
            anchor.decide(actor=actor, reason=reason, at_s=clock.now_s())
            await _decided(settings, engine, anchor, clock, found)
        finally:
            engine.dispose()


async def _decided(settings: Settings, engine: sa.Engine, anchor: SqlAnchor, clock: Clock, found: Verification) -> None:
    """Return once the decision is carried out: by the leading service, or here under the lease where none leads."""
    end = asyncio.get_running_loop().time() + _PATIENCE_WALL_S
    with HttpAddress(settings.http) as address, contextlib.closing(_candidacy(settings, address)) as candidacy:
        while (decision := anchor.decision()) is not None:
            if candidacy.look() and (lease := candidacy.take()) is not None:
                with (
                    contextlib.closing(lease),
                    contextlib.closing(SqlJournal(engine, settings.archive_place)) as journal,
                ):
                    _carry_out(journal, anchor, found, decision, clock.now_s())
                return
            if asyncio.get_running_loop().time() > end:
                raise StorageError(
                    f"the leading service has not carried the decision out within {_PATIENCE_WALL_S:g} s; it stays,"
                    " and is carried out when the service gets to it"
                )
            await asyncio.sleep(_LOOK_WALL_S)


def _candidacy(settings: Settings, address: HttpAddress) -> Candidacy:
    return Candidacy(settings, address, MachineTime())


def _carry_out(
    journal: SqlJournal, anchor: SqlAnchor, found: Verification, decision: RestoreDecision, at_s: float
) -> None:
    if found.holds:
        anchor.decided()
        raise ConflictError("the record holds; there is nothing to accept")
    note_acceptance(journal, found, decision, at_s)
    journal.flush_now()
    vouch_for_acceptance(journal, anchor, at_s)
