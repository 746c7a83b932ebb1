"""Capability cards: what a station states, what a control test found, what its behaviour showed.

A station's answers depend on its model and firmware far more than on itself, so what one has shown is assumed of
others of its make until they show otherwise; equal stations share one record.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.profiles.setpoint_forms import End


class Offline(StrEnum):
    """What a station does with a dispatch value while it has no connection."""

    UNKNOWN = "unknown"
    KEEPS = "keeps"
    FALLS_BACK = "falls_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What is known of a station, or of its model; ``None`` and empty are unknown.

    Attributes:
        units: Units of limits it accepts, the best first.
        step: Smallest difference between two limits, in the first of ``units``.
        proven: A profile has been taken in the first of ``units``.
        purpose: Purpose that carries a value in a running transaction; ``None`` for a TxProfile.
        refuses_tx: It has refused a TxProfile in a transaction, and taken the value by ``purpose``.
        end: How profiles say when they end.
        zero_allowed: A limit of 0 is taken; else the floor must do and a stop is by other means.
        names_phases: Amperes may name the number of phases.
        phase_switching: ``numberPhases`` 1 is taken by a station of three phases.
        tested: The control test has been gone through.
        follows: Metered power has stayed within limits that were accepted; false once it has not.
        offline: What it did when it was cut off under a dispatch value.
    """

    version: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    units: tuple[RateUnit, ...] | None = None
    max_stack_level: int | None = None
    max_periods: int | None = None
    step: float | None = None
    proven: bool = False
    purpose: ProfilePurpose | None = None
    refuses_tx: bool = False
    end: End = End.ALL
    zero_allowed: bool | None = None
    names_phases: bool = True
    phase_switching: bool | None = None
    tested: bool = False
    follows: bool | None = None
    offline: Offline = Offline.UNKNOWN

    @property
    def make(self) -> tuple[str, str, str, str]:
        """What stations alike have in common."""
        return self.version, self.vendor, self.model, self.firmware

    def with_stated(self, *, units: Sequence[RateUnit], max_stack_level: str, max_periods: str) -> "Abilities":
        """Return them with what a station states of its smart charging; nonsense stays unknown.

        W goes before A, but a unit that has been taken before all others; a level that was refused is not believed.
        """
        best = self.units[0] if self.units and self.proven else None
        stated = tuple(sorted((unit for unit in RateUnit if unit in units), key=lambda unit: unit is not best))
        level = int(max_stack_level) if max_stack_level.isdecimal() else self.max_stack_level
        if self.tested and level is not None and self.max_stack_level is not None:
            level = min(level, self.max_stack_level)
        return replace(
            self,
            units=_with_best(best, stated) or self.units,
            max_stack_level=level,
            max_periods=int(max_periods) if max_periods.isdecimal() else self.max_periods,
        )


class CapabilityCards:
    """One record for all stations that are alike, and the memory of what models can do."""

    def __init__(self) -> None:
        self._one: dict[Abilities, Abilities] = {}
        self._models: dict[tuple[str, str, str, str], Abilities] = {}
        self._testing: set[tuple[str, str, str, str]] = set()
        self._probed: set[str] = set()

    def shared(self, abilities: Abilities) -> Abilities:
        """Return the one record that equals ``abilities``."""
        return self._one.setdefault(abilities, abilities)

    def recall(self, abilities: Abilities) -> Abilities:
        """Return what is known of stations of the same make, ``abilities`` itself if nothing is."""
        return self._models.get(abilities.make, abilities)

    def remember(self, abilities: Abilities) -> None:
        """Keep what a control test or an instruction has found, for every station of the same make."""
        if abilities.model:
            self._models[abilities.make] = replace(abilities, follows=None, offline=Offline.UNKNOWN)

    def begin_test(self, abilities: Abilities) -> bool:
        """Tell whether this station is the one to be tested: its make is unknown and no other's test is under way."""
        make = abilities.make
        known = self._models.get(make)
        if (known is not None and known.tested) or make in self._testing or not abilities.model:
            return False
        self._testing.add(make)
        return True

    def end_test(self, abilities: Abilities) -> None:
        """Allow another station of the make to be tested where this test was inconclusive."""
        self._testing.discard(abilities.make)

    def note_probed(self, station: str) -> None:
        """Take note that the station of this id is probed: until ``note_cleared`` a probe may be left there."""
        self._probed.add(station)

    def note_cleared(self, station: str) -> None:
        """Take note that no probe is left at the station of this id."""
        self._probed.discard(station)

    def may_keep_probe(self, station: str, abilities: Abilities) -> bool:
        """Tell whether a test that was broken off may have left its probe at the station of this id.

        A test before this process began is not remembered: any station of a make that is still unknown may be the one.
        """
        known = self._models.get(abilities.make)
        return station in self._probed or (bool(abilities.model) and (known is None or not known.tested))


def _with_best(best: RateUnit | None, stated: tuple[RateUnit, ...]) -> tuple[RateUnit, ...]:
    """Return stated units, with one that was taken though it is not stated; empty where nothing was stated."""
    return (best, *stated) if stated and best is not None and best not in stated else stated
