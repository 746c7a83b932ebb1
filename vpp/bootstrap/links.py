"""Device links of a process: the protocols themselves, or gateways behind the bus."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.server import Listening
from adapters.modbus.link import ModbusLink
from adapters.mqtt.link import MqttLink
from adapters.ocpp.central_system.security import KeyFile, server_context
from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.central_system.session_policy import SessionPolicy
from adapters.ocpp.control.waking import WakeRule
from adapters.ocpp.profiles.profile_policy import ProfilePolicy
from vpp.bootstrap.register_maps import register_maps
from vpp.bus.leader.gateway_link import BusLink
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.transport.nats import NatsBus
from vpp.config import Settings, address_of, paths_of
from vpp.domain.errors import ConfigurationError, InputError
from vpp.ports import Clock, DeviceLink

_ANSWERS = 2.5
"""Time-outs of a call after which a gateway that says nothing of an instruction is not waited for any longer."""
_LEAST_ANSWER_WALL_S = 10.0
"""No network is faster because the clock is."""
_MODBUS_TIMEOUT_S = 10.0


@asynccontextmanager
async def service_links(settings: Settings, clock: Clock) -> AsyncIterator[list[DeviceLink]]:
    """Yield the links of ``vpp serve``: its own, or gateways where the settings name a bus between processes.

    Raises:
        ConfigurationError: Nobody answers at the bus.
    """
    own = links_of(settings, clock)
    if not settings.has_bus:
        yield own
        return
    bus = await NatsBus.at(settings.bus_url, name="vpp serve")
    try:
        least_s = _LEAST_ANSWER_WALL_S * settings.clock_speed
        hub = LeaderEndpoint(
            bus,
            clock,
            answer_s=max(_ANSWERS * settings.call_timeout_s, min(least_s, 10.0 * settings.call_timeout_s)),
            lost_wall_s=settings.gateway_lost_wall_s,
        )
        # Addresses are judged as the gateways will judge them.
        yield [BusLink(link.name, hub, check=link.check) for link in own]
    finally:
        await bus.close()


def links_of(settings: Settings, clock: Clock, *, shared_port: bool = False) -> list[DeviceLink]:
    """Return the device links that settings ask for; MQTT only where a broker is named.

    Args:
        settings: What to connect to.
        clock: The only source of time.
        shared_port: Several processes of this machine take stations at the same port.
    """
    # A dead endpoint is left after seconds: nothing behind it is worth a longer wait, and it is tried again.
    timeout_s = min(settings.call_timeout_s, _MODBUS_TIMEOUT_S)
    links: list[DeviceLink] = [
        ModbusLink(
            clock=clock, poll_s=settings.sample_s, timeout_s=timeout_s, maps=register_maps(settings.register_maps)
        )
    ]
    if settings.mqtt_url:
        links.append(MqttLink(url=settings.mqtt_url, clock=clock, ack_timeout_s=settings.call_timeout_s))
    # Last, so that no station gets in before its default value is remembered.
    links.append(_stations(settings, clock, shared_port=shared_port))
    return links


def _stations(settings: Settings, clock: Clock, *, shared_port: bool) -> OcppLink:
    """Return the central system of the charging stations."""
    host, port = address_of(settings.ocpp)
    tls_host, tls_port = None, None
    if settings.ocpp_tls not in (None, settings.ocpp):
        tls_host, tls_port = address_of(settings.ocpp_tls or "")
    offline_s = settings.ocpp_max_offline_s
    return OcppLink(
        clock=clock,
        listening=Listening(
            host=host, port=port, reuse_port=shared_port, tls=_tls(settings), tls_host=tls_host, tls_port=tls_port
        ),
        entry=EntryRules(
            paths=Paths(paths_of(settings.ocpp_paths)),
            authenticate=keys_of(settings),
            admissions_per_s=settings.ocpp_admissions_per_s,
        ),
        sessions=SessionPolicy(
            call_timeout_s=settings.call_timeout_s,
            call_retries=settings.ocpp_call_retries,
            sample_interval_s=round(settings.sample_s),
            drain_per_s=settings.gateway_drain_per_s if shared_port else None,
            wake=_wake_rules(settings),
        ),
        profiles=ProfilePolicy(
            dynamic=settings.ocpp_dynamic,
            max_offline_s=None if offline_s is None else max(round(offline_s), 1),
            least_interval_s=settings.ocpp_profile_interval_s,
        ),
    )


def _wake_rules(settings: Settings) -> tuple[WakeRule, ...]:
    try:
        return WakeRule.read(settings.ocpp_wake)
    except InputError as error:
        raise ConfigurationError(f"VPP_OCPP_WAKE: {error}") from error


def keys_of(settings: Settings) -> KeyFile | None:
    """Return the stations' keys, ``None`` where stations need none.

    Raises:
        ConfigurationError: The file of keys or of their secret cannot be used.
    """
    if settings.ocpp_keys is None or settings.keys_secret is None:
        return None
    try:
        secret = settings.keys_secret.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"VPP_OCPP_KEYS_SECRET: {error}") from error
    try:
        return KeyFile(settings.ocpp_keys, secret)
    except ConfigurationError as error:
        raise ConfigurationError(f"VPP_OCPP_KEYS: {error}") from error


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.ocpp_tls is None or settings.ocpp_cert is None or settings.ocpp_key is None:
        return None
    return server_context(settings.ocpp_cert, settings.ocpp_key, station_ca=settings.ocpp_client_ca)
