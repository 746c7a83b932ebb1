"""Waking of cars that stay asleep after a pause, where an operator has asked for it.

Some cars that were paused do not draw again when they may (evcc-io/evcc#14348, mikuso/ocpp-rpc#81); a change of the
control pilot wakes many of them: no current for a moment, then the least an AC car can take (IEC 61851-1).
Every step stays within the value in force, so that no cap can be exceeded by it, and any instruction that comes
meanwhile ends it.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from adapters.ocpp.profiles.profile_ids import WAKING, command_number
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_records import Command, InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.charging import MIN_AC_A
from vpp.domain.errors import InputError
from vpp.domain.setpoint import Layer
from vpp.domain.trouble import Trouble

STEPS_S = (10.0, 30.0)
"""Duration of the zero limit, then of the least one."""
SOON_S = 2.0
SPARE_S = 60.0
"""Time after which a value in force for waking ends by itself."""
AGAIN_S = 300.0
TRIES = 3
"""Tries after which a sleeping car is left alone until it has charged again."""


@dataclass(frozen=True, slots=True)
class WakeRule:
    """Stations whose cars may be woken: patterns of their model and of their site, with ``*`` and ``?``."""

    model: str
    site: str

    @classmethod
    def read(cls, text: str) -> "tuple[WakeRule, ...]":
        """Return the rules of a list ``MODEL@SITE,MODEL@SITE``; raises InputError."""
        rules = []
        for part in filter(None, (word.strip() for word in text.split(","))):
            model, at, site = part.rpartition("@")
            if not (model and at and site):
                raise InputError("ocpp_wake", part, "MODEL@SITE, in which * stands for anything")
            rules.append(cls(model, site))
        return tuple(rules)

    def allows(self, model: str, site: str) -> bool:
        """Tell whether it applies to a model at a site."""
        return fnmatchcase(model, self.model) and fnmatchcase(site, self.site)


@dataclass(slots=True)
class _Sleeper:
    """A sleeping car: next step and try, value in force before, and whether it has woken."""

    step: int = 0
    awake: bool = False
    tries: int = 0
    due_s: float = -math.inf
    before: InstalledProfile | None = None


class Waker:
    """Schedule of the cars to be woken.

    Args:
        rules: Where waking is wanted.
        site_of: Site of a row.
    """

    def __init__(self, rules: Sequence[WakeRule], site_of: Callable[[int], str]) -> None:
        self._rules = rules
        self._site_of = site_of
        self._sleepers: dict[int, _Sleeper] = {}
        self._times: list[tuple[float, int]] = []

    def trouble_changed(self, row: int, trouble: Trouble, now_s: float, *, present: bool) -> None:
        """Take note of a trouble that has appeared or vanished."""
        if trouble is not Trouble.DOES_NOT_WAKE or not self._rules:
            return
        sleeper = self._sleepers.get(row)
        if sleeper is None and present:
            self._sleepers[row] = _Sleeper()
            heapq.heappush(self._times, (now_s, row))
        elif sleeper is not None and not present and not sleeper.step:
            del self._sleepers[row]
        elif sleeper is not None:
            self._turn(row, sleeper, now_s, awake=not present)

    def _turn(self, row: int, sleeper: _Sleeper, now_s: float, *, awake: bool) -> None:
        """Restore the earlier value at once where a car woke halfway; continue if it has not after all."""
        sleeper.awake = awake
        if awake:
            sleeper.step = len(STEPS_S)
            heapq.heappush(self._times, (now_s, row))

    def due(self, now_s: float) -> Iterator[int]:
        """Iterate the rows whose next step is due."""
        while self._times and self._times[0][0] <= now_s:
            row = heapq.heappop(self._times)[1]
            if row in self._sleepers:
                yield row

    def next(self, station: StationState, row: int, now_s: float) -> Command | None:
        """Return the next step as an instruction, ``None`` where there is nothing to do now."""
        sleeper = self._sleepers[row]
        if sleeper.due_s > now_s and not sleeper.awake:
            return None  # an earlier appointment that is void
        if station.under_way == row:
            heapq.heappush(self._times, (now_s + SOON_S, row))
            return None
        command, wait_s = self._step(station, row, sleeper, now_s), AGAIN_S
        if command is not None and sleeper.step < len(STEPS_S):
            wait_s = STEPS_S[sleeper.step]
            sleeper.step += 1
        else:
            sleeper.tries += sleeper.step > 0
            sleeper.step, sleeper.before = 0, None
        sleeper.due_s = now_s + wait_s
        if sleeper.awake:
            del self._sleepers[row]
        elif sleeper.tries < TRIES:
            heapq.heappush(self._times, (sleeper.due_s, row))
        return command

    def _step(self, station: StationState, row: int, sleeper: _Sleeper, now_s: float) -> Command | None:
        installed, connector = installed_profiles.in_force(station, row), _connector(station, row)
        ours = installed is not None and command_number(installed.profile_id) == WAKING
        if sleeper.step == 0:
            if not self._may(station, row, now_s):
                return None
            sleeper.before = installed
        elif not ours:
            return None  # another instruction has come meanwhile
        if sleeper.step == len(STEPS_S):
            return _restored(row, connector, sleeper.before, now_s)
        least_kw = _least_kw(station, row)
        gives_kw = least_kw if sleeper.step or station.abilities.zero_allowed is False else 0.0
        return Command(
            id=WAKING,
            row=row,
            connector=connector,
            layer=Layer.DISPATCH,
            power_kw=gives_kw,
            until_s=now_s + sum(STEPS_S) + SPARE_S if sleeper.before is None else sleeper.before.until_s,
            quiet=True,
        )

    def _may(self, station: StationState, row: int, now_s: float) -> bool:
        """Tell whether waking is wanted here, and the value in force allows and outlasts it."""
        model, site = station.abilities.model, self._site_of(row)
        installed = installed_profiles.in_force(station, row)
        in_force_kw = station.default_kw(row) if installed is None else installed.power_kw
        lasts = installed is None or installed.until_s > now_s + 2.0 * sum(STEPS_S)
        allowed = any(rule.allows(model, site) for rule in self._rules)
        return allowed and station.online and lasts and in_force_kw >= _least_kw(station, row)


def _connector(station: StationState, row: int) -> int:
    return next(connector for connector, own in station.rows.items() if own == row)


def _least_kw(station: StationState, row: int) -> float:
    nameplate = station.nameplate(row)
    return max(nameplate.floor_kw, station.services.profiles.supply.kw(MIN_AC_A, nameplate.phases))


def _restored(row: int, connector: int, before: InstalledProfile | None, now_s: float) -> Command:
    """Return the instruction that restores the value in force before, or removes the steps."""
    command = Command(
        id=WAKING,
        row=row,
        connector=connector,
        layer=Layer.RELEASE,
        power_kw=math.nan,
        until_s=now_s,
        quiet=True,
    )
    if before is None:
        return command
    return replace(
        command,
        id=command_number(before.profile_id),
        layer=Layer.DISPATCH,
        power_kw=before.power_kw,
        until_s=before.until_s,
    )
