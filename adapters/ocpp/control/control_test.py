"""Control test: what a make of station really accepts, found out without moving its power.

The probe is a profile at the dispatch level whose first period is the default value already in force, and whose
odd periods (zero, a tenth above the floor, one phase) begin a day later. A station that honours schedules is not
moved by it; one that applies the first period at once gets the value it has. The probe is removed when the test ends,
and with the next set-up where the test was broken off; one that is forgotten all the same lapses soon after its odd
period has begun.
"""

import math
from collections.abc import Generator
from dataclasses import replace

from adapters.ocpp.control.instructions import install_default
from adapters.ocpp.control.learning import report_card_troubles
from adapters.ocpp.control.scripts import (
    ACCEPTED,
    DEFAULT_STACK_LEVEL,
    DISPATCH_STACK_LEVEL,
    HEADSTART_S,
    Dialect,
    Pause,
    ProbePeriod,
    Profile,
    Script,
)
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call
from adapters.ocpp.profiles.power_units import FINEST_STEP, RateUnit, WireValue
from adapters.ocpp.profiles.profile_ids import PROBE_PROFILE_ID
from adapters.ocpp.station.capability_cards import Abilities
from adapters.ocpp.station.station_state import StationState
from vpp.domain.units import SECONDS_PER_DAY

LATER_S = SECONDS_PER_DAY
"""When the odd period of a probe begins: beyond any error of a station's clock."""
_ODD_S = 60.0
"""Length of the odd period."""
_WHOLE_STEP = 1.0


def control_test(dialect: Dialect, station: StationState) -> Script:
    """Return the script that fills a station's card; it ends at once where the make is known or must not be tested."""
    services = station.services
    if not services.profiles.control_test:
        return ACCEPTED
    if services.cards.may_keep_probe(station.id, station.abilities):
        yield from _clear(dialect, station)
    if not services.cards.begin_test(station.abilities):
        return ACCEPTED
    services.cards.note_probed(station.id)
    try:
        yield from _test(dialect, station)
    finally:
        services.cards.end_test(station.abilities)
    if station.abilities.tested:
        services.cards.remember(station.abilities)
        station.acceptance = station.acceptance.accepted(dispatch=False)
        report_card_troubles(station)
    return ACCEPTED


def _clear(dialect: Dialect, station: StationState) -> Generator[Call, Answer, None]:
    """Remove the probe; where that is not answered, or with an error, it is removed with the next set-up."""
    answer = yield dialect.clear_profile(PROBE_PROFILE_ID)
    if answer.kind is AnswerKind.RESULT:
        station.services.cards.note_cleared(station.id)


def _test(dialect: Dialect, station: StationState) -> Generator[Call | Pause, Answer, None]:
    probe = _Probe(dialect, station)
    unit = yield from probe.find_unit()
    found = None if unit is None else (yield from probe.findings(unit))
    yield from _clear(dialect, station)
    if found is not None:
        station.learn(found)
    if probe.replaces_default:
        yield from install_default(dialect, station, min(station.rows))


class _Probe:
    """Probing profiles."""

    def __init__(self, dialect: Dialect, station: StationState) -> None:
        self._dialect = dialect
        self._station = station
        self._connector = min(station.rows)
        self._nameplate = station.nameplate(station.rows[self._connector])
        self._level = DISPATCH_STACK_LEVEL

    @property
    def replaces_default(self) -> bool:
        """Whether the last probe stood in the place of the default."""
        return self._level == DEFAULT_STACK_LEVEL

    def find_unit(self) -> Generator[Call, Answer, RateUnit | None]:
        """Return the unit a plain profile is accepted in, on the dispatch level or, failing that, on the lowest."""
        for self._level in (DISPATCH_STACK_LEVEL, DEFAULT_STACK_LEVEL):
            for unit in self._station.abilities.units or tuple(RateUnit):
                if (yield from self.is_accepted(unit, None)):
                    return unit
        return None

    def findings(self, unit: RateUnit) -> Generator[Call, Answer, Abilities]:
        """Return the station's abilities with what it takes in ``unit``."""
        nameplate, known = self._nameplate, self._station.abilities
        zero = yield from self.is_accepted(unit, ProbePeriod(value=0.0))
        supply = self._station.services.profiles.supply
        floor = math.ceil(supply.limit(nameplate.floor_kw, unit, nameplate).value) + FINEST_STEP
        tenth = yield from self.is_accepted(unit, ProbePeriod(value=floor))
        one_phase = False
        if unit is RateUnit.A and nameplate.phases > 1 and not nameplate.is_dc:
            one_phase = yield from self.is_accepted(unit, ProbePeriod(value=math.ceil(floor), phases=1))
        return replace(
            known,
            units=(unit, *(u for u in known.units or () if u is not unit)),
            zero_allowed=zero,
            step=FINEST_STEP if tenth else _WHOLE_STEP,
            phase_switching=one_phase,
            max_stack_level=0 if self.replaces_default else known.max_stack_level,
            tested=True,
            proven=True,
        )

    def is_accepted(self, unit: RateUnit, extra: ProbePeriod | None) -> Generator[Call, Answer, bool]:
        """Tell whether a probe is accepted; stations refuse now and then without cause, so it is sent twice."""
        for _ in range(2):
            answer = yield self._dialect.probe(self._profile(unit), extra, LATER_S)
            self._station.answered_in(answer.took_s)
            if answer.kind is AnswerKind.RESULT and answer.status == "Accepted":
                return True
        return False

    def _profile(self, unit: RateUnit) -> Profile:
        services, row = self._station.services, self._station.rows[self._connector]
        default_kw = self._station.default_kw(row)
        wire: WireValue = services.profiles.supply.limit(default_kw, unit, self._nameplate, _WHOLE_STEP)
        from_s = services.clock.now_s() - self._station.clock_offset_s - HEADSTART_S
        return Profile(
            id=PROBE_PROFILE_ID,
            connector=self._connector,
            stack_level=self._level,
            transaction=None,
            from_s=from_s,
            until_s=from_s + LATER_S + _ODD_S,
            wire=wire,
            setpoint=False,
            phases=0 if self._nameplate.is_dc else self._nameplate.phases,
        )
