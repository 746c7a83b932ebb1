"""Instructions carried out, in any version: a value is written in the form that the station accepts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from adapters.ocpp.control import learning
from adapters.ocpp.control.scripts import (
    ACCEPTED,
    DEFAULT_STACK_LEVEL,
    DISPATCH_STACK_LEVEL,
    EXPIRED,
    HEADSTART_S,
    REFUSED,
    UNSUPPORTED,
    Dialect,
    Profile,
    Script,
    Verdict,
    judge,
    wants_setpoint,
)
from adapters.ocpp.messages.ocpp_j import Answer, Call, Version
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import NameplateRecord
from adapters.ocpp.profiles.power_units import FINEST_STEP, RateUnit, WireValue
from adapters.ocpp.profiles.profile_ids import OWN_DEFAULT, RESTATED, profile_id
from adapters.ocpp.profiles.setpoint_forms import WHOLE, Choice, End, SetpointForm, forms
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_records import Command, InstalledProfile
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import Layer, OutcomeStatus

_TX, _TX_DEFAULT, _STATION_MAX = ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT, ProfilePurpose.STATION_MAX
_ALL, _PERIODS = End.ALL, End.PERIODS
_UNKNOWN_ACTION = "NotImplemented"
_TRIES_OF_ALL = 24
"""More forms than there are for any station."""
_REPEATS = 3
"""How often a default is repeated as it is: one refusal in thirty is an accident, and a default stays for long."""
_TRIES_OF_THE_REFUSING = 3
"""Forms that are tried with a station that has refused a dispatch value in all of them since its boot."""


def carry_out(dialect: Dialect, station: StationState, command: Command) -> Script:
    """Return the script of one instruction."""
    if command.layer is Layer.RELEASE:
        return _release(dialect, station, command)
    return _install(dialect, station, command)


def install_default(dialect: Dialect, station: StationState, connector: int) -> Script:
    """Return the script that installs the default value; it is repeated after a refusal."""
    row = station.rows[connector]
    command = Command(
        id=OWN_DEFAULT,
        row=row,
        connector=connector,
        layer=Layer.DEFAULT,
        power_kw=station.default_kw(row),
        until_s=math.inf,
    )
    return (yield from _install(dialect, station, command, again=True))


def restoration_of(installed: InstalledProfile, connector: int, row: int) -> Command:
    """Return the instruction that restores a value in force at a station that may have lost it by a boot."""
    return Command(
        id=RESTATED,
        row=row,
        connector=connector,
        layer=Layer.DISPATCH,
        power_kw=installed.power_kw,
        until_s=installed.until_s,
        quiet=True,
        again=True,
    )


def _install(dialect: Dialect, station: StationState, command: Command, *, again: bool = False) -> Script:
    """Write a value in the best form known, then in others.

    A refusal may be an accident, so ``again`` repeats the first a few times, unless a fraction may be its cause.
    """
    now_s = station.services.clock.now_s()
    refusal = _before_sending(dialect, station, command, now_s)
    if refusal is not None:
        return refusal
    first, tried = ACCEPTED, list[Profile]()
    for form in _forms(dialect, station, command):
        profile = _profile(dialect, station, command, form, now_s=now_s)
        if profile in tried:
            continue
        answer = yield _call(dialect, station, command, profile)
        repeats = _REPEATS if again and not tried and profile.wire.value % 1 == 0 else 0
        while repeats and judge(answer) is REFUSED:
            answer = yield _call(dialect, station, command, profile)
            repeats -= 1
        station.answered_in(answer.took_s)
        verdict = judge(answer)
        if verdict is ACCEPTED:
            learning.learn_from_acceptance(station, command, form, tried)
            for installed in _record(station, command, profile):
                yield dialect.clear_profile(installed.profile_id)
                installed_profiles.drop(station, command.row, installed)
            return ACCEPTED
        if verdict.status is OutcomeStatus.UNREACHABLE:
            return verdict
        first = verdict if not tried else first
        tried.append(profile)
        if answer.code == _UNKNOWN_ACTION or len(tried) == _most_tries(station, command):
            break
    learning.learn_from_refusal(station, command, outright=len(tried) == 1)
    return first


def _most_tries(station: StationState, command: Command) -> int:
    """Return how many forms are tried: few where all were refused, or where there is no car and none was accepted."""
    if station.acceptance.refused_all:
        return _TRIES_OF_THE_REFUSING
    idle = command.connector not in station.transactions and not station.acceptance.accepts
    return len(RateUnit) if idle and command.layer is Layer.DISPATCH else _TRIES_OF_ALL


def _call(dialect: Dialect, station: StationState, command: Command, profile: Profile) -> Call:
    installed = _updatable(station, command, profile) if profile.dynamic else None
    return dialect.set_profile(profile) if installed is None else dialect.update_profile(installed.profile_id, profile)


def _before_sending(dialect: Dialect, station: StationState, command: Command, now_s: float) -> Verdict | None:
    abilities = station.abilities
    if command.layer is Layer.DISPATCH and command.until_s <= now_s:
        return EXPIRED
    if command.power_kw < 0.0 and not wants_setpoint(dialect, station.nameplate(command.row)):
        return UNSUPPORTED
    if command.power_kw <= 0.0 and abilities.zero_allowed is False and command.layer is Layer.DISPATCH:
        return UNSUPPORTED  # the least it takes is its floor, which is more than was asked for
    if command.layer is Layer.DISPATCH and command.connector not in station.transactions and not _stackable(station):
        return UNSUPPORTED  # the dispatch profile would replace the default it must fall back to
    return None


def _stackable(station: StationState) -> bool:
    level = station.abilities.max_stack_level
    return level is None or level >= DISPATCH_STACK_LEVEL


def _forms(dialect: Dialect, station: StationState, command: Command) -> Iterator[SetpointForm]:
    """Iterate forms to try: the best known first, for it is nearly always accepted; the others once it is refused."""
    best = _best(dialect, station, command)
    if best is not None:
        yield best
    yield from (form for form in forms(_choice(dialect, station, command)) if _possible(station, command, form))


def _best(dialect: Dialect, station: StationState, command: Command) -> SetpointForm | None:
    """Return the first form to try where it is obvious."""
    known, dispatch = station.abilities, command.layer is Layer.DISPATCH
    if known.purpose is not None or not known.units:
        return None
    purpose = _TX if dispatch and station.certain_transaction(command.connector) is not None else _TX_DEFAULT
    if dispatch and purpose is _TX_DEFAULT and not _stackable(station):
        return None
    setpoint = dialect.version is Version.V21 and wants_setpoint(dialect, station.nameplate(command.row))
    end = known.end if dispatch else _ALL
    return SetpointForm(purpose, known.units[0], known.step or FINEST_STEP, end, setpoint, known.names_phases)


def _possible(station: StationState, command: Command, form: SetpointForm) -> bool:
    """Tell whether a form is possible: none above the default on a station that cannot stack profiles."""
    if form.purpose is _STATION_MAX:
        return form.end is not _PERIODS
    above = command.layer is Layer.DISPATCH and form.purpose is _TX_DEFAULT
    return not above or form.end is _PERIODS or _stackable(station)


def _choice(dialect: Dialect, station: StationState, command: Command) -> Choice:
    abilities, dispatch = station.abilities, command.layer is Layer.DISPATCH
    known = abilities.units or ()
    setpoint = wants_setpoint(dialect, station.nameplate(command.row))
    ends = [end for end in End if end is not _PERIODS or abilities.max_periods != 1]
    return Choice(
        purposes=_purposes(station, command, setpoint=setpoint) if dispatch else (_TX_DEFAULT,),
        units=(*known, *(unit for unit in RateUnit if unit not in known)),
        ends=sorted(ends, key=lambda end: end is not abilities.end) if dispatch else (_ALL, End.RELATIVE),
        step=abilities.step or FINEST_STEP,
        setpoint=setpoint,
        proven=abilities.proven,
        phases=abilities.names_phases,
        ceiling=setpoint and command.power_kw >= 0.0,
    )


def _purposes(station: StationState, command: Command, *, setpoint: bool) -> list[ProfilePurpose]:
    """Return the purposes that can carry a dispatch value, the best first.

    A TxProfile needs a transaction that is known to run. The cap of a whole station is the last, and only where no
    other connector is limited by it.
    """
    running, best = station.certain_transaction(command.connector), station.abilities.purpose
    purposes = [_TX_DEFAULT]
    if running is not None:
        purposes.insert(0, _TX)
    if len(station.points) == 1 and not station.particulars.has_others and not setpoint:
        purposes.append(_STATION_MAX)
    if running is None or best is None or station.acceptance.tries_tx_again(running.id):
        return purposes
    return sorted(purposes, key=lambda purpose: purpose is not best)


def _profile(dialect: Dialect, station: StationState, command: Command, form: SetpointForm, *, now_s: float) -> Profile:
    """Return a default at the bottom, or a dispatch value above it; times are those of the station's clock."""
    nameplate, dispatch, services = station.nameplate(command.row), command.layer is Layer.DISPATCH, station.services
    running = station.certain_transaction(command.connector) if form.purpose is _TX else None
    above = dispatch and form.purpose is _TX_DEFAULT and form.end is not _PERIODS
    stack_level = DISPATCH_STACK_LEVEL if above else DEFAULT_STACK_LEVEL
    offset_s = station.clock_offset_s
    return Profile(
        id=profile_id(command.connector, form.purpose, stack_level, command.id),
        connector=0 if form.purpose is _STATION_MAX else command.connector,
        stack_level=stack_level,
        transaction=None if running is None else running.id,
        from_s=math.floor(now_s - offset_s - HEADSTART_S),
        until_s=command.until_s - offset_s if dispatch else None,
        wire=_wire_value(station, command, nameplate, form, command.power_kw),
        setpoint=form.setpoint,
        phases=0 if nameplate.is_dc or not form.phases else nameplate.phases,
        dynamic=dispatch
        and services.profiles.dynamic
        and dialect.version is Version.V21
        and form.end is not End.RELATIVE,
        max_offline_s=services.profiles.max_offline_s if dispatch else None,
        purpose=form.purpose,
        end=form.end,
        after=_wire_value(station, command, nameplate, form, station.default_kw(command.row))
        if form.end is _PERIODS
        else None,
    )


def _wire_value(
    station: StationState, command: Command, nameplate: NameplateRecord, form: SetpointForm, power_kw: float
) -> WireValue:
    """Return a value as written: watts are always whole, for nothing is lost by it."""
    supply, step = station.services.profiles.supply, WHOLE if form.unit is RateUnit.W else form.step
    if form.setpoint:
        return supply.setpoint(power_kw, form.unit, nameplate, step)
    if form.unit is RateUnit.A and nameplate.is_dc:
        point = station.point(command.connector)
        return supply.limit(power_kw, form.unit, nameplate, step, math.nan if point is None else point.car_v)
    return supply.limit(power_kw, form.unit, nameplate, step)


def _updatable(station: StationState, command: Command, profile: Profile) -> InstalledProfile | None:
    """Return the dynamic value in force with the same end, so that an update of its value suffices."""
    installed = installed_profiles.found(station, command.row, tied=profile.transaction is not None)
    same = installed is not None and (installed.purpose, installed.until_s) == (profile.purpose, command.until_s)
    return installed if installed is not None and same and installed.dynamic else None


def _record(station: StationState, command: Command, profile: Profile) -> Sequence[InstalledProfile]:
    """Record a value that is in force now; return values of other purposes that must not stand beside it."""
    row, power_kw, tied = command.row, profile.wire.power_kw, profile.transaction is not None
    if command.layer is Layer.DEFAULT:
        installed_profiles.record_default(station, row, power_kw)
        return ()
    if profile.dynamic and _updatable(station, command, profile) is not None:
        installed_profiles.update(station, row, power_kw, tied=tied)
        return ()
    beside = _beside(station, row, profile.purpose, tied=tied)
    base = profile.after is not None
    installed_profiles.record(
        *(station, command, profile.id, power_kw), purpose=profile.purpose, dynamic=profile.dynamic, base=base
    )
    return beside


def _beside(station: StationState, row: int, purpose: ProfilePurpose, *, tied: bool) -> Sequence[InstalledProfile]:
    """Return values in force that would take precedence over one of ``purpose``, or limit it."""
    same = installed_profiles.found(station, row, tied=tied)
    other = installed_profiles.found(station, row, tied=not tied)
    if other is None and (same is None or same.purpose is purpose):
        return ()
    return [
        installed
        for installed in (same, other)
        if installed is not None
        and installed.purpose is not purpose
        and (installed.purpose is not _TX_DEFAULT or purpose is _STATION_MAX)
    ]


def _release(dialect: Dialect, station: StationState, command: Command) -> Script:
    """Remove the dispatch profiles; a station that knows none of them is released already."""
    known = installed_profiles.at_row(station, command.row)
    for installed in known:
        verdict = yield from _end_profile(dialect, station, command, installed)
        if verdict is not ACCEPTED:
            return verdict
    if not known:
        for call in dialect.clear_dispatch(command.connector):
            verdict = _cleared((yield call))
            if verdict is not ACCEPTED:
                return verdict
    installed_profiles.clear(station, command.row)
    return ACCEPTED


def _end_profile(dialect: Dialect, station: StationState, command: Command, installed: InstalledProfile) -> Script:
    """End one dispatch value.

    One that took the default's place is replaced by the default. A station that does not know a profile which was
    in force may keep it under another id (goecharger/go-eCharger-API-v2#187), and some clear none at all: the default
    value is written in its place, so that the value in force is the one we know of.
    """
    if installed.base:
        return (yield from install_default(dialect, station, command.connector))
    answer = yield dialect.clear_profile(installed.profile_id)
    station.answered_in(answer.took_s)
    verdict = judge(answer)
    if verdict.status is OutcomeStatus.REJECTED and installed.until_s > station.services.clock.now_s():
        over = yield from _overwrite(dialect, station, command, installed)
        verdict = ACCEPTED if over is ACCEPTED else verdict
    return ACCEPTED if answer.status == "Unknown" else verdict


def _overwrite(dialect: Dialect, station: StationState, command: Command, installed: InstalledProfile) -> Script:
    choice = _choice(dialect, station, replace(command, layer=Layer.DISPATCH, power_kw=0.0))
    if installed.purpose not in choice.purposes:
        return REFUSED
    form = replace(next(forms(choice)), purpose=installed.purpose)
    over = replace(restoration_of(installed, command.connector, command.row), power_kw=station.default_kw(command.row))
    profile = _profile(dialect, station, over, form, now_s=station.services.clock.now_s())
    return judge((yield dialect.set_profile(profile)))


def _cleared(answer: Answer) -> Verdict:
    return ACCEPTED if answer.status == "Unknown" else judge(answer)
