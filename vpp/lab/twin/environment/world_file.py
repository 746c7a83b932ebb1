"""World files: how days differ, what people and devices do, what others take; ``worlds/*.toml``."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vpp.domain.errors import InputError

_FOLDER = Path(__file__).parent / "worlds"
KIND, HOSTILE = "kind", "hostile"

_ROUNDING = 1e-6
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0)]
Knee = Annotated[float, Field(ge=0.0, lt=1.0)]


class _Table(BaseModel):
    """A table of a world file: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Table):
    """A common error of many: standard deviations as shares of the value, by what shares it.

    Attributes:
        city: One draw for all.
        district: One for each area.
        kind: One for each class of resource, or use of charging stations.
        own: One for each site.
    """

    city: Amount = 0.0
    district: Amount = 0.0
    kind: Amount = 0.0
    own: Amount = 0.0


class Days(_Table):
    """How days differ.

    Attributes:
        weather: ``hot_day``, the same every day, or ``year``, the typical year of the shipped EPW file.
        shift_days: Each stretch of days is that of another date, at most so many days away.
        stretch_days: Length of a stretch.
        load_day: Spread of buildings' and plants' load from day to day.
        load_hours: Spread of it within a day.
        hours: Correlation time of the spread within a day.
        day_memory: Correlation of a day with the next.
        saturday_share: Part of the way from a workday to a day of rest that a Saturday goes.
        arrivals: Spread of the number of cars from day to day.
        surges: Spread of it from one quarter of an hour to the next; ``kind`` and ``own`` mean nothing there.
        clouds: Spread of the sun's transmission; ``kind`` means nothing there.
        clouds_s: Correlation time of the clouds.
    """

    weather: Literal["hot_day", "year"] = "hot_day"
    shift_days: Annotated[int, Field(ge=0, le=30)] = 0
    stretch_days: Annotated[int, Field(ge=1, le=30)] = 4
    load_day: Spread = Spread()
    load_hours: Spread = Spread()
    hours: Annotated[float, Field(gt=0.0)] = 3.0
    day_memory: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    saturday_share: Share = 1.0
    arrivals: Spread = Spread()
    surges: Spread = Spread()
    clouds: Spread = Spread()
    clouds_s: Annotated[float, Field(gt=0.0)] = 2400.0


class People(_Table):
    """What drivers and tenants do.

    Attributes:
        silent_share: Share of stations at which nobody states a departure or a wish.
        departure_shares: Shares of sessions, rising from 0 to 1.
        departure_minutes: Actual less stated departure at those shares; for a stay of ``full_stay_h`` and more, less in
            proportion for a shorter one.
        full_stay_h: See there.
        opt_out_per_h: Chance an hour that a driver whose car is held back opts out.
        override_per_h: Chance an hour that tenants of a building that is cut take it back.
        growth_per_h: Increase of both with every hour of a cut, as a share of the first.
        fatigue: Increase of both with every day before on which the same device was cut, as a share of the first.
        override_h: Time for which tenants take it back.
    """

    silent_share: Share = 0.0
    departure_shares: tuple[Share, ...] = (0.0, 1.0)
    departure_minutes: tuple[float, ...] = (0.0, 0.0)
    full_stay_h: Annotated[float, Field(gt=0.0)] = 6.0
    opt_out_per_h: Amount = 0.0
    override_per_h: Amount = 0.0
    growth_per_h: Amount = 0.0
    fatigue: Amount = 0.0
    override_h: Amount = 4.0

    @model_validator(mode="after")
    def _table(self) -> Self:
        shares = self.departure_shares
        if len(shares) != len(self.departure_minutes) or list(shares) != sorted(shares):
            raise ValueError("departure_minutes: as many as departure_shares, which rise")
        return self


class Make(_Table):
    """A make of devices.

    Attributes:
        share: Of all devices.
        ignores: Factor on the share of devices that accept commands and do nothing.
        refuses: Factor on the share of commands that are refused.
    """

    share: Share
    ignores: Amount = 1.0
    refuses: Amount = 1.0


class Cadence(_Table):
    """Seconds by protocol: the least between two reports of a device, or from a reading until the service has it."""

    ocpp: Amount = 0.0
    modbus: Amount = 0.0
    mqtt: Amount = 0.0

    def of(self, protocol: str) -> float:
        """Return that of a protocol, 0 for any other name."""
        return float(self.model_dump().get(protocol, 0.0))


class Devices(_Table):
    """What devices, links and controllers do.

    Attributes:
        makes: Shares add up to 1.
        operator_outages_per_day: Rate at which each operator's devices all lose their links.
        area_outages_per_day: The same of each area.
        outage_hours: Shortest and longest of them.
        meter_bias: Each meter reads wrong by a lasting share, uniform within this.
        sleeper_share: Share of cars that do not draw again after a pause.
        controller_spread: Standard deviation of the lasting error of what a site's controller says it can cut.
        controller_bias: Mean of it; above 0 it says it could go lower than it can.
        knee: Least and greatest share of the wanted energy after which a car tapers.
        states_ceiling: Charging stations tell what the car could take; no OCPP message does while it is limited.
        cadence_s: Least time between two reports, by protocol.
        delay_s: Time from a meter's reading until the service has it, by protocol.
        latency: Factor on the time to answer.
    """

    makes: tuple[Make, ...] = (Make(share=1.0),)
    operator_outages_per_day: Amount = 0.0
    area_outages_per_day: Amount = 0.0
    outage_hours: tuple[Amount, Amount] = (1.0, 4.0)
    meter_bias: Annotated[float, Field(ge=0.0, le=0.2)] = 0.0
    sleeper_share: Share = 0.0
    controller_spread: Amount = 0.02
    controller_bias: float = 0.0
    knee: tuple[Knee, Knee] = (0.85, 0.85)
    states_ceiling: bool = True
    cadence_s: Cadence = Cadence()
    delay_s: Cadence = Cadence()
    latency: Annotated[float, Field(gt=0.0)] = 1.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(make.share for make in self.makes) - 1.0) > _ROUNDING:
            raise ValueError("makes: shares that add up to 1")
        return self


class Network(_Table):
    """What others take behind the same transformers.

    Attributes:
        spread: Standard deviation of the load of others behind a transformer of the lowest level, as a share.
        hours: Its correlation time.
        day: Common spread from day to day.
        tight_share: Share of those transformers at which others alone reach ``tight_peak`` of the cap.
        tight_peak: See there.
    """

    spread: Amount = 0.0
    hours: Annotated[float, Field(gt=0.0)] = 2.0
    day: Amount = 0.0
    tight_share: Share = 0.0
    tight_peak: Amount = 1.0


class World(_Table):
    """A world, as its file states it.

    Attributes:
        title: Name for people.
        hours_known: Reserve windows of a preset are held: the hours of the calls are known beforehand.
    """

    title: str
    hours_known: bool = False
    days: Days = Days()
    people: People = People()
    devices: Devices = Devices()
    network: Network = Network()

    @property
    def is_kind(self) -> bool:
        """Every day is alike, and people and devices do what they said."""
        return (self.days, self.people, self.devices, self.network) == (Days(), People(), Devices(), Network())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a world file.

        Raises:
            OSError: It cannot be read.
            InputError: It is no TOML, or a key is unknown or has a value that makes no sense.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(str(path), str(error), "a TOML file") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{path} {field}", first.get("input"), first["msg"]) from error


KIND_WORLD = World(title=KIND, hours_known=True)
"""The kind world, as its file has it."""


def shipped_worlds() -> tuple[str, ...]:
    """Return the names of the shipped world files."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def world(name: str) -> World:
    """Return a shipped world by name, or that of a file.

    Raises:
        OSError: The file cannot be read.
        InputError: There is none of that name, or it makes no sense.
    """
    if name in shipped_worlds():
        return World.read(_FOLDER / f"{name}.toml")
    if name.endswith(".toml"):
        return World.read(Path(name))
    raise InputError("--world", name, f"one of {', '.join(shipped_worlds())}, or a file NAME.toml")
