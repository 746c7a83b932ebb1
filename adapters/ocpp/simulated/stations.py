"""Device side of OCPP: all simulated stations of a process, over real sockets, in one loop."""

import heapq
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
import structlog

from adapters.kit.backoff import Backoff
from adapters.kit.poller import Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.client_connect import ClientConnector
from adapters.kit.websocket.connection import ConnectionContext, WebSocketConnection
from adapters.ocpp.messages.ocpp_j import Version
from adapters.ocpp.messages.rpc import EndpointContext
from adapters.ocpp.profiles.nameplates import place_of
from adapters.ocpp.profiles.power_units import Supply
from adapters.ocpp.profiles.profile_ids import command_number
from adapters.ocpp.simulated.connector import Connector
from adapters.ocpp.simulated.station import Station, StationDialect, StationEndpoint
from adapters.ocpp.simulated.station_v16 import StationDialect16
from adapters.ocpp.simulated.station_v20 import StationDialect2
from vpp.domain.device import DeviceReadings, PlugEvent
from vpp.domain.resource import Adapter
from vpp.ports import Clock, DeviceWorld

_log = structlog.get_logger(__name__)

TICK_S = 1.0
LEAST_TICK_WALL_S = 0.02
DIALS_AT_ONCE = 64
HANDSHAKE_WALL_S = 10.0
PATIENCE_S = 30.0
LEAST_PATIENCE_WALL_S = 10.0
"""Wall seconds a central system has to answer, however fast the clock."""
RECONNECT = Backoff(longest_s=120.0)
"""Pause before a station connects again; the first is what the central system asked for, or the caller's."""
_TURN = (Version.V16, Version.V201, Version.V21)
_SEED = 20_250_915


class OcppStations:
    """A ``vpp.ports.DeviceSimulator`` for every OCPP row of a world, one connection a station.

    A station whose rows can discharge uses 2.1, the others take turns at 1.6, 2.0.1 and 2.1 in the order of their rows.
    A driver's promise is sent as charging needs in 2.x and as the data transfer of ``charging_needs`` in 1.6. A station
    boots at every connection, then sends what waited: starts and stops survive a lost link, old meter values do not.

    Args:
        url: Where the central system listens, e.g. ``ws://127.0.0.1:9000/ocpp``; station ids are appended.
        sample_interval_s: Seconds between reports until the central system sets another interval.
        versions: Subprotocol of single rows that are to differ, e.g. ``{3: "ocpp1.6"}``.
        supply: The grid at the stations, for limits in A.
        keys: Basic password of stations that have one, by station id.
        tls: Client side of TLS for a ``wss://`` URL.
        sources: Local addresses to connect from, in turn; one address has some 55,000 ports.
    """

    def __init__(
        self,
        *,
        url: str,
        world: DeviceWorld,
        clock: Clock,
        sample_interval_s: float = 60.0,
        versions: Mapping[int, str] | None = None,
        supply: Supply | None = None,
        keys: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        sources: Sequence[str] = (),
    ) -> None:
        self.world = world
        self.clock = clock
        self.supply = supply or Supply()
        self.readings: DeviceReadings = world.readings()
        self.profiles_taken: Counter[int] = Counter()
        """Acceptances by command (``profile_ids.command_number``); more than one: a command was applied twice."""
        self._dialer = ClientConnector(url, tls=tls, sources=sources)
        self._keys = keys or {}
        self._dialects: Mapping[Version, StationDialect] = {
            Version.V16: StationDialect16(),
            Version.V201: StationDialect2(Version.V201),
            Version.V21: StationDialect2(Version.V21),
        }
        self._stations: list[Station] = []
        self._station_of: dict[int, tuple[Station, Connector]] = {}
        self._populate(sample_interval_s, versions or {})
        self._rows = np.array(sorted(self._station_of), dtype=np.int32)
        self._away: set[str] = set()
        self._reports: list[tuple[float, int]] = []
        self._dials: list[tuple[float, int, Station]] = []
        self._order = count()
        self._rng = np.random.default_rng(_SEED)
        self._context: EndpointContext
        self._dialing: set[str] = set()

    def __len__(self) -> int:
        return len(self._stations)

    async def run(self) -> None:
        """See ``DeviceSimulator``."""
        now_s = self.clock.now_s()
        spread = max(len(self._stations), 1)
        self._reports = [(now_s + s.interval_s * i / spread, i) for i, s in enumerate(self._stations)]
        heapq.heapify(self._reports)
        for station in self._stations:
            self._dial_at(station, now_s)
        tick_s = max(TICK_S, LEAST_TICK_WALL_S / self.clock.wall(1.0))
        await self._open_switchboard()
        try:
            while True:
                self._turn()
                await self.clock.sleep(tick_s)
        finally:
            for station in self._stations:
                station.away = True
                station.hang_up()
            self._context.timers.stop()
            self._context.poller.close()

    @property
    def connected(self) -> int:
        """Number of stations that are connected and booted."""
        return sum(station.booted for station in self._stations)

    # StationEnvironment.

    def profile_accepted(self, profile_id: int) -> None:
        """See ``ProfileEnvironment``; the link's own profiles are no commands."""
        number = command_number(profile_id)
        if number > 0:
            self.profiles_taken[number] += 1

    def dial(self, station: Station, after_s: float) -> None:
        """See ``StationEnvironment``; pauses double up to two minutes and are jittered by half either way."""
        pause_s = RECONNECT.wait_s(station.attempts + 1, self._rng.uniform, first_s=after_s)
        self._dial_at(station, self.clock.now_s() + pause_s)

    # Loop.

    async def _open_switchboard(self) -> None:
        poller, timers = Poller(), TimingWheel()
        patience_wall_s = max(self.clock.wall(PATIENCE_S), LEAST_PATIENCE_WALL_S)
        self._context = EndpointContext(
            clock=self.clock,
            poller=poller,
            timers=timers,
            ids=count(int(self.clock.now_s() * 1000.0)),
            patience_wall_s=patience_wall_s,
        )
        timers.start()
        poller.start()
        await self._dialer.start(ConnectionContext(poller=poller, timers=timers, handshake_wall_s=HANDSHAKE_WALL_S))

    def _turn(self) -> None:
        self.readings = self.world.readings()
        self._follow_links()
        for event in self.world.plug_events():
            self._plug(event)
        self._report()
        self._connect_due()

    def _follow_links(self) -> None:
        """Take stations off the network whose devices have no link; reconnect those whose link has returned."""
        down = self._rows[~self.readings.online[self._rows]]
        away = {self._station_of[row][0].id: self._station_of[row][0] for row in down.tolist()}
        for name, station in away.items():
            if name not in self._away:
                station.away = True
                station.hang_up()
        if self._away - away.keys():
            for station in self._stations:
                if station.away and station.id not in away:
                    station.away, station.attempts = False, 0
                    self.dial(station, TICK_S)
        self._away = set(away)

    def _plug(self, event: PlugEvent) -> None:
        if event.row in self._station_of:
            station, connector = self._station_of[event.row]
            station.plug(connector, event)

    def _report(self) -> None:
        now_s = self.clock.now_s()
        while self._reports and self._reports[0][0] <= now_s:
            due_s, number = heapq.heappop(self._reports)
            station = self._stations[number]
            next_s = due_s + station.interval_s
            heapq.heappush(self._reports, (next_s if next_s > now_s else now_s + station.interval_s, number))
            if station.connection is not None:
                station.report()
            else:
                station.lapse_profiles()

    def _dial_at(self, station: Station, due_s: float) -> None:
        heapq.heappush(self._dials, (due_s, next(self._order), station))

    def _connect_due(self) -> None:
        now_s = self.clock.now_s()
        while self._dials and self._dials[0][0] <= now_s and len(self._dialing) < DIALS_AT_ONCE:
            _, _, station = heapq.heappop(self._dials)
            if station.connection is None and not station.away and station.id not in self._dialing:
                self._dialing.add(station.id)
                self._connect(station)

    def _connect(self, station: Station) -> None:
        station.attempts += 1

        def opened(connection: WebSocketConnection) -> None:
            self._dialing.discard(station.id)
            StationEndpoint(station, self._context).begin(connection)
            if station.away:
                station.hang_up()
            self._connect_due()  # a station that waits for a place need not wait for the next tick

        def failed(wait_s: float) -> None:
            self._dialing.discard(station.id)
            _log.debug("station cannot connect", station=station.id)
            if not station.away:
                self.dial(station, max(TICK_S, wait_s))

        key = self._keys.get(station.id)
        self._dialer.dial(station.id, station.dialect.version, opened=opened, failed=failed, key=key)

    def _populate(self, interval_s: float, versions: Mapping[int, str]) -> None:
        stations: dict[str, Station] = {}
        turn = count()
        for row, resource in enumerate(self.world.index.resources):
            if resource.adapter is not Adapter.OCPP:
                continue
            name, number = place_of(resource)
            if name not in stations:
                bidirectional = resource.p_min_kw < 0.0
                version = Version.V21 if bidirectional else _TURN[next(turn) % len(_TURN)]
                dialect = self._dialects[Version(versions.get(row, version))]
                stations[name] = Station(name=name, dialect=dialect, environment=self, interval_s=interval_s)
            connector = Connector(number=number, row=row, resource=resource)
            stations[name].connectors[connector.number] = connector
            self._station_of[row] = (stations[name], connector)
        self._stations = list(stations.values())
