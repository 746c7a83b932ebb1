"""Watch over the service composed: alarms, device troubles, metrics and reports of every cycle."""

from dataclasses import dataclass

from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.capability_declaration import CapabilityDeclaration
from vpp.application.watch.alarms import Alarms
from vpp.application.watch.calendar_watch import CalendarWatch
from vpp.application.watch.cycle_metrics import CycleMetrics
from vpp.application.watch.cycle_reports import CycleReports
from vpp.application.watch.device_troubles import DeviceTroubles
from vpp.application.watch.service_watch import ServiceWatch
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.requests import RequestParts


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """Parts that report and influence nothing.

    Attributes:
        alarms: Set and cleared once each.
        troubles: What is wrong with each device.
        service: Storage, leadership and loops.
        declarations: Declared capability.
        reports: Everything that follows a cycle.
    """

    alarms: Alarms
    troubles: DeviceTroubles
    service: ServiceWatch
    declarations: CapabilityDeclaration
    reports: CycleReports

    @classmethod
    def of(cls, core: Core, picture: OperatingPicture, requests: RequestParts, *, scraped: bool) -> "WatchParts":
        """Compose them; ``scraped`` where the metrics are read."""
        metrics, ingest, plans = core.metrics, core.ingest, picture.plans
        alarms, troubles = Alarms(core.news, metrics), DeviceTroubles()
        service = ServiceWatch(core.durability, core.trust, alarms, metrics)
        calendar = CalendarWatch(core.calendar, core.news, metrics)
        declarations = CapabilityDeclaration(
            picture=picture, quoter=requests.quoter, settlement=requests.settlement, metrics=metrics, scraped=scraped
        )
        cycle_metrics = CycleMetrics(
            metrics=metrics,
            engine=core.engine,
            plane=core.plane,
            ingest=ingest,
            troubles=troubles,
            unsettled=requests.settlement.failed_count,
        )
        outbox = core.engine.outbox
        reports = CycleReports(
            requests.running.follow,
            {
                "troubles": lambda state, result: troubles.follow(
                    state, core.image, ingest.gate, outbox.ignoring(), result.below_promise
                ),
                "alarms": lambda state, result: alarms.follow(
                    state, result, schedule=plans.schedule, ended=ingest.ended(), silent=troubles.counts.silent()
                ),
                "calendar": lambda state, _: calendar.follow(state.at_s),
                "watch": lambda state, _: service.follow(state.at_s),
                "metrics": cycle_metrics.observe,
                "capacities": lambda state, _: declarations.show(state),
            },
            core.news,
        )
        return cls(alarms=alarms, troubles=troubles, service=service, declarations=declarations, reports=reports)
