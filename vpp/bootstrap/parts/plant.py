"""Facade of the service composed from its parts."""

from collections.abc import Callable

from vpp.application.driver_promises import DriverPromises
from vpp.application.fleet_monitor import FleetMonitor
from vpp.application.loops.cycle_inputs import CycleInputs
from vpp.application.loops.slow_loop import SlowLoop
from vpp.application.meter_import import MeterImport
from vpp.application.operating_picture import OperatingPicture
from vpp.application.registry.fleet_handover import FleetHandover
from vpp.application.registry.fleet_registration import FleetRegistration
from vpp.application.requests.signal_intake import SignalIntake
from vpp.application.service_facade import DispatcherParts, OperatorParts, VirtualPowerPlant
from vpp.application.service_monitor import ServiceMonitor
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.requests import RequestParts
from vpp.bootstrap.parts.watch import WatchParts
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.index import FleetIndex


def plant_of(
    core: Core,
    picture: OperatingPicture,
    requests: RequestParts,
    watch: WatchParts,
    operators: OperatorParts,
) -> VirtualPowerPlant:
    """Return the facade."""
    fleet = FleetMonitor(
        clock=core.clock,
        latest=picture.state,
        image=core.image,
        ingest=core.ingest,
        plane=core.plane,
        troubles=watch.troubles,
    )
    dispatchers = DispatcherParts(
        requests=requests.service,
        running=requests.running,
        settlement=requests.settlement,
        official=requests.official,
        signals=SignalIntake(
            clock=core.clock,
            engine=core.engine,
            journal=core.store.journal,
            durability=core.durability,
            metrics=core.metrics,
        ),
        plans=picture.plans,
        declarations=watch.declarations,
        shadows=requests.shadows,
        standing=requests.standing.service,
        availability=requests.availability,
    )
    return VirtualPowerPlant(
        clock=core.clock, fleet=fleet, dispatchers=dispatchers, operators=operators, news=core.news
    )


def operator_parts(
    core: Core,
    picture: OperatingPicture,
    requests: RequestParts,
    *,
    inputs: CycleInputs,
    slow: SlowLoop,
    patience_wall_s: Callable[[], float],
    interval_days: float,
) -> OperatorParts:
    """Return the parts behind the service's administration; metered intervals are kept for ``interval_days``."""
    clock, store, metrics = core.clock, core.store, core.metrics

    def index() -> FleetIndex:
        return core.image.index

    def serve(fleet: FleetIndex, at_links: FleetIndex) -> None:
        core.image.resize(fleet)
        core.means.resize(fleet)
        core.engine.resize(fleet)
        requests.measurement.grow(len(fleet))
        core.plane.assign(at_links)
        store.meters.grow(len(fleet))
        inputs.refresh()

    def imported(grid: TimeGrid) -> None:
        slow.fleet_changed()
        requests.settlement.meters_arrived(grid, kept_from_s=clock.now_s() - interval_days * SECONDS_PER_DAY)

    handover = FleetHandover(
        engine=core.engine, ingest=core.ingest, journal=store.journal, registry=store.registry, serve=serve
    )
    return OperatorParts(
        registration=FleetRegistration(
            clock=clock,
            registry=store.registry,
            journal=store.journal,
            engine=core.engine,
            snapshot=inputs.latest,
            check=core.plane.check,
            handover=handover,
            serve=serve,
            changed=slow.fleet_changed,
        ),
        handover=handover,
        meters=MeterImport(clock=clock, meters=store.meters, index=index, metrics=metrics, imported=imported),
        promises=DriverPromises(clock=clock, image=core.image, ingest=core.ingest, metrics=metrics),
        status=ServiceMonitor(
            engine=core.engine,
            plans=picture.plans,
            plane=core.plane,
            durability=core.durability,
            trust=core.trust,
            metrics=metrics,
            patience_wall_s=patience_wall_s,
        ),
    )
