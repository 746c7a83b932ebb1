"""Settings: ``VPP_*`` environment variables or a TOML file; command-line flags win over both."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from vpp.domain.errors import ConfigurationError

Positive = Annotated[float, Field(gt=0.0)]


HOURS_PER_DAY = 24.0


class Settings(BaseSettings):
    """What a site may set. Durations are seconds of the service's clock unless the name says wall."""

    model_config = SettingsConfigDict(env_prefix="VPP_", extra="forbid", frozen=True)

    http: str = Field("127.0.0.1:8080", description="HOST:PORT of the HTTP API")
    ocpp: str = Field("127.0.0.1:9000", description="HOST:PORT charging stations connect to")
    ocpp_tls: str | None = Field(
        None,
        description="HOST:PORT at which charging stations speak TLS beside VPP_OCPP; the very address of VPP_OCPP for"
        " TLS alone",
    )
    ocpp_cert: Path | None = Field(None, description="PEM file of the certificate shown to stations, with its chain")
    ocpp_key: Path | None = Field(None, description="PEM file of that certificate's private key")
    ocpp_client_ca: Path | None = Field(
        None,
        description="PEM file of the authority that signs the stations' own certificates: security profile 3, each"
        " station is the one its certificate names",
    )
    ocpp_paths: str = Field(
        "/ocpp/{id}",
        description="paths charging stations connect to, parted by commas, {id} standing for the station's id, e.g."
        " /ocpp/{id},/steve/websocket/CentralSystemService/{id}",
    )
    ocpp_keys: Path | None = Field(
        None, description="file of the stations' keys, made by vpp keys issue; a station without its key stays out"
    )
    ocpp_keys_secret: Path | None = Field(
        None, description="file of the secret the keys are hashed under; beside VPP_OCPP_KEYS, ending .secret, if unset"
    )
    ocpp_admissions_per_s: Positive = Field(
        2000.0, description="stations a process lets in a second; the rest hears 503 and when to come back"
    )
    ocpp_call_retries: int = Field(
        0, ge=0, le=5, description="how often an instruction without an answer is sent again on the same connection"
    )
    ocpp_profile_interval_s: float = Field(
        10.0,
        ge=0,
        le=30,
        description="least time between a profile of a connector and one that raises its ceiling; 0 for none",
    )
    ocpp_wake: str = Field(
        "",
        description="where cars that sleep on after a pause are woken by a short change of their limit: MODEL@SITE with"
        " * and ?, separated by commas; nowhere if unset",
    )
    ocpp_dynamic: bool = Field(
        default=False,
        description="setpoints of OCPP 2.1 stations are dynamic profiles: a new value for the same time is a short"
        " update instead of a new profile",
    )
    ocpp_max_offline_s: Positive | None = Field(
        None, description="how long an OCPP 2.1 station keeps a dispatch value without a connection; its lease if unset"
    )
    mqtt_url: str | None = Field(None, description="mqtt[s]://[USER:PASSWORD@]HOST:PORT of the site gateways' broker")
    register_maps: Path | None = Field(None, description="folder of Modbus register maps, one NAME.toml a map")
    data_dir: Path = Field(Path(".vpp"), description="folder of the embedded database and of reports")
    db_url: str | None = Field(None, description="SQLAlchemy URL; a SQLite file in the data folder if unset")
    telemetry_url: str | None = Field(
        None,
        description="folder or object-store URL (s3://, az://, gs://) of the telemetry store; in the data folder if"
        " unset, nowhere if empty",
    )
    telemetry_days: Positive = Field(400.0, description="days of samples that are kept in the telemetry store")
    frame_days: Positive | None = Field(
        None, description="days of recorded frames that are kept for vpp replay; all of them if unset"
    )
    storage_patience_wall_s: Positive = Field(
        2.0, description="wall seconds a cycle waits for its record to be written before it goes on from memory"
    )
    spool_mb: int = Field(
        256,
        gt=0,
        description="MiB of decisions that may wait in memory while they cannot be stored, above which the service"
        " stops, and of samples, above which the oldest are dropped",
    )
    bus_url: str = Field(
        "memory:", description="memory: for everything in one process, nats://HOST:PORT to meet gateways on NATS"
    )
    fleet_id: str | None = Field(
        None,
        pattern=r"^[\w-]{1,64}$",
        description="id of the fleet on a bus that several share; a service makes a random one with its database and a"
        " gateway keeps the first it hears of in its data folder if unset",
    )
    gateway: str | None = Field(
        None, pattern=r"^[\w-]{1,64}$", description="name of this gateway; host and process id if unset"
    )
    gateway_flush_wall_s: Positive = Field(
        0.05, description="wall seconds a gateway gathers what it hears before it tells the service"
    )
    gateway_lost_wall_s: Positive = Field(
        5.0, description="wall seconds of silence after which a gateway counts as gone; the same for all processes"
    )
    api_token: str | None = Field(None, description="bearer token every API call must carry, if set")
    log_level: str = Field("info", description="debug, info, warning or error")
    log_json: bool = Field(default=False, description="one JSON object a line instead of text")

    clock_speed: Positive = Field(1.0, description="clock seconds per wall second")
    clock_anchor_s: float = Field(0.0, description="what the clock shows at clock_anchor_wall_s, UTC epoch seconds")
    clock_anchor_wall_s: float = Field(0.0, description="wall epoch seconds at which the clock shows clock_anchor_s")
    clock_pace: Path | None = Field(
        None,
        description="file through which the processes of one simulation share a clock that waits for the slowest of"
        " them; made by vpp demo, and the other clock settings do not count then",
    )

    cycle_s: Positive = Field(10.0, description="period of the fast loop")
    regulation_s: Positive = Field(
        2.0, description="period in which a regulation signal is followed between two cycles of the fast loop"
    )
    plan_period_s: Positive = Field(900.0, description="period of the slow loop")
    plan_deadline_wall_s: Positive = Field(
        60.0, description="wall seconds a solve may take before the ladder takes over"
    )
    sample_s: Positive = Field(60.0, description="how often devices are asked to report")
    holidays: Path | None = Field(
        None,
        description="TOML file of public holidays and worked weekends by year, for years that are announced after this"
        " program's release",
    )
    stale_s: Positive = Field(180.0, description="age above which a measurement is stale")
    call_timeout_s: Positive = Field(60.0, description="how long a device may take to answer")
    lease_s: Positive = Field(300.0, description="how long a dispatch setpoint holds unless renewed")
    ramp_minutes: Positive = Field(10.0, description="ramp before a request's start unless it names its own")
    release_minutes: Positive = Field(15.0, description="length of the release ramp")
    rebound_watch_minutes: Positive = Field(60.0, description="how long the rebound is watched after the release")
    reserve_windows: str = Field(
        "",
        description="upward power that must be there every day, e.g. 13-15=1000000,20-22=1000000: hours of"
        " Asia/Shanghai and kW; stores keep charge for what others would not give",
    )
    reserve_recovery_kw: Positive | None = Field(
        None,
        description="net load that stores may add to win back what a call of one reserve window took, in time for the"
        " next; without it each window is backed as if no other were called",
    )
    regulation_kw: Positive | None = Field(
        None,
        description="power that plans leave free in both directions in stationary storage, to be sold as regulation",
    )
    quote_valid_s: Positive = Field(300.0, description="how long a quote may be accepted")

    gateway_drain_per_s: Positive | None = Field(
        None, description="sessions a second that a gateway ends when it is stopped; all at once if unset"
    )

    @field_validator("http", "ocpp", "ocpp_tls")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            address_of(value)
        return value

    @field_validator("ocpp_cert", "ocpp_key", "ocpp_client_ca", "ocpp_keys", "ocpp_keys_secret")
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @model_validator(mode="after")
    def _secured(self) -> Self:
        _check_tls(self)
        if self.ocpp_keys is None and self.ocpp_keys_secret is not None:
            raise ValueError("VPP_OCPP_KEYS_SECRET: belongs to a file of keys; give VPP_OCPP_KEYS as well")
        if self.keys_secret is not None and not self.keys_secret.is_file():
            raise ValueError(f"VPP_OCPP_KEYS: its secret is not at {self.keys_secret}; give VPP_OCPP_KEYS_SECRET")
        return self

    @field_validator("mqtt_url")
    @classmethod
    def _broker(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in {"mqtt", "mqtts"}:
            raise ValueError("give mqtt://HOST:PORT or mqtts://HOST:PORT")
        return value

    @field_validator("bus_url")
    @classmethod
    def _bus(cls, value: str) -> str:
        parts = [urlsplit(part.strip()) for part in value.split(",")]
        if value != "memory:" and not all(part.scheme in {"nats", "tls"} and part.hostname for part in parts):
            raise ValueError("give memory: or nats://HOST:PORT")
        return value

    @property
    def telemetry_place(self) -> str | None:
        """Where the telemetry store is, ``None`` where there is to be none."""
        if self.telemetry_url is None:
            return str(self.data_dir.resolve() / "telemetry")
        return self.telemetry_url or None

    @property
    def keys_secret(self) -> Path | None:
        """Where the secret of the stations' keys is, ``None`` where stations need no key."""
        beside = None if self.ocpp_keys is None else self.ocpp_keys.with_suffix(".secret")
        return self.ocpp_keys_secret or beside

    @property
    def has_bus(self) -> bool:
        """The device plane is in other processes, which are met on a bus."""
        return self.bus_url != "memory:"

    @field_validator("ocpp_paths")
    @classmethod
    def _paths(cls, value: str) -> str:
        paths_of(value)
        return value

    @field_validator("reserve_windows")
    @classmethod
    def _windows(cls, value: str) -> str:
        windows_of(value)
        return value

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.db_url or f"sqlite:///{self.data_dir.resolve() / 'vpp.sqlite3'}"

    def shown(self) -> dict[str, object]:
        """Return every setting by its environment name, secrets hidden."""
        return {f"VPP_{name.upper()}": _masked(name, value) for name, value in self.model_dump().items()}

    @classmethod
    def load(cls, file: Path | None = None, **flags: object) -> Self:
        """Return settings from flags, else environment, else ``file``, else defaults.

        Raises:
            ConfigurationError: A value is not accepted; the message names the setting and what is.
        """
        given = {name: value for name, value in flags.items() if value is not None}

        class Sourced(cls):  # type: ignore[valid-type,misc]  # the file is only known now
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                **_: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                toml = (TomlConfigSettingsSource(settings_cls, file),) if file else ()
                return init_settings, env_settings, *toml

        try:
            return Sourced(**given)
        except ValidationError as error:
            raise ConfigurationError(_one_line(error)) from error


def paths_of(value: str) -> tuple[str, ...]:
    """Return the patterns in ``/PATH/{id},...``.

    Raises:
        ValueError: It is not of that form.
    """
    paths = tuple(filter(None, (part.strip() for part in value.split(","))))
    if not paths:
        raise ValueError("give at least one path, e.g. /ocpp/{id}")
    for path in paths:
        if not path.startswith("/") or path.count("{id}") != 1 or not path.isascii() or set(path) & set(" ?#%"):
            raise ValueError(f"give /PATH/{{id}} with {{id}} once, not {path!r}")
    return paths


def windows_of(value: str) -> tuple[tuple[float, float, float], ...]:
    """Return first hour, last hour and kW of every window in ``FROM-UNTIL=KW,...``.

    Raises:
        ValueError: It is not of that form.
    """
    windows = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)=(\d+(?:\.\d+)?)", part)
        hours = (float(found[1]), float(found[2])) if found else (-1.0, -1.0)
        if found is None or not all(0.0 <= hour <= HOURS_PER_DAY for hour in hours):
            raise ValueError(f"give FROM-UNTIL=KW with hours from 0 to 24, not {part!r}")
        windows.append((*hours, float(found[3])))
    return tuple(windows)


def address_of(value: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        ValueError: It is not of that form.
    """
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise ValueError(f"give HOST:PORT with a port from 0 to 65535, not {value!r}")
    return host.strip("[]"), int(port)


def _check_tls(settings: Settings) -> None:
    """Raise ValueError, naming the setting, where what belongs to TLS is incomplete, wrong or of no use."""
    for name in ("cert", "key"):
        if settings.ocpp_tls is not None and getattr(settings, f"ocpp_{name}") is None:
            raise ValueError(f"VPP_OCPP_TLS: needs a certificate and its key; give VPP_OCPP_{name.upper()}")
    for name in ("cert", "key", "client_ca"):
        if settings.ocpp_tls is None and getattr(settings, f"ocpp_{name}") is not None:
            raise ValueError(f"VPP_OCPP_{name.upper()}: is of no use without VPP_OCPP_TLS")
    plain_too = settings.ocpp_tls != settings.ocpp
    if settings.ocpp_client_ca is not None and settings.ocpp_keys is None and plain_too:
        raise ValueError(
            "VPP_OCPP_CLIENT_CA: anybody could come in by VPP_OCPP instead; give VPP_OCPP_KEYS, or one address for both"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        if settings.ocpp_cert is not None:
            context.load_cert_chain(settings.ocpp_cert, settings.ocpp_key, password="")
    except OSError as error:
        raise ValueError(f"VPP_OCPP_CERT, VPP_OCPP_KEY: no certificate with its key: {error}") from error
    try:
        if settings.ocpp_client_ca is not None:
            context.load_verify_locations(settings.ocpp_client_ca)
    except OSError as error:
        raise ValueError(f"VPP_OCPP_CLIENT_CA: no certificate of an authority: {error}") from error


def _masked(name: str, value: object) -> object:
    if name == "api_token":
        return "***" if value else value
    if isinstance(value, str) and urlsplit(value).password:
        return value.replace(f":{urlsplit(value).password}@", ":***@")
    return value


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:  # settings that do not go together name themselves
        return str(first["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in first["loc"])
    return f"VPP_{name.upper()}: {first.get('input')!r} is not accepted; {first['msg']}"
