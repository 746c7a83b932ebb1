"""Requests composed: quotes, baselines, settlement, and the acts of dispatchers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vpp.application.delivery.baseline_freezing import BaselineFreezing
from vpp.application.delivery.measurement import Measurement
from vpp.application.delivery.official_results import OfficialResults
from vpp.application.delivery.settlement import Settlement
from vpp.application.delivery.settlement_runs import SettlementRuns
from vpp.application.loops.forecaster import Forecaster
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.announcements import Announcements
from vpp.application.requests.area_sharing import AreaSharing
from vpp.application.requests.commitment_gate import CommitmentGate
from vpp.application.requests.quoting import Quoter
from vpp.application.requests.request_service import RequestService
from vpp.application.requests.running_requests import RunningRequests
from vpp.application.requests.shadow_quotes import ShadowQuotes
from vpp.application.standing.availability import Availability
from vpp.application.standing.power_in_use import PowerInUse
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.standing import StandingParts
from vpp.config import Settings
from vpp.domain.units import SECONDS_PER_DAY
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.planning.tariff import Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestParts:
    """Parts that carry requests from submission to settlement.

    Attributes:
        measurement: Baselines, portfolios, tracked delivery.
        quoter: Quotes.
        announcements: Publishes transitions.
        settlement: Measured and settled requests.
        official: Official results of settled requests.
        running: Requests that run now.
        service: Acts of dispatchers.
        shadows: Windows quoted for nobody, from which quotes learn.
        standing: Standing commitments, and the reserve that plans hold for them.
        availability: What they keep available.
    """

    measurement: Measurement
    quoter: Quoter
    announcements: Announcements
    settlement: Settlement
    official: OfficialResults
    running: RunningRequests
    service: RequestService
    shadows: ShadowQuotes
    standing: StandingParts
    availability: Availability

    @classmethod
    def of(
        cls,
        core: Core,
        picture: OperatingPicture,
        *,
        measurement: Measurement,
        forecaster: Forecaster,
        standing: StandingParts,
        changed: Callable[[], None],
        settings: Settings,
        tariff: Tariff | None = None,
    ) -> "RequestParts":
        """Compose them; ``changed`` is called when commitments change, ``tariff`` is that of the plans."""
        clock, engine, journal = core.clock, core.engine, core.store.journal
        policy = FlexibilityPolicy(
            certain_ratio=settings.quote_certain_ratio, regulation_score=settings.regulation_score
        )
        quoter = Quoter(
            engine=engine,
            picture=picture,
            measurement=measurement,
            forecaster=forecaster,
            valid_s=settings.quote_valid_s,
            policy=policy,
            tariff=tariff,
        )
        announcements = Announcements(journal=journal, news=core.news, clock=clock)
        sharing = AreaSharing(engine=engine, picture=picture, measurement=measurement, quoter=quoter)
        freezing = BaselineFreezing(
            book=engine.book,
            journal=journal,
            picture=picture,
            measurement=measurement,
            spared=sharing.spared,
            are_back=sharing.are_back,
        )
        settlement = _settlement(core, measurement, freezing, announcements, verified_days=settings.verified_days)
        return cls(
            measurement=measurement,
            standing=standing,
            availability=_availability(core, picture, quoter, forecaster, standing),
            quoter=quoter,
            announcements=announcements,
            settlement=settlement,
            official=OfficialResults(clock=clock, journal=journal, settlement=settlement),
            running=RunningRequests(
                engine=engine, announcements=announcements, measurement=measurement, quoter=quoter, fell_short=changed
            ),
            service=RequestService(
                engine=engine,
                picture=picture,
                journal=journal,
                gate=CommitmentGate(core.durability, core.trust),
                measurement=measurement,
                quoter=quoter,
                sharing=sharing,
                freezing=freezing,
                announcements=announcements,
                changed=changed,
            ),
            shadows=ShadowQuotes(
                picture=picture,
                quoter=quoter,
                forecaster=forecaster,
                requests=engine.book,
                performance=settlement.performance,
                journal=journal,
                metrics=core.metrics,
                metered_until_s=lambda: core.means.final_until_s,
            ),
        )


def _availability(
    core: Core, picture: OperatingPicture, quoter: Quoter, forecaster: Forecaster, standing: StandingParts
) -> Availability:
    return standing.followed_by(
        Availability(
            picture=picture,
            quoter=quoter,
            forecaster=forecaster,
            due=standing.wanted.due,
            in_use=partial(PowerInUse.of, core.engine),
            journal=core.store.journal,
        )
    )


def _settlement(
    core: Core,
    measurement: Measurement,
    freezing: BaselineFreezing,
    announcements: Announcements,
    *,
    verified_days: float,
) -> Settlement:
    return Settlement(
        clock=core.clock,
        book=core.engine.book,
        journal=core.store.journal,
        measurement=measurement,
        freezing=freezing,
        announce=announcements.announce,
        runs=SettlementRuns(core.store.journal, core.news),
        metered_until_s=lambda: core.means.final_until_s,
        verified_s=SECONDS_PER_DAY * verified_days,
    )
