"""Plans of the ordinary world: the same service and prices, no reserve held, no request.

A second planner, without reserve windows and without regulation, plans once an hour from what the ordinary world's
stores hold, and its schedule gives their defaults by the service's own rule. It takes the service's forecasts. What the
service does without any plan, holding loads below a transformer's cap, is not done in the ordinary world.
"""

import asyncio
from dataclasses import dataclass, replace

import numpy as np

from vpp.bootstrap.parts.policies import dispatch_settings, planning_policy
from vpp.config import Settings
from vpp.dispatch.arbitration.default_powers import default_values
from vpp.dispatch.flexibility.car_power import CarPower
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.worlds import ACTUAL, ORDINARY
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.schedule.planner import Planner
from vpp.planning.schedule.planning_policy import PlanningPolicy
from vpp.planning.tariff import Tariff

PERIOD_S = float(SECONDS_PER_HOUR)
"""Time between two plans of the ordinary world."""
_APPLIED_EVERY_S = 59.0
"""Time between two defaults: cycles are a minute apart at rest, and shorter while a request runs elsewhere."""


def ordinary_policy(settings: Settings) -> PlanningPolicy:
    """Return the service's planning policy without reserve and regulation."""
    bare = PlanningPolicy()
    return replace(planning_policy(settings), reserve=bare.reserve, regulation_kw=bare.regulation_kw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A plan that waits for its forecast, or for its solution."""

    state: FleetState
    plan: asyncio.Task[Schedule] | None = None


class OrdinaryPlans:
    """Plans the stores of the ordinary world and gives them their defaults.

    Args:
        twin: Holds that world.
        settings: Of the service.
        tariff: Its prices; its own unless given.
    """

    def __init__(self, twin: Twin, settings: Settings, tariff: Tariff | None = None) -> None:
        self._twin = twin
        self._rules = dispatch_settings(settings)
        self._planner = Planner(
            tariff=tariff, policy=ordinary_policy(settings), deadline_s=settings.plan_deadline_wall_s
        )
        self._cars = CarPower(twin.index)
        self._begun: _Begun | None = None
        self._schedule: Schedule | None = None
        self._next_s = self._applied_s = -np.inf

    async def start(self) -> None:
        """Warm the solver up."""
        await self._planner.start()

    def note(self, state: FleetState) -> None:
        """Keep the service's latest snapshot for a plan, where one is due and none is under way."""
        if self._begun is None and len(state) and state.at_s >= self._next_s:
            self._begun = _Begun(state=self._seen(state))
            self._next_s = state.at_s + PERIOD_S

    async def follow(self, forecast: Forecast, *, at_once: bool = False) -> None:
        """Put the plan in force that was begun before; begin the one that waits for this forecast.

        Args:
            forecast: Made from the snapshot that was noted last.
            at_once: The plan that is begun is in force before this returns.
        """
        begun = self._begun
        if begun is None:
            return
        plan = begun.plan
        if plan is None:
            plan = asyncio.create_task(self._planner.plan(begun.state, forecast=forecast))
            self._begun = replace(begun, plan=plan)
            if not at_once:
                return
        self._schedule, self._begun = await plan, None

    def apply(self, state: FleetState) -> None:
        """Give the ordinary world's stores their defaults at the service's latest snapshot, at most once a minute."""
        if self._schedule is None or state.at_s < self._applied_s + _APPLIED_EVERY_S:
            return
        self._applied_s = state.at_s
        state = self._seen(state)
        self._cars.follow(state)
        rows = state.index.rows_of(*self._rules.devices.plan_classes)
        by_row: FloatArray = np.full(len(state), np.nan)
        by_row[rows] = default_values(
            state,
            by_row,
            self._schedule,
            (),
            car_kw=self._cars.most_kw(),
            devices=self._rules.devices,
            cycle_s=self._rules.cycle_s,
        )
        self._twin.setpoints.ordinary_kw = by_row[self._twin.devices.stores]

    async def close(self) -> None:
        """End the solver."""
        if self._begun is not None and self._begun.plan is not None:
            self._begun.plan.cancel()
            await asyncio.wait({self._begun.plan})
        await self._planner.close()

    def _seen(self, state: FleetState) -> FleetState:
        """Return the snapshot as it would be in the ordinary world, as far as stores are concerned."""
        devices = self._twin.devices
        v2g, batteries = devices.v2g, devices.batteries
        soc, power_kw, need_kwh = state.soc.copy(), state.power_kw.copy(), state.need_kwh.copy()
        soc[batteries.rows] = batteries.soc[ORDINARY]
        soc[v2g.rows] = np.where(v2g.plugged, v2g.soc[ORDINARY], np.nan)
        power_kw[devices.stores] = devices.ordinary_kw
        gained_kwh = v2g.delivered_kwh
        more_kwh = gained_kwh[ORDINARY] - gained_kwh[ACTUAL]
        need_kwh[v2g.rows] = np.maximum(need_kwh[v2g.rows] - more_kwh, 0.0)
        return replace(state, soc=soc, power_kw=power_kw, need_kwh=need_kwh)
