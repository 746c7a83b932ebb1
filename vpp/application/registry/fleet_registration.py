"""Registration of areas, operators, transformers, sites and devices in a running service: joined, changed, retired."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from vpp.application.registry.fleet_handover import FleetHandover, at_links
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.errors import StorageError
from vpp.domain.resource import Resource
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import check_version, find, join, put, retire, version_of
from vpp.fleet.members.changes import CHANGED, ChangeEffects, ChangeOutcome, FleetChange, UnrecordedChange
from vpp.fleet.members.member_codec import FleetMember, kind_of
from vpp.fleet.members.safe_shares import shared
from vpp.fleet.members.tenure import FormerMember
from vpp.ports import Clock, Journal, Registry
from vpp.record.stored_body import StoredBody

_ATTEMPTS = 3
"""Times a change is made anew beside the cycles because devices have left meanwhile."""


class FleetRegistration:
    """Changes the fleet, all or nothing: checked by the links, stored, then known to every part of the service.

    Args:
        clock: The only source of time.
        registry: Stores the fleet.
        journal: Records how it has changed.
        engine: Has the fleet as it is, and what its devices hold.
        snapshot: Returns the latest snapshot.
        check: Raises InputError for an address that no link can serve.
        handover: Follows the devices that leave.
        serve: Makes the fleet, and the fleet as the links serve it, known to every part that holds rows.
        changed: Called once a change is journalled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        registry: Registry,
        journal: Journal,
        engine: DispatchEngine,
        snapshot: Callable[[], FleetState],
        check: Callable[[FleetIndex], None],
        handover: FleetHandover,
        serve: Callable[[FleetIndex, FleetIndex], None],
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._journal = journal
        self._engine = engine
        self._snapshot = snapshot
        self._check = check
        self._handover = handover
        self._serve = serve
        self._changed = changed
        self._changing = asyncio.Lock()

    async def connect(
        self,
        *,
        areas: Sequence[Area] = (),
        operators: Sequence[Operator] = (),
        transformers: Sequence[Transformer] = (),
        sites: Sequence[Site] = (),
        resources: Sequence[Resource] = (),
        actor: str = "",
    ) -> None:
        """Add to the fleet; repeating an identical addition changes nothing."""
        async with self._changing:
            asked: dict[str, Sequence[FleetMember]] = {
                "areas": areas,
                "operators": operators,
                "transformers": transformers,
                "sites": sites,
                "resources": resources,
            }
            index, at_s = self._engine.index, self._clock.now_s()
            await self._make(await asyncio.to_thread(join, index, asked, at_s=at_s, actor=actor))

    async def put(
        self, member: FleetMember, *, actor: str, version: int | None = None, dry_run: bool = False
    ) -> ChangeOutcome:
        """Let a member stand as stated: it joins, or takes the place of its version before; repeating changes nothing.

        Args:
            member: As stated; validity and version are the registry's.
            actor: Author.
            version: The version that is to be replaced, 0 for none; any where not given.
            dry_run: Say what would happen, and change nothing.

        Raises:
            InputError: A field is not accepted; nothing has changed.
            VersionError: Another version stands.
            StorageError: The database takes nothing now; nothing has changed.
        """
        async with self._changing:
            index = self._engine.index
            check_version(index, kind_of(member).name, member.id, version)
            change = await asyncio.to_thread(put, index, member, at_s=self._clock.now_s(), actor=actor)
            outcome = await self._make(change, dry_run=dry_run)
            return replace(outcome, stands=version_of(self._engine.index, kind_of(member).name, member.id))

    async def retire(
        self, kind: str, identity: str, *, actor: str, version: int | None = None, dry_run: bool = False
    ) -> ChangeOutcome:
        """Retire a member with what cannot be without it; repeating changes nothing.

        Raises:
            UnknownIdError: There was never such a member.
            VersionError: Another version stands.
            ConflictError: Members in service refer to it.
            StorageError: The database takes nothing now; nothing has changed.
        """
        async with self._changing:
            index = self._engine.index
            find(index, kind, identity)
            check_version(index, kind, identity, version)
            change = await asyncio.to_thread(retire, index, kind, identity, at_s=self._clock.now_s(), actor=actor)
            outcome = await self._make(change, dry_run=dry_run)
            return replace(outcome, stands=version_of(self._engine.index, kind, identity))

    async def history(self, kind: str, identity: str) -> list[FormerMember]:
        """Return the former versions of a member, the oldest first; raises UnknownIdError."""
        find(self._engine.index, kind, identity)
        return await asyncio.to_thread(self._registry.history, kind, identity)

    async def _make(self, change: FleetChange, *, dry_run: bool = False) -> ChangeOutcome:
        """Make a change; at its end every part of the service has the other fleet, and it is durable."""
        index = self._engine.index
        if not change.members:
            return ChangeOutcome(change=change, effects=ChangeEffects(), dry_run=dry_run)
        change, after = await asyncio.to_thread(shared, index, change)
        await asyncio.to_thread(self._check, after)
        effects = self._effects(change, after)
        if dry_run:
            return ChangeOutcome(change=change, effects=effects, dry_run=True)
        # Entries first, which take long for thousands of members. The registry keeps them until the journal has them:
        # after a crash between the two the next start appends them (`unrecorded_changes`).
        await self._journal.flush()  # so that the entries of no earlier change have to be kept
        unrecorded, bodies = await asyncio.to_thread(self._entries, change, len(after))
        await asyncio.to_thread(self._registry.save, index, change, unrecorded)
        leaving = {row: index.resources[row] for row in change.leaving}
        after, linked = await self._as_it_stands(change, leaving)
        self._handover.begin(leaving)
        self._serve(after, linked)
        for body in bodies:
            self._journal.append_prepared(CHANGED, change.at_s, body)
        self._changed()
        await self._journal.flush()
        with suppress(StorageError):  # then the next start finds that the journal has them
            await asyncio.to_thread(self._registry.recorded)
        return ChangeOutcome(change=change, effects=effects, dry_run=False)

    def _entries(self, change: FleetChange, count: int) -> tuple[UnrecordedChange, list[StoredBody]]:
        """Return the bodies of a change's entries, plain and as they are stored; ``count`` rows are there after it."""
        bodies = [{**body, "resources": count} for body in change.bodies()]
        unrecorded = UnrecordedChange(at_s=change.at_s, after=self._journal.head().sequence, bodies=bodies)
        return unrecorded, [self._journal.prepared(CHANGED, body) for body in bodies]

    async def _as_it_stands(
        self, change: FleetChange, leaving: Mapping[int, Resource]
    ) -> tuple[FleetIndex, FleetIndex]:
        """Return the fleet after a change, and as the links serve it, both made in a thread.

        A device may leave meanwhile; the cycle that lets it go changes what is withheld, nothing else.
        """
        for _ in range(_ATTEMPTS):
            index, former = self._engine.index, {**self._handover.former, **leaving}
            made = await asyncio.to_thread(_made, change, index, former)
            if self._engine.index is index:
                return made
        return _made(change, self._engine.index, {**self._handover.former, **leaving})

    def _effects(self, change: FleetChange, after: FleetIndex) -> ChangeEffects:
        """Return what a change does to what runs now."""
        rows, now_s = np.array(change.leaving, dtype=np.int32), self._clock.now_s()
        state = self._snapshot()
        power_kw = np.full(len(after), np.nan)
        power_kw[: len(state)] = state.power_kw[: len(after)]
        power_kw[~after.in_service] = np.nan
        load_kw = after.feeders.load_kw(power_kw)
        over = (load_kw > after.feeders.limit_kw) | (-load_kw > after.feeders.export_limit_kw)
        assigned = ~np.isnan(self._engine.setpoints_kw()[rows])
        bounded = ~np.isnan(after.nameplate.share_kw) & after.in_service
        stopped = bounded & (after.nameplate.share_kw <= 0.0)
        return ChangeEffects(
            devices=len(rows),
            limited=int(np.count_nonzero(self._engine.in_force.limited(now_s)[rows])),
            dispatched=int(np.count_nonzero(assigned)),
            cars=int(np.count_nonzero(state.plugged[rows])),
            overloaded=tuple(after.transformers[place].id for place in np.flatnonzero(over).tolist()),
            bounded=int(np.count_nonzero(bounded)),
            without_power=int(np.count_nonzero(stopped)),
        )


def _made(change: FleetChange, index: FleetIndex, former: Mapping[int, Resource]) -> tuple[FleetIndex, FleetIndex]:
    after = change.applied(index)
    return after, at_links(after, former)
