"""Drills composed: the service's own, and what all of them have shown."""

from random import SystemRandom

from vpp.application.drills.automatic_drills import AutomaticDrills, DrillActs
from vpp.application.drills.drill_plan import DrillRules
from vpp.application.drills.drill_results import DrillResults
from vpp.application.operating_picture import OperatingPicture
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.requests import RequestParts
from vpp.bootstrap.parts.watch import WatchParts
from vpp.config import Settings, hours_of
from vpp.domain.request import Direction
from vpp.runtime.drill_metrics import DrillMetrics


def drills_of(
    core: Core, picture: OperatingPicture, requests: RequestParts, watch: WatchParts, settings: Settings
) -> AutomaticDrills:
    """Return the drills of a service; their times are drawn from the operating system, so that nobody foresees them."""
    metrics = DrillMetrics(core.metrics.registry)
    metrics.set_per_week(settings.drill_per_week)
    return AutomaticDrills(
        picture=picture,
        acts=DrillActs(requests=requests.service, declarations=watch.declarations),
        results=DrillResults(
            requests=core.engine.book,
            settlement=requests.settlement,
            alarms=watch.alarms,
            metrics=metrics,
            least_ratio=requests.measurement.programme.terms.rule.kept_between[0],
        ),
        rules=drill_rules(settings),
        draw=SystemRandom().random,
    )


def drill_rules(settings: Settings) -> DrillRules:
    """Return the rules of the settings."""
    return DrillRules(
        per_week=settings.drill_per_week,
        hours=hours_of(settings.drill_hours),
        share=settings.drill_share,
        minutes=settings.drill_minutes,
        directions=tuple(Direction(name.strip()) for name in settings.drill_directions.split(",")),
    )
