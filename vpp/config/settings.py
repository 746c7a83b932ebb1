"""Settings from ``VPP_*`` environment variables or a TOML file; command-line flags win over both."""

import ssl
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from vpp.config.drill_settings import DrillSettings
from vpp.config.record_place import record_place
from vpp.config.record_settings import Positive, RecordSettings
from vpp.config.reserve_settings import ReserveSettings
from vpp.config.texts import described, masked, one_line
from vpp.config.values import address_of, paths_of
from vpp.domain.errors import ConfigurationError


class Settings(RecordSettings, DrillSettings, ReserveSettings):
    """Settings of a site. Durations are seconds of the service's clock unless the name says wall.

    A description is for an operator: the quantity, its unit, and the meaning of no value.
    """

    model_config = SettingsConfigDict(env_prefix="VPP_", extra="forbid", frozen=True)

    http: str = Field("127.0.0.1:8080", description="address of the HTTP API, HOST:PORT")
    ocpp: str = Field("127.0.0.1:9000", description="address charging stations connect to, HOST:PORT")
    ocpp_tls: str | None = Field(
        None,
        description="address charging stations connect to with TLS, HOST:PORT; the same as VPP_OCPP for TLS alone, no"
        " TLS if unset",
    )
    ocpp_cert: Path | None = Field(None, description="certificate shown to stations, with its chain, PEM file")
    ocpp_key: Path | None = Field(None, description="private key of VPP_OCPP_CERT, PEM file")
    ocpp_client_ca: Path | None = Field(
        None,
        description="certificate of the authority that signs the stations' own certificates, PEM file; with it a"
        " station must show a certificate for its id (OCPP security profile 3)",
    )
    ocpp_paths: str = Field(
        "/ocpp/{id}",
        description="paths charging stations connect to, separated by commas; {id} stands for the station's id, e.g."
        " /ocpp/{id},/steve/websocket/CentralSystemService/{id}",
    )
    ocpp_keys: Path | None = Field(
        None,
        description="key table of the stations, made by vpp keys issue; with it a station without its key is refused",
    )
    ocpp_keys_secret: Path | None = Field(
        None,
        description="secret the keys are hashed with, a file; if unset, the file beside VPP_OCPP_KEYS that ends in"
        " .secret",
    )
    ocpp_admissions_per_s: Positive = Field(
        2000.0,
        description="connections of stations that a process accepts per second; the others are answered 503 with a"
        " time to retry",
    )
    ocpp_call_retries: int = Field(
        0,
        ge=0,
        le=5,
        description="repetitions of an instruction that a station has not answered, on the same connection",
    )
    ocpp_profile_interval_s: float = Field(
        10.0,
        ge=0,
        le=30,
        description="least seconds between two charging profiles of a connector where the second raises its ceiling;"
        " 0 for none",
    )
    ocpp_wake: str = Field(
        "",
        description="stations at which a car that does not resume after a pause is woken by a short change of its"
        " limit: MODEL@SITE with * and ?, separated by commas; none if unset",
    )
    ocpp_dynamic: bool = Field(
        default=False,
        description="send setpoints to OCPP 2.1 stations as dynamic profiles: a new value for the same time is a"
        " short update instead of a new profile",
    )
    ocpp_max_offline_s: Positive | None = Field(
        None,
        description="seconds an OCPP 2.1 station keeps a setpoint while it is offline; until the lease ends if unset",
    )
    mqtt_url: str | None = Field(
        None, description="broker of the site gateways, mqtt[s]://[USER:PASSWORD@]HOST:PORT; no MQTT if unset"
    )
    register_maps: Path | None = Field(None, description="folder of Modbus register maps, one NAME.toml a map")
    data_dir: Path = Field(Path(".vpp"), description="folder of the embedded database, the telemetry store and reports")
    db_url: str | None = Field(
        None, description="SQLAlchemy URL of the database; a SQLite file in VPP_DATA_DIR if unset"
    )
    telemetry_url: str | None = Field(
        None,
        description="telemetry store, a folder or an object store (s3://, az://, gs://); in VPP_DATA_DIR if unset, no"
        " store if empty",
    )
    telemetry_days: Positive = Field(400.0, description="days that samples are kept in the telemetry store")
    interval_days: Positive = Field(
        400.0,
        description="days that metered quarters of an hour are kept; longer where a request that is not settled, or a"
        " baseline, needs them",
    )
    frame_days: Positive | None = Field(
        None, description="days that recorded frames are kept for vpp replay; for ever if unset"
    )
    storage_patience_wall_s: Positive = Field(
        2.0,
        description="wall seconds a control cycle waits for its decision to be stored before it continues from memory",
    )
    standby: bool = Field(
        default=False,
        description="begin as a standby even where nobody leads, and lead once a leader's lease has ended",
    )
    leader_ttl_wall_s: float = Field(
        3.0,
        ge=1.0,
        le=60.0,
        description="wall seconds after its last renewal at which the lease of leadership ends and a standby leads; the"
        " same value in all services of a fleet",
    )
    spool_mb: int = Field(
        256,
        gt=0,
        description="memory for what cannot be stored during an outage of the database, MiB: above it the service"
        " stops because of decisions, and drops the oldest samples",
    )
    bus_url: str = Field(
        "memory:", description="bus to the gateways, nats://HOST:PORT; memory: if devices connect to the service itself"
    )
    fleet_id: str | None = Field(
        None,
        pattern=r"^[\w-]{1,64}$",
        description="id of the fleet on a bus that several fleets share: letters, digits, _ and -, at most 64; if"
        " unset, a service makes one with its database and a gateway keeps the first it meets in"
        " VPP_DATA_DIR",
    )
    gateway: str | None = Field(
        None,
        pattern=r"^[\w-]{1,64}$",
        description="name of this gateway: letters, digits, _ and -, at most 64; host and process id if unset",
    )
    gateway_flush_wall_s: Positive = Field(
        0.05, description="wall seconds a gateway collects telemetry before it sends it to the service"
    )
    gateway_lost_wall_s: Positive = Field(
        5.0,
        description="wall seconds without a message after which a gateway counts as lost; the same value in all"
        " processes",
    )
    api_token: str | None = Field(
        None, description="bearer token required in every API call; none is required if unset"
    )
    log_level: str = Field("info", description="least severe level that is logged: debug, info, warning or error")
    log_json: bool = Field(default=False, description="log one JSON object a line instead of text")

    clock_speed: Positive = Field(
        1.0,
        description="speed of the clock for tests and demonstrations, clock seconds per wall second; 1 in operation",
    )
    clock_anchor_s: float = Field(0.0, description="time the clock shows at VPP_CLOCK_ANCHOR_WALL_S, UTC epoch seconds")
    clock_anchor_wall_s: float = Field(
        0.0, description="wall time at which the clock shows VPP_CLOCK_ANCHOR_S, epoch seconds"
    )
    clock_pace: Path | None = Field(
        None,
        description="file through which the processes of one simulation share a clock that waits for the slowest,"
        " made by vpp demo; the other clock settings do not apply then",
    )

    cycle_s: Positive = Field(10.0, description="seconds between two control cycles")
    regulation_s: Positive = Field(2.0, description="seconds between two setpoints towards a regulation signal")
    plan_period_s: Positive = Field(900.0, description="seconds between two plans")
    plan_deadline_wall_s: Positive = Field(
        60.0,
        description="wall seconds a plan may take; after that the previous plan stays in force, or the safe default",
    )
    sample_s: Positive = Field(60.0, description="seconds between two measurements of a device")
    holidays: Path | None = Field(
        None,
        description="public holidays and worked weekends by year, TOML file, for years announced after this release",
    )
    programme: Path | None = Field(
        None,
        description="rules by which requests are measured and settled (baseline methods, windows, bands, prices), TOML"
        " file; the shipped programme if unset",
    )
    stale_s: Positive = Field(
        180.0, description="seconds after which a measurement is stale and its device is not counted on"
    )
    call_timeout_s: Positive = Field(60.0, description="seconds a device may take to answer")
    lease_s: Positive = Field(
        300.0,
        description="seconds a setpoint holds unless renewed, twice as long at chargers (class ev); a device that hears"
        " no more falls back to its default within it",
    )
    ramp_minutes: Positive = Field(
        10.0, description="minutes of the ramp before a request's start, unless the request names its own"
    )
    release_minutes: Positive = Field(15.0, description="minutes of the staged release after a request")
    rebound_watch_minutes: Positive = Field(
        60.0, description="minutes after the release in which the rebound is measured and held below its cap"
    )
    regulation_kw: Positive | None = Field(
        None,
        description="power (kW) of stationary storage that plans leave free in both directions, to be offered as"
        " regulation",
    )
    quote_valid_s: Positive = Field(300.0, description="seconds in which a quote can be accepted")
    quote_certain_ratio: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="share of a request's target, 0 to 1, that has to be deliverable with nine chances in ten for the"
        " verdict feasible, where the request itself asks for less; with 0 even chances decide alone",
    )
    regulation_score: float = Field(
        0.95,
        ge=0.0,
        le=1.0,
        description="least performance score (PJM), 0 to 1, that devices offered for regulation are expected to have"
        " together, from their observed cadence, answer and obedience; with 0 all of them are offered",
    )

    gateway_drain_per_s: Positive | None = Field(
        None, description="connections of stations that a stopping gateway ends per second; all at once if unset"
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
        if self.record_key is not None or self.record_heads is not None:
            record_place(self.data_dir, self.record_key, self.record_heads)
        if self.ocpp_keys is None and self.ocpp_keys_secret is not None:
            raise ValueError("VPP_OCPP_KEYS_SECRET: belongs to a key table; give VPP_OCPP_KEYS as well")
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
        """Place of the telemetry store, ``None`` for no store."""
        if self.telemetry_url is None:
            return str(self.data_dir.resolve() / "telemetry")
        return self.telemetry_url or None

    @property
    def keys_secret(self) -> Path | None:
        """File of the secret of the stations' keys, ``None`` where stations need no key."""
        beside = None if self.ocpp_keys is None else self.ocpp_keys.with_suffix(".secret")
        return self.ocpp_keys_secret or beside

    @property
    def record_place(self) -> tuple[Path, Path]:
        """File of the key and folder of the heads of the journal; raises ConfigurationError."""
        return record_place(self.data_dir, self.record_key, self.record_heads)

    @property
    def archive_place(self) -> Path | None:
        """Folder of the journal's archive, ``None`` for the one beside the database's file."""
        if self.record_archive is None and not self.database_url.startswith("sqlite"):
            return self.data_dir.resolve() / "record"
        return None if self.record_archive is None else self.record_archive.expanduser().resolve()

    @property
    def has_bus(self) -> bool:
        """Devices connect to gateways, which are reached over a bus."""
        return self.bus_url != "memory:"

    @field_validator("ocpp_paths")
    @classmethod
    def _paths(cls, value: str) -> str:
        paths_of(value)
        return value

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.db_url or f"sqlite:///{self.data_dir.resolve() / 'vpp.sqlite3'}"

    def shown(self) -> dict[str, object]:
        """Return every setting by its environment name, secrets hidden."""
        return {f"VPP_{name.upper()}": masked(name, value) for name, value in self.model_dump().items()}

    @classmethod
    def described(cls) -> dict[str, str]:
        """Return what every setting means, by its environment name: description, range and default."""
        return {f"VPP_{name.upper()}": described(field) for name, field in cls.model_fields.items()}

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
            raise ConfigurationError(one_line(error)) from error


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
