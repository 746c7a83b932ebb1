"""Core of the service: fleet, process image, engine and device plane over one store."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from vpp.application.command_ids import CommandIds
from vpp.application.loops.device_plane import DevicePlane
from vpp.application.loops.durability import Durability
from vpp.application.trust.record_trust import RecordTrust
from vpp.bootstrap.holidays import calendar_of
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.store import MEBIBYTE
from vpp.bootstrap.volatile_store import Memory
from vpp.bus.event_stream import EventStream
from vpp.config import Settings
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.fleet.calendar import DayCalendar
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, DeviceLink, RecordAnchor
from vpp.runtime.observability import Metrics
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.metering import LONGEST_GAP_S, MeteredMeans
from vpp.telemetry.quality import QualityRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """Parts that everything else of the service is composed from.

    Attributes:
        clock: The only source of time.
        store: Everything durable.
        ids: Ids of commands.
        index: The fleet as it was registered when the service started.
        calendar: Day types.
        image: Live values of the fleet.
        ingest: Gate of everything that comes in.
        means: Integrates samples into 15-minute means.
        engine: Decides.
        durability: Makes decisions durable before they are sent.
        trust: Keeps new commitments back until the record is verified.
        plane: All device links.
        metrics: For operators.
        news: Event stream for the edges.
    """

    clock: Clock
    store: Memory
    ids: CommandIds
    index: FleetIndex
    calendar: DayCalendar
    image: ProcessImage
    ingest: Ingest
    means: MeteredMeans
    engine: DispatchEngine
    durability: Durability
    trust: RecordTrust
    plane: DevicePlane
    metrics: Metrics
    news: EventStream

    @property
    def epoch(self) -> int:
        """Number of this service among the leaders of the fleet."""
        return self.engine.outbox.epoch

    @classmethod
    def of(
        cls,
        settings: Settings,
        store: Memory,
        clock: Clock,
        links: Sequence[DeviceLink],
        *,
        anchor: RecordAnchor | None = None,
        index: FleetIndex | None = None,
    ) -> "Core":
        """Compose the core; reads the registry, unless the fleet is given as ``index``, and writes nothing."""
        calendar = calendar_of(settings.holidays)
        index = store.registry.load() if index is None else index
        ids = CommandIds(store.leases)
        store.meters.grow(len(index))
        metrics = Metrics(version("vpp"))
        image = ProcessImage(index)
        ingest = Ingest(image, QualityRules(stale_s=settings.stale_s))
        engine = DispatchEngine(index, dispatch_settings(settings), store.journal.append, take_ids=ids.take)
        plane = DevicePlane(links, ingest, clock)
        for adapter, age_wall_s in plane.pollers().items():
            metrics.watch_poller(adapter, age_wall_s)
        return cls(
            clock=clock,
            store=store,
            ids=ids,
            index=index,
            calendar=calendar,
            image=image,
            ingest=ingest,
            means=MeteredMeans(index, clock.now_s(), settings.stale_s),
            engine=engine,
            durability=Durability(
                samples=store.samples,
                meters=store.meters,
                journal=store.journal,
                patience_wall_s=settings.storage_patience_wall_s,
                most_bytes=settings.spool_mb * MEBIBYTE,
            ),
            trust=RecordTrust(anchor, store.journal, clock),
            plane=plane,
            metrics=metrics,
            news=EventStream(),
        )


def resume_means(core: Core, now_s: float) -> None:
    """Begin metering with the intervals open now, with the samples of before the service last ended."""
    running_s = floor_s(now_s, STEP_S)
    heard = list(core.store.samples.since(running_s - STEP_S - LONGEST_GAP_S))
    resumed = any(at_s >= running_s - STEP_S for at_s, _ in heard)
    core.means.begin(running_s - STEP_S if resumed else running_s)
    for at_s, batch in heard:
        for start_s, mean_kw, completeness in core.means.take(batch, at_s):
            core.store.meters.write(start_s, mean_kw, completeness)
