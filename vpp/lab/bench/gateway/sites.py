"""``vpp bench gateway --mqtt-sites N --modbus-sites N``: the site links under load.

MQTT: N site gateways of four devices each, with a connection of their own to a real broker (nats-server's MQTT
listener), publish with QoS 1; our link receives all of them. Whatever the broker acknowledged must arrive, also while
our process is stalled for some seconds. Modbus: N SunSpec inverters at addresses of 127.0.0.0/8, polled by our link
with polls spread over the interval. CPU time is what the kernel accounts to our link's processes.
"""

import math
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from vpp.lab.bench.gateway.fleets import BUILDING, INVERTER, uniform_fleet
from vpp.lab.bench.gateway.report import say, total
from vpp.lab.compose.load.sites import WINDOW_S, broker, modbus_link, modbus_sites, mqtt_link, mqtt_sites, spread_of
from vpp.lab.compose.load.worker_group import WorkerGroup

_DEVICES = ("ahu-1", "ahu-2", "chiller", "lights")
_HOT_SITES = 200
_HOT_WALL_S = 5.0
_STALL_WALL_S = 3.0
_STEADY_WALL_S = 20.0
_EVERY_S = 60.0
_SETTLE_WALL_S = 60.0
_MODBUS_PER_PROCESS = 8000
_MODBUS_PER_LOAD = 15_000
_LOOPBACK_ROW = 200
"""Sites of one /24 of loopback."""


def run_mqtt(sites: int) -> dict[str, Any]:
    """Return figures of MQTT with so many site gateways."""
    index = uniform_fleet(BUILDING, [f"load-{n}/{device}" for n in range(sites) for device in _DEVICES])
    names = [f"load-{n}" for n in range(sites)]
    brokers, links, swarms = WorkerGroup(), WorkerGroup(), WorkerGroup()
    with tempfile.TemporaryDirectory() as folder:
        try:
            brokers.add(broker, Path(folder))
            url = brokers.ask("url")[0]["url"]
            links.add(mqtt_link, index, url)
            links.ask("state")
            swarms.add(mqtt_sites, url, names, _DEVICES, [f"127.0.2.{turn}" for turn in range(10, 20)])
            return _mqtt_figures(links, swarms, sites)
        finally:
            swarms.end()
            links.end()
            brokers.end()


def _mqtt_figures(links: WorkerGroup, swarms: WorkerGroup, sites: int) -> dict[str, Any]:
    began = time.perf_counter()
    there = swarms.ask("run", wall_s=600.0, until_ready=True)[0]["ready"]
    say(f"{there:,} of {sites:,} MQTT sites connected in {time.perf_counter() - began:.1f} s")
    steady = _mqtt_phase(links, swarms, wall_s=_STEADY_WALL_S, every_s=_EVERY_S)
    hot = _mqtt_phase(links, swarms, wall_s=_HOT_WALL_S, busy=min(sites, _HOT_SITES))
    links.ask("stall", wall_s=_STALL_WALL_S)
    stalled = _mqtt_phase(links, swarms, wall_s=_HOT_WALL_S, busy=min(sites, _HOT_SITES))
    everything = swarms.ask("run", wall_s=_EVERY_S, every_s=_EVERY_S)[0]
    counts = swarms.ask("settle", wall_s=_SETTLE_WALL_S)[0]["counts"]
    missing = _missing(links, counts)
    say(f"MQTT: {hot['rate']:,.0f} messages a CPU-second; {missing} of {counts.sum():,} acknowledged missing")
    return {
        "mqtt_sites": sites,
        "mqtt_connected": int(there),
        "mqtt_messages_per_cpu_s": round(hot["rate"]),
        "mqtt_samples_per_cpu_s": round(hot["samples_rate"]),
        "mqtt_steady_cores": round(steady["cores"], 3),
        "mqtt_acknowledged": int(counts.sum()),
        "mqtt_missing": missing,
        "mqtt_stalled_messages": round(stalled["messages"]),
        "mqtt_lost_connections": int(everything["lost"]),
    }


def _mqtt_phase(links: WorkerGroup, swarms: WorkerGroup, **how: float) -> dict[str, float]:
    before, began = links.ask("state")[0], time.perf_counter()
    reply = swarms.ask("run", **how)[0]
    wall_s = time.perf_counter() - began
    after = _quiet(links)
    cpu_s, samples = after["cpu_s"] - before["cpu_s"], after["samples"] - before["samples"]
    messages = (after["powers"] - before["powers"]) / len(_DEVICES)
    say(
        f"{how}: {messages:,.0f} messages received, {reply['receipts']:,} acknowledged by the broker, {cpu_s:.2f} CPU-s"
    )
    rates = {"rate": messages / cpu_s, "samples_rate": samples / cpu_s, "cores": cpu_s / wall_s}
    return rates | {"messages": messages}


def _quiet(links: WorkerGroup) -> dict[str, Any]:
    """Return the state once nothing more arrives."""
    state, before = links.ask("state")[0], -1
    while state["samples"] != before:
        before = state["samples"]
        time.sleep(0.5)
        state = links.ask("state")[0]
    return state


def _missing(links: WorkerGroup, counts: Any) -> int:  # noqa: ANN401 - an array
    """Return how many acknowledged messages have not arrived: the registers of the devices count them."""
    missing = 0
    for _ in range(round(_SETTLE_WALL_S)):
        energy_kwh = links.ask("counts")[0]["energy_kwh"].reshape(len(counts), len(_DEVICES))
        behind = np.maximum(counts - np.nan_to_num(energy_kwh.min(axis=1)), 0).sum()
        received = links.ask("state")[0]["powers"] / len(_DEVICES)
        missing = max(0, round(behind), round(counts.sum() - received))
        if not missing:
            break
        time.sleep(1.0)
    return missing


def run_modbus(sites: int, poll_s: float) -> dict[str, Any]:
    """Return figures of Modbus with so many sites, polled every ``poll_s`` seconds."""
    devices, links = WorkerGroup(), WorkerGroup()
    try:
        for _ in range(math.ceil(sites / _MODBUS_PER_LOAD)):
            devices.add(modbus_sites, uniform_fleet(INVERTER, ["127.0.0.1:1/1"]))
        ports = [reply["port"] for reply in devices.ask("state")]
        addresses = [f"{_loopback(n)}:{ports[n // _MODBUS_PER_LOAD]}/1" for n in range(sites)]
        index = uniform_fleet(INVERTER, addresses)
        members = tuple(f"g{number}" for number in range(math.ceil(sites / _MODBUS_PER_PROCESS)))
        for name in members:
            links.add(modbus_link, index, poll_s, name, members)
        return _modbus_figures(links, devices, sites, poll_s)
    finally:
        links.end()
        devices.end()


def _modbus_figures(links: WorkerGroup, devices: WorkerGroup, sites: int, poll_s: float) -> dict[str, Any]:
    began, deadline = time.perf_counter(), time.perf_counter() + 300.0
    while total(state := links.ask("state"), "connected") < sites and time.perf_counter() < deadline:
        time.sleep(0.5)
    found_s, found_cpu_s, connected = time.perf_counter() - began, total(state, "cpu_s"), total(state, "connected")
    say(f"{connected:,.0f} of {sites:,} Modbus sites found in {found_s:.1f} s ({found_cpu_s:.1f} CPU-s)")
    time.sleep(poll_s)
    links.ask("spread")
    before, load_before = links.ask("state"), total(devices.ask("state"), "cpu_s")
    steady_s = max(_STEADY_WALL_S, 2.0 * poll_s)
    time.sleep(steady_s)
    after, load_cpu_s = links.ask("state"), total(devices.ask("state"), "cpu_s") - load_before
    polls, cpu_s = total(after, "powers") - total(before, "powers"), total(after, "cpu_s") - total(before, "cpu_s")
    windows: Counter[float] = Counter()
    for reply in links.ask("spread"):
        windows.update(reply["windows"])
    each_us, spread = cpu_s / max(polls, 1.0) * 1e6, spread_of(windows)
    say(f"Modbus: {polls:,.0f} polls, {each_us:.0f} CPU-us each; fullest {WINDOW_S} s holds {spread:.2f} x the mean")
    return {
        "modbus_sites": sites,
        "modbus_connected": int(connected),
        "modbus_connections": int(total(devices.ask("state"), "connections")),
        "modbus_find_cpu_us": round(found_cpu_s / max(connected, 1.0) * 1e6),
        "modbus_polls": int(polls),
        "modbus_poll_s": poll_s,
        "modbus_gateways": len(links),
        "modbus_polls_due": round(sites * steady_s / poll_s),
        "modbus_poll_cpu_us": round(each_us),
        "modbus_cores": round(cpu_s / steady_s, 3),
        "modbus_load_cores": round(load_cpu_s / steady_s, 3),
        "modbus_spread": round(spread, 2),
    }


def _loopback(number: int) -> str:
    row, place = divmod(number, _LOOPBACK_ROW)
    return f"127.{3 + row // 250}.{row % 250}.{10 + place}"
