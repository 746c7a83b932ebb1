"""A small fleet that follows a regulation signal at once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vpp.dispatch.regulation.follower import FollowSettings, RegulationFollower
from vpp.dispatch.regulation.reservation import Reservation
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry

T0 = datetime(2026, 7, 15, 6, 0, tzinfo=UTC)
T0_S = T0.timestamp()
DISPATCH = DispatchSettings()
CARS, BATTERIES = 20, 4
EV_KW, BATTERY_KW = 7.0, 100.0


def device(kind: ResourceClass, number: int, p_min_kw: float, p_max_kw: float, **more: Any) -> Resource:  # noqa: ANN401 - any field
    return Resource(
        id=f"{kind.value}-{number}",
        site_id="site",
        resource_class=kind,
        adapter=Adapter.OCPP if kind is ResourceClass.EV else Adapter.MODBUS,
        address=f"{kind.value}/{number}",
        p_min_kw=p_min_kw,
        p_max_kw=p_max_kw,
        **more,
    )


def small_fleet(limit_kw: float = 1e6) -> FleetIndex:
    cars = [device(ResourceClass.EV, n, 0.0, EV_KW, floor_kw=1.4) for n in range(CARS)]
    batteries = [
        device(ResourceClass.STORAGE, n, -BATTERY_KW, BATTERY_KW, capacity_kwh=200.0, efficiency=0.95)
        for n in range(BATTERIES)
    ]
    roof = device(ResourceClass.PV, 0, -50.0, 0.0)
    return FleetIndex(
        areas=(Area(id="a", name="A"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(Transformer(id="t", area_id="a", limit_kw=limit_kw, export_limit_kw=limit_kw),),
        sites=(Site(id="site", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=(*cars, *batteries, roof),
    )


def seen(index: FleetIndex, power_kw: np.ndarray, at_s: float = T0_S) -> FleetState:
    n = len(index)
    nothing = np.full(n, np.nan)
    return FleetState(
        index=index,
        at_s=at_s,
        cycle=1,
        power_kw=power_kw,
        power_at_s=np.full(n, at_s),
        quality=np.zeros(n, dtype=np.uint8),
        energy_kwh=nothing,
        soc=np.where(index.is_class(ResourceClass.STORAGE), 0.5, np.nan),
        connected=np.ones(n, dtype=np.bool_),
        plugged=index.is_class(ResourceClass.EV),
        available_min_kw=index.nameplate.p_min_kw,
        available_max_kw=index.nameplate.p_max_kw,
        limit_kw=nothing,
        need_kwh=np.where(index.is_class(ResourceClass.EV), 10.0, np.nan),
        departure_s=np.where(index.is_class(ResourceClass.EV), at_s + 8 * 3600.0, np.nan),
        sheddable=np.ones(n, dtype=np.bool_),
    )


def usual_kw(index: FleetIndex) -> np.ndarray:
    """Every car charges, every battery stands still, the roof feeds in."""
    return np.select(
        [index.is_class(ResourceClass.EV), index.is_class(ResourceClass.STORAGE)], [EV_KW, 0.0], default=-40.0
    )


class Played:
    """A fleet that does as it is told at once, under a follower."""

    def __init__(self, *, limit_kw: float = 1e6, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.index = small_fleet(limit_kw)
        self.base_kw = usual_kw(self.index)
        self.power_kw = self.base_kw.copy()
        self.kept = np.zeros(len(self.index), dtype=np.bool_)
        self.pinned = np.zeros(len(self.index), dtype=np.bool_)
        self.held_kw = np.full(len(self.index), np.nan)
        self.holding = np.ones(len(self.index), dtype=np.bool_)
        self.at_s = T0_S
        self.grade: np.ndarray | None = None
        self.follower = RegulationFollower(
            capacity_kw=300.0,
            tree=self.index.feeders,
            index=self.index,
            dispatch=DISPATCH,
            settings=FollowSettings(**settings),
        )
        self.refresh()

    def refresh(self) -> None:
        """Show the follower the fleet as it is."""
        self.follower.refresh(
            seen(self.index, self.power_kw, self.at_s),
            Reservation(
                holding=self.holding,
                base_kw=self.base_kw,
                held_kw=self.held_kw,
                kept=self.kept,
                pinned=self.pinned,
                shed=np.zeros(len(self.index)),
                grade=self.grade,
            ),
        )

    def tick(self, asked_kw: float) -> float:
        """Tick, obey, and return the change of net load, positive where it fell."""
        self.at_s += 4.0
        followed = self.follower.tick(self.at_s, asked_kw)
        self.power_kw[followed.rows] = followed.power_kw
        return float((self.base_kw - self.power_kw).sum())


class Journal:
    """A journal in a list."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    def record(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        """Append an entry."""
        self.entries.append(JournalEntry(sequence=len(self.entries) + 1, kind=kind, at_s=at_s, body=body, sha256=""))
