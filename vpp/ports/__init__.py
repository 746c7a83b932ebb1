"""Ports: the outside world as the service sees it, one small protocol for each thing it leans on."""

from vpp.ports.bus import Bus, BusHandler, BusSubscription
from vpp.ports.checkpoints import Checkpoints
from vpp.ports.clock import Clock, YieldingClock, owing
from vpp.ports.device_link import (
    DeviceLink,
    DialledLink,
    FencedLink,
    InspectableLink,
    LinkSink,
    LiveLink,
    RememberingLink,
    ShardedLink,
)
from vpp.ports.device_memory import DeviceMemory
from vpp.ports.device_world import DeviceSimulator, DeviceWorld
from vpp.ports.grid_link import GridLink
from vpp.ports.intervals import LEAST_METERED_RATIO, IntervalMemory, IntervalMeter
from vpp.ports.journal import Journal, JournalArchive, RecordAnchor
from vpp.ports.news import News
from vpp.ports.registry import Registry, Sequences
from vpp.ports.service import (
    Administration,
    EventSource,
    FleetRegistration,
    FleetStatus,
    GridSink,
    PlanStatus,
    RegulationSignals,
    RequestHandling,
    RequestResults,
    SampleHistory,
    ServiceStatus,
)
from vpp.ports.telemetry import TelemetryHistory, TelemetryLog

__all__ = [
    "LEAST_METERED_RATIO",
    "Administration",
    "Bus",
    "BusHandler",
    "BusSubscription",
    "Checkpoints",
    "Clock",
    "DeviceLink",
    "DeviceMemory",
    "DeviceSimulator",
    "DeviceWorld",
    "DialledLink",
    "EventSource",
    "FencedLink",
    "FleetRegistration",
    "FleetStatus",
    "GridLink",
    "GridSink",
    "InspectableLink",
    "IntervalMemory",
    "IntervalMeter",
    "Journal",
    "JournalArchive",
    "LinkSink",
    "LiveLink",
    "News",
    "PlanStatus",
    "RecordAnchor",
    "Registry",
    "RegulationSignals",
    "RememberingLink",
    "RequestHandling",
    "RequestResults",
    "SampleHistory",
    "Sequences",
    "ServiceStatus",
    "ShardedLink",
    "TelemetryHistory",
    "TelemetryLog",
    "YieldingClock",
    "owing",
]
