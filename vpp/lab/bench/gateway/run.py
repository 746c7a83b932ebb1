"""``vpp bench gateway``: the OCPP device plane under load, against the ``ocpp`` package on ``websockets``.

Central systems are ``OcppLink`` processes behind one port (SO_REUSEPORT), with keys checked, state in columns and
batches encoded for the bus; stations are sockets of their own from addresses of 127.0.0.0/8. CPU time is what the
kernel accounts to the central systems' processes; the stations share the machine's cores with them.
"""

import gc
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.lab.bench.gateway.fleets import CHARGER, uniform_fleet
from vpp.lab.bench.gateway.report import say, show, total
from vpp.lab.bench.gateway.sites import run_modbus, run_mqtt
from vpp.lab.compose.load.cars import FIRST_SOURCE, source_addresses
from vpp.lab.compose.load.central_systems import benchmark_peer, central, keys_of, link_of, table_of
from vpp.lab.compose.load.station_tls import Secured, secured
from vpp.lab.compose.load.stations import swarm
from vpp.lab.compose.load.worker_group import HOST, WorkerGroup

PER_PROCESS = 16_700
"""Stations a process: the kernel spreads connections with a scatter of 2 %, and a process may open 20,000 files."""
_HOT_STATIONS = 500
_HOT_WALL_S = 5.0
_STEADY_WALL_S = 60.0
_EVERY_S = 60.0
_SETUPS_PER_S = 250.0
_AT_ONCE = 2000
"""Stations of one process between connecting and being ready; bounded because a listening socket's backlog is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Central systems and stations that run, and their TLS if they have it."""

    servers: WorkerGroup
    swarms: WorkerGroup
    stations: int
    port: int
    secured: Secured | None

    @property
    def secure(self) -> int:
        """Number of stations that use TLS."""
        return sum(int(reply["secure"]) for reply in self.swarms.ask("state"))


def run_gateway(
    *,
    stations: int,
    processes: int | None,
    tls_share: float,
    mqtt_sites: int,
    modbus_sites: int,
    modbus_poll_s: float,
    as_json: bool,
) -> int:
    """Run the benchmark and print it; return 0 if there was no failure and nothing was lost."""
    figures = _throughput(min(stations, _HOT_STATIONS), tls=tls_share > 0.0)
    figures |= _plane(stations, processes or max(1, math.ceil(stations / PER_PROCESS)), tls_share)
    if mqtt_sites:
        figures |= run_mqtt(mqtt_sites)
    if modbus_sites:
        figures |= run_modbus(modbus_sites, modbus_poll_s)
    show(figures, as_json=as_json)
    lost = figures.get("mqtt_missing", 0)
    return 0 if figures["failures"] == figures["wrong_ids"] == lost == 0 else 1


# One process, saturated: ours and the benchmark peer, same stations, same messages.


def _throughput(stations: int, *, tls: bool) -> dict[str, Any]:
    ours = _saturated(stations, ours=True)
    theirs = _saturated(min(stations, 200), ours=False)
    say(f"MeterValues per CPU-second: {ours:,.0f}, ocpp on websockets {theirs:,.0f}")
    found = {"metervalues_per_cpu_s": round(ours), "alternative_metervalues_per_cpu_s": round(theirs)}
    if tls:
        found["metervalues_per_cpu_s_tls"] = round(_saturated(stations, ours=True, tls=secured(HOST, 0, 1.0)))
        say(f"MeterValues per CPU-second over TLS: {found['metervalues_per_cpu_s_tls']:,}")
    return found


def _saturated(stations: int, *, ours: bool, tls: Secured | None = None) -> float:
    """Return MeterValues handled in a second of the server's CPU, the best of three."""
    keys, servers, swarms = keys_of(stations), WorkerGroup(), WorkerGroup()
    try:
        if ours:
            link = link_of(table_of(keys), 0, setups_per_s=_SETUPS_PER_S, secured=tls)
            link.assign(uniform_fleet(CHARGER, [f"{name}/1" for name, _ in keys]))
            servers.add(central, link, stations)
        else:
            servers.add(benchmark_peer)
        port = _port_of(servers)
        swarms.add(swarm, keys, [f"127.0.0.{FIRST_SOURCE}"], 64, tls)
        swarms.ask("dial", port=port, tls_port=servers.ask("state")[0].get("tls_port", 0))
        _set_up(servers, swarms)
        rates = []
        for _ in range(3):
            before = servers.ask("state")[0]["cpu_s"]
            reply = swarms.ask("meter", wall_s=_HOT_WALL_S, busy=stations)[0]
            rates.append(reply["results"] / (servers.ask("state")[0]["cpu_s"] - before))
    finally:
        swarms.end()
        servers.end()
    return float(max(rates))


def _port_of(servers: WorkerGroup) -> int:
    while not (port := int(servers.ask("state")[0]["port"])):
        time.sleep(0.02)
    return port


# The whole plane.


def _plane(stations: int, processes: int, tls_share: float) -> dict[str, Any]:
    load = _start(stations, processes, tls_share)
    try:
        figures: dict[str, Any] = {"stations": stations, "processes": processes, "tls_stations": 0}
        figures |= _connect_by_kind(load) if load.secured is not None else _connect(load)
        figures |= _steady(load)
        figures |= _fan_out(load)
        figures |= _storm(load)
        figures |= _resume(load) if load.secured is not None else {}
        figures |= _failures(load)
    finally:
        load.swarms.end()
        load.servers.end()
    return figures


def _start(stations: int, processes: int, tls_share: float) -> Load:
    """Fork central systems that share a port, and swarms; of the fleet only its columns are kept, and shared."""
    say(f"{stations:,} stations, {processes} central systems")
    keys, servers, swarms = keys_of(stations), WorkerGroup(), WorkerGroup()
    with _held_port() as port, _held_port() as tls_port:
        tls = secured(HOST, tls_port, tls_share)
        link = link_of(table_of(keys), port, setups_per_s=_SETUPS_PER_S, secured=tls)
        link.assign(uniform_fleet(CHARGER, [f"{name}/1" for name, _ in keys]))
        gc.collect()
        for _ in range(processes):
            servers.add(central, link, stations)
        servers.ask("state")  # all of them listen
    for number, part in enumerate(np.array_split(np.arange(stations), processes)):
        own = keys[int(part[0]) : int(part[-1]) + 1] if len(part) else []
        swarms.add(swarm, own, source_addresses(number, len(own)), _AT_ONCE, tls)
    return Load(servers=servers, swarms=swarms, stations=stations, port=port, secured=tls)


@contextmanager
def _held_port() -> Iterator[int]:
    """Yield a free port that others may share; it is held until they do."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def _connect(load: Load) -> dict[str, Any]:
    """Connect, authenticate and boot all stations, and wait until each has been set up."""
    before = _cpu_s(load.servers)
    began = time.perf_counter()
    reply = load.swarms.ask("dial", port=load.port)
    wall_s, cpu_s = time.perf_counter() - began, _cpu_s(load.servers) - before
    say(f"connected and booted {total(reply, 'ready'):,.0f} in {wall_s:.1f} s ({cpu_s:.1f} CPU-s)")
    _set_up(load.servers, load.swarms)
    state = load.servers.ask("state")
    say(f"set up after {time.perf_counter() - began:.0f} s ({_cpu_s(load.servers) - before:.1f} CPU-s in all)")
    return {
        "connect_s": round(wall_s, 2),
        "connect_cpu_s": round(cpu_s, 2),
        "rss_kb_per_station": round(total(state, "grown_kb") / load.stations, 2),
        "pss_kb_per_station": round(total(state, "pss_kb") / load.stations, 2),
    }


def _connect_by_kind(load: Load) -> dict[str, Any]:
    """Connect the plain-text stations first and then those with TLS, to measure the cost of each kind."""
    figures: dict[str, Any] = {"connect_s": 0.0, "connect_cpu_s": 0.0}
    load.swarms.ask("meet", port=load.port, tls_port=load.secured.port if load.secured else 0)
    secure, grown_kb = load.secure, 0.0
    for kind, number in (("plain", load.stations - secure), ("tls", secure)):
        before, began = _cpu_s(load.servers), time.perf_counter()
        load.swarms.ask("connect", secure=kind == "tls")
        wall_s, cpu_s = time.perf_counter() - began, _cpu_s(load.servers) - before
        say(f"{kind}: connected and booted {number:,} in {wall_s:.1f} s ({cpu_s:.1f} CPU-s)")
        _set_up(load.servers, load.swarms)
        now_kb = total(load.servers.ask("state"), "grown_kb")
        figures[f"connect_{kind}_cpu_us"] = round(cpu_s / max(number, 1) * 1e6)
        figures[f"rss_kb_per_{kind}_station"] = round((now_kb - grown_kb) / max(number, 1), 2)
        figures["connect_s"] = round(figures["connect_s"] + wall_s, 2)
        figures["connect_cpu_s"] = round(figures["connect_cpu_s"] + cpu_s, 2)
        grown_kb = now_kb
    figures["rss_kb_per_station"] = round(grown_kb / load.stations, 2)
    return figures | {"tls_stations": secure}


def _set_up(servers: WorkerGroup, swarms: WorkerGroup) -> None:
    while total(servers.ask("state"), "waiting") > 0:
        swarms.ask("meter", wall_s=1.0)
    swarms.ask("meter", wall_s=1.0)


def _steady(load: Load) -> dict[str, Any]:
    before, began = _cpu_s(load.servers), time.perf_counter()
    reply = load.swarms.ask("meter", wall_s=_STEADY_WALL_S, every_s=_EVERY_S)
    cores = (_cpu_s(load.servers) - before) / (time.perf_counter() - began)
    latency_s = np.concatenate([one["latency_s"] for one in reply])
    p50, p99 = (np.quantile(latency_s, (0.5, 0.99)) * 1000.0) if len(latency_s) else (math.nan, math.nan)
    say(f"steady: {total(reply, 'results'):,.0f} MeterValues, {cores:.2f} cores, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return {
        "steady_cores": round(float(cores), 3),
        "steady_p50_ms": round(float(p50), 2),
        "steady_p99_ms": round(float(p99), 2),
        "steady_metervalues": int(total(reply, "results")),
    }


def _fan_out(load: Load) -> dict[str, Any]:
    """Send every station a profile of its own; the better of two runs."""
    best: dict[str, Any] = {}
    for attempt in (1, 2):
        before, stations_s, began = _cpu_s(load.servers), _stations_cpu_s(load), time.perf_counter()
        load.servers.send("fanout", first_id=attempt * 300_000, epoch=attempt)
        replies = load.servers.replies()
        wall_s, cpu_s = time.perf_counter() - began, _cpu_s(load.servers) - before
        stations_s, accepted = _stations_cpu_s(load) - stations_s, total(replies, "accepted")
        say(
            f"fan-out: {accepted:,.0f} of {total(replies, 'count'):,.0f} in {wall_s:.2f} s"
            f" ({cpu_s:.2f} CPU-s, stations {stations_s:.2f})"
        )
        found = {
            "fanout_s": round(wall_s, 2),
            "fanout_cpu_s": round(cpu_s, 2),
            "fanout_stations_cpu_s": round(stations_s, 2),
            "fanout_accepted": int(accepted),
        }
        best = found if not best or wall_s < best["fanout_s"] else best
    return best


def _storm(load: Load) -> dict[str, Any]:
    """Drop all connections, then reconnect all at once."""
    load.swarms.ask("drop")
    while total(load.servers.ask("state"), "connected") > 0:
        time.sleep(0.1)
    before, began = _cpu_s(load.servers), time.perf_counter()
    reply = load.swarms.ask("connect", wall_s=600.0)
    wall_s, cpu_s = time.perf_counter() - began, _cpu_s(load.servers) - before
    stations_cpu_s = total(reply, "cpu_s")
    say(f"storm: all back and booted in {wall_s:.1f} s ({cpu_s:.1f} CPU-s, stations {stations_cpu_s:.1f})")
    return {
        "storm_s": round(wall_s, 2),
        "storm_cpu_s": round(cpu_s, 2),
        "storm_stations_cpu_s": round(stations_cpu_s, 2),
    }


def _resume(load: Load) -> dict[str, Any]:
    """Drop the connections with TLS and reconnect them with their tickets."""
    load.swarms.ask("drop", secure=True)
    stay = load.stations - load.secure
    while total(load.servers.ask("state"), "connected") > stay:
        time.sleep(0.1)
    resumed, before = total(load.swarms.ask("state"), "resumed"), _cpu_s(load.servers)
    reply = load.swarms.ask("connect", secure=True)
    cpu_us, resumed = (_cpu_s(load.servers) - before) / load.secure * 1e6, total(reply, "resumed") - resumed
    say(f"TLS again: {resumed:,.0f} of {load.secure:,} by ticket, {cpu_us:.0f} CPU-us each")
    return {"reconnect_tls_cpu_us": round(cpu_us), "resumed_ratio": round(resumed / load.secure, 4)}


def _failures(load: Load) -> dict[str, Any]:
    """Return failures: stations missing, lost or refused, and answers under a wrong message id."""
    tally, state = load.swarms.ask("state"), load.servers.ask("state")
    missing = load.stations - total(tally, "ready")
    rejected: dict[str, int] = {}
    for reply in state:
        for reason, count in reply["rejected"].items():
            rejected[reason] = rejected.get(reason, 0) + count
    if rejected:
        say(f"dropped or turned away: {rejected}")
    return {
        "failures": int(missing + total(tally, "lost") + total(tally, "errors")),
        "wrong_ids": int(total(tally, "wrong_ids")),
        "retried": int(total(tally, "retried")),
        "samples": int(total(state, "samples")),
        "batches": int(total(state, "batches")),
        "rss_mb": round(total(state, "rss_kb") / 1024.0),
    }


def _cpu_s(workers: WorkerGroup) -> float:
    return total(workers.ask("state"), "cpu_s")


def _stations_cpu_s(load: Load) -> float:
    return total(load.swarms.ask("state"), "process_cpu_s")
