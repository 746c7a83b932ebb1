"""Fleets by name: shipped cities and their variants, the demo's fleet, city tables and CSV files of a user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from vpp.domain.errors import InputError
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.charging_sessions import PROMISED_SHARE
from vpp.lab.twin.population.city_model import CityModel, shipped, shipped_path
from vpp.lab.twin.population.fleet_file import fleet_from_csv
from vpp.lab.twin.population.presets import demo_fleet

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "shanghai-2026-electric": ("shanghai-2026", ("electric",)),
    "shanghai-2026-storage-310": ("shanghai-2026", ("storage-310",)),
}
DEMO = "demo"
_SIZES = ("target_kw", "rebound_cap_kw")
_DAY = date(2026, 7, 15)
_DEMO_ASK = {"target_kw": 1_000_000.0, "start": "13:00", "end": "14:00"}
"""More than the demo's fleet has: the run accepts what is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A fleet and the day it is meant for.

    Attributes:
        requests: Fields of ``POST /api/v1/requests`` of the day's requests, see `vpp.lab.simulate.planned_requests`.
        promised_share: Part of what a charger's default could deliver that drivers are promised.
        reserve_windows: Reserve of the service, as in ``VPP_RESERVE_WINDOWS``.
        reserve_recovery_kw: Recharging power between two of them, as in ``VPP_RESERVE_RECOVERY_KW``.
    """

    name: str
    title: str
    fleet: FleetIndex
    day: date
    requests: tuple[Mapping[str, Any], ...] = field(default=())
    promised_share: float = PROMISED_SHARE
    reserve_windows: str = ""
    reserve_recovery_kw: float | None = None


def names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return (*shipped(), *VARIANTS, DEMO)


def preset(name: str, *, scale: float) -> Preset:
    """Return a preset by name, or from a table of that path.

    Raises:
        InputError: There is none, or its table makes no sense.
    """
    if name == DEMO:
        fleet = demo_fleet(scale=scale)
        return Preset(name=name, title="the demo's fleet", fleet=fleet, day=_DAY, requests=(_DEMO_ASK,))
    base, variants = VARIANTS.get(name, (name, ()))
    if name.endswith(".toml"):
        path = Path(name)
    elif base in shipped():
        path = shipped_path(base)
    else:
        raise InputError("--preset", name, f"one of {', '.join(names())}, or a table NAME.toml")
    model = CityModel.read(path, variants=variants)
    return Preset(
        name=name,
        title=model.title,
        fleet=model.fleet(scale=scale),
        day=model.day["date"],
        requests=tuple(_scaled(body, scale) for body in model.day.get("requests", ())),
        promised_share=model.promised_share,
        reserve_windows=_windows(model.day.get("reserve", ()), scale),
        reserve_recovery_kw=scale * model.day["reserve_recovery_kw"] if "reserve_recovery_kw" in model.day else None,
    )


def _scaled(body: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    """Return a request for a city of another size."""
    return {key: scale * value if key in _SIZES else value for key, value in body.items()}


def _windows(reserve: Sequence[Mapping[str, float]], scale: float) -> str:
    """Return reserve windows as a setting, for a city of another size."""
    return ",".join(f"{w['from_hour']:g}-{w['until_hour']:g}={scale * w['need_kw']:.0f}" for w in reserve)


def own_fleet(path: Path) -> Preset:
    """Return a user's own fleet from CSV; the day's request asks for more than it has and accepts what is quoted.

    Raises:
        InputError: A file, column or value is missing or makes no sense, named by row and column.
    """
    return Preset(name=path.name, title=str(path), fleet=fleet_from_csv(path), day=_DAY, requests=(_DEMO_ASK,))
