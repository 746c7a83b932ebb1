"""Charging points behind a tree of transformers, and a service that brings their safe defaults to the registry's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vpp.dispatch.commands.due_commands import Wanted
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.commands.safe_defaults import SafeDefaults
from vpp.dispatch.dispatch_memory import DispatchMemory
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import put
from vpp.fleet.members.changes import CHANGED, FleetChange
from vpp.fleet.members.member_codec import FleetMember
from vpp.fleet.members.safe_shares import shared
from vpp.record.entry import JournalEntry
from vpp.record.stored_body import read_body, stored_body

_SETTINGS = DispatchSettings()
CYCLE_S = 10.0
NODES, SITES = 4, 5
ROUNDED_KW = 1e-3


def tree(parents: Sequence[int], limits: Sequence[int], at: Sequence[int], defaults: Sequence[int]) -> FleetIndex:
    """Return transformers under one another, a site at some of them, and chargers dealt out among the sites."""
    nodes = [
        Transformer(
            id=f"t{i}",
            area_id="a",
            limit_kw=float(limit),
            export_limit_kw=1000.0,
            parent_id=f"t{parent % i}" if i else None,
        )
        for i, (parent, limit) in enumerate(zip(parents, limits, strict=True))
    ]
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=tuple(nodes),
        sites=tuple(
            Site(id=f"s{i}", name="S", area_id="a", operator_id="o", transformer_id=f"t{place % NODES}")
            for i, place in enumerate(at)
        ),
        resources=tuple(charger(i, f"s{i % SITES}", float(kw)) for i, kw in enumerate(defaults)),
    )


def charger(number: int, site_id: str, default_kw: float) -> Resource:
    return Resource(
        id=f"c{number}",
        site_id=site_id,
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=f"c{number}/1",
        p_min_kw=0.0,
        p_max_kw=22.0,
        floor_kw=1.4,
        default_kw=default_kw,
    )


class ChargingWorld:
    """A fleet with a record, its charging points, and a service that may die."""

    def __init__(self, index: FleetIndex) -> None:
        self.index, self.now_s, self._last_id = index, 1000.0, 0
        self.journal: list[JournalEntry] = []
        self.held_kw: FloatArray = index.nameplate.default_kw.copy()
        self.first = index
        self.start()

    def start(self) -> None:
        """Let a service begin, with what the record says."""
        memory = DispatchMemory(self.index, _SETTINGS)
        memory.follow(list(self.journal))
        self.outbox = Outbox(self.index, _SETTINGS.commands, self.record, take_ids=self.take, epoch=1)
        self.safe = SafeDefaults(self.index, self.outbox)
        self.outbox.load(memory.state()["commands"], self.now_s)
        self.safe.recall()

    def record(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Keep an entry as it is stored and read."""
        read = read_body(*stored_body(body))
        self.journal.append(JournalEntry(sequence=len(self.journal) + 1, kind=kind, at_s=at_s, body=read, sha256=""))

    def take(self, count: int) -> IdArray:
        """Return fresh command ids."""
        self._last_id += count
        return np.arange(self._last_id - count + 1, self._last_id + 1, dtype=np.int64)

    def change(self, member: FleetMember) -> None:
        """Let a member stand as stated, where it is accepted."""
        try:
            change, after = shared(self.index, put(self.index, member, at_s=self.now_s, actor="a"))
        except InputError:
            return
        joined = after.nameplate.default_kw[len(self.index) :]
        self.held_kw = np.append(self.held_kw, joined)
        self._take(change, after)

    def _take(self, change: FleetChange, after: FleetIndex) -> None:
        self.index = after
        self.outbox.resize(after)
        self.safe.resize(after)
        for body in change.bodies():
            self.record(CHANGED, change.at_s, body)

    def cycle(self, mood: str, away: BoolArray) -> None:
        """Send what is due; devices take it, refuse it, or their answers are lost; what is sent makes nothing worse."""
        self.now_s += CYCLE_S
        rows = self.safe.look()
        count = len(rows)
        wanted = Wanted(
            rows=rows,
            default_kw=self.safe.beside(rows, np.full(count, np.nan)),
            dispatch_kw=np.full(count, np.nan),
            until_s=np.full(count, self.now_s),
            reachable=~away[rows],
            urgent=np.zeros(count, dtype=np.bool_),
        )
        batch = self.outbox.flush(self.now_s, wanted, Noted(np.full(count, np.nan), np.full(count, -1, dtype=np.int32)))
        before_kw = self.over_kw()
        if mood != "refused":
            self.held_kw[batch.rows] = batch.power_kw
        assert (self.over_kw() <= before_kw + ROUNDED_KW).all()
        if mood != "lost" and len(batch):
            self._answer(batch, OutcomeStatus.REJECTED if mood == "refused" else OutcomeStatus.ACCEPTED)

    def _answer(self, batch: SetpointBatch, status: OutcomeStatus) -> None:
        reason = Reason.REFUSED if status is OutcomeStatus.REJECTED else Reason.NONE
        count = len(batch)
        codes: Any = np.full(count, status, dtype=np.uint8), np.full(count, reason, dtype=np.uint8)
        at_s = np.full(count, self.now_s)
        self.outbox.outcomes(
            OutcomeBatch(ids=batch.ids, rows=batch.rows, status=codes[0], reasons=codes[1], at_s=at_s), self.now_s
        )

    def over_kw(self) -> FloatArray:
        """Return by how much the defaults that devices hold exceed every limit."""
        feeders = self.index.feeders
        return np.maximum(feeders.load_kw(self.held_kw) - feeders.limit_kw, 0.0)

    def settle(self) -> None:
        """Let everybody be there and answer, for as long as anything waits for an answer or is left alone."""
        nobody = np.zeros(len(self.index), dtype=np.bool_)
        for _ in range(12):
            self.now_s += _SETTINGS.commands.back_off.retry_after_s + _SETTINGS.commands.back_off.answer_s
            self.cycle("accepted", nobody)
