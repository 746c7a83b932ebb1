"""How one instruction is carried out, whatever the version: a value is given in the way the station takes it."""

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
    reserved_profile_id,
    restated_profile_id,
    wants_setpoint,
)
from adapters.ocpp.messages.ocpp_j import Answer, Call, Version
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import Plate
from adapters.ocpp.profiles.power_units import FINEST_STEP, RateUnit, Told, is_dc
from adapters.ocpp.profiles.setpoint_forms import WHOLE, Choice, End, SetpointForm, ways
from adapters.ocpp.station.station_records import Command, Lease
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import Layer, OutcomeStatus

_TX, _TX_DEFAULT, _STATION_MAX = ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT, ProfilePurpose.STATION_MAX
_ALL, _PERIODS = End.ALL, End.PERIODS
_UNKNOWN_ACTION = "NotImplemented"
_TRIES_OF_ALL = 24
"""More ways than there are for any station."""
_REPEATS = 3
"""How often a default is repeated as it is: one refusal in thirty means nothing, and a default stays for long."""
_TRIES_OF_THE_REFUSING = 3
"""Ways that are tried with a station that has refused a dispatch value in all of them since its boot."""


def carry_out(dialect: Dialect, charger: StationState, command: Command) -> Script:
    """Return the script of one instruction."""
    if command.layer is Layer.RELEASE:
        return _release(dialect, charger, command)
    return _install(dialect, charger, command)


def install_default(dialect: Dialect, charger: StationState, connector: int) -> Script:
    """Return the script that makes sure the default value lies underneath; a refusal is asked again."""
    row = charger.rows[connector]
    command = Command(
        id=reserved_profile_id(connector),
        row=row,
        connector=connector,
        layer=Layer.DEFAULT,
        power_kw=charger.default_kw(row),
        until_s=math.inf,
    )
    return (yield from _install(dialect, charger, command, again=True))


def again(lease: Lease, connector: int, row: int) -> Command:
    """Return the instruction that gives a value in force once more, to a station that may have lost it by a boot."""
    return Command(
        id=restated_profile_id(connector),
        row=row,
        connector=connector,
        layer=Layer.DISPATCH,
        power_kw=lease.power_kw,
        until_s=lease.until_s,
        quiet=True,
        again=True,
    )


def _install(dialect: Dialect, charger: StationState, command: Command, *, again: bool = False) -> Script:
    """Give a value in the best way known, then in others.

    A refusal may mean nothing, so ``again`` repeats the first a few times; unless a fraction may be its cause.
    """
    now_s = charger.services.clock.now_s()
    refusal = _before_sending(dialect, charger, command, now_s)
    if refusal is not None:
        return refusal
    first, tried = ACCEPTED, list[Profile]()
    for way in _ways(dialect, charger, command):
        profile = _profile(dialect, charger, command, way, now_s=now_s)
        if profile in tried:
            continue
        answer = yield _call(dialect, charger, command, profile)
        repeats = _REPEATS if again and not tried and profile.told.value % 1 == 0 else 0
        while repeats and judge(answer) is REFUSED:
            answer = yield _call(dialect, charger, command, profile)
            repeats -= 1
        charger.ack_s = answer.took_s
        verdict = judge(answer)
        if verdict is ACCEPTED:
            learning.taken(charger, command, way, tried)
            for lease in _record(charger, command, profile):
                if lease.profile_id != profile.id:  # the same id has replaced it
                    yield dialect.clear_profile(lease.profile_id)
                charger.dropped(command.row, lease)
            return ACCEPTED
        if verdict.status is OutcomeStatus.UNREACHABLE:
            return verdict
        first = verdict if not tried else first
        tried.append(profile)
        if answer.code == _UNKNOWN_ACTION or len(tried) == _most_tries(charger, command):
            break
    learning.refused(charger, command, outright=len(tried) == 1)
    return first


def _most_tries(charger: StationState, command: Command) -> int:
    """Return how many ways are tried: few where all were refused, or where there is no car and nothing was taken."""
    if charger.refused_all:
        return _TRIES_OF_THE_REFUSING
    idle = command.connector not in charger.transactions and not charger.takes
    return len(RateUnit) if idle and command.layer is Layer.DISPATCH else _TRIES_OF_ALL


def _call(dialect: Dialect, charger: StationState, command: Command, profile: Profile) -> Call:
    lease = _updatable(charger, command, profile) if profile.dynamic else None
    return dialect.set_profile(profile) if lease is None else dialect.update_profile(lease.profile_id, profile)


def _before_sending(dialect: Dialect, charger: StationState, command: Command, now_s: float) -> Verdict | None:
    abilities = charger.abilities
    if command.layer is Layer.DISPATCH and command.until_s <= now_s:
        return EXPIRED
    if command.power_kw < 0.0 and not wants_setpoint(dialect, charger.plate(command.row)):
        return UNSUPPORTED
    if command.power_kw <= 0.0 and abilities.zero_allowed is False and command.layer is Layer.DISPATCH:
        return UNSUPPORTED  # the least it takes is its floor, which is more than was asked for
    if command.layer is Layer.DISPATCH and command.connector not in charger.transactions and not _stackable(charger):
        return UNSUPPORTED  # the dispatch profile would replace the default it must fall back to
    return None


def _stackable(charger: StationState) -> bool:
    level = charger.abilities.max_stack_level
    return level is None or level >= DISPATCH_STACK_LEVEL


def _ways(dialect: Dialect, charger: StationState, command: Command) -> Iterator[SetpointForm]:
    """Iterate what to try: the best known at once, for it is nearly always taken; the others once it is refused."""
    best = _best(dialect, charger, command)
    if best is not None:
        yield best
    yield from (way for way in ways(_choice(dialect, charger, command)) if _possible(charger, command, way))


def _best(dialect: Dialect, charger: StationState, command: Command) -> SetpointForm | None:
    """Return the first of the ways to try where that is plain to see."""
    known, dispatch = charger.abilities, command.layer is Layer.DISPATCH
    if known.purpose is not None or not known.units:
        return None
    purpose = _TX if dispatch and charger.sure(command.connector) is not None else _TX_DEFAULT
    if dispatch and purpose is _TX_DEFAULT and not _stackable(charger):
        return None
    setpoint = dialect.version is Version.V21 and wants_setpoint(dialect, charger.plate(command.row))
    end = known.end if dispatch else _ALL
    return SetpointForm(purpose, known.units[0], known.step or FINEST_STEP, end, setpoint, known.names_phases)


def _possible(charger: StationState, command: Command, way: SetpointForm) -> bool:
    """Tell whether a way makes sense: no default of its own above one that the station cannot stack, for one."""
    if way.purpose is _STATION_MAX:
        return way.end is not _PERIODS
    above = command.layer is Layer.DISPATCH and way.purpose is _TX_DEFAULT
    return not above or way.end is _PERIODS or _stackable(charger)


def _choice(dialect: Dialect, charger: StationState, command: Command) -> Choice:
    abilities, dispatch = charger.abilities, command.layer is Layer.DISPATCH
    known = abilities.units or ()
    setpoint = wants_setpoint(dialect, charger.plate(command.row))
    ends = [end for end in End if end is not _PERIODS or abilities.max_periods != 1]
    return Choice(
        purposes=_purposes(charger, command, setpoint=setpoint) if dispatch else (_TX_DEFAULT,),
        units=(*known, *(unit for unit in RateUnit if unit not in known)),
        ends=sorted(ends, key=lambda end: end is not abilities.end) if dispatch else (_ALL, End.RELATIVE),
        step=abilities.step or FINEST_STEP,
        setpoint=setpoint,
        proven=abilities.proven,
        phases=abilities.names_phases,
        ceiling=setpoint and command.power_kw >= 0.0,
    )


def _purposes(charger: StationState, command: Command, *, setpoint: bool) -> list[ProfilePurpose]:
    """Return the purposes that can carry a dispatch value, the best first.

    A TxProfile needs a transaction that is known to run. The cap of a whole station is the last, and only where no
    other connector suffers from it.
    """
    running, best = charger.sure(command.connector), charger.abilities.purpose
    purposes = [_TX_DEFAULT]
    if running is not None:
        purposes.insert(0, _TX)
    if len(charger.rows) == 1 and not charger.has_others and not setpoint:
        purposes.append(_STATION_MAX)
    if running is None or best is None or charger.tries_tx_again(running.id):
        return purposes
    return sorted(purposes, key=lambda purpose: purpose is not best)


def _profile(dialect: Dialect, charger: StationState, command: Command, way: SetpointForm, *, now_s: float) -> Profile:
    """Return a default at the bottom, or a dispatch value above it; times are those of the station's clock."""
    plate, dispatch, services = charger.plate(command.row), command.layer is Layer.DISPATCH, charger.services
    running = charger.sure(command.connector) if way.purpose is _TX else None
    above = dispatch and way.purpose is _TX_DEFAULT and way.end is not _PERIODS
    offset_s = charger.clock_offset_s
    return Profile(
        id=command.id,
        connector=0 if way.purpose is _STATION_MAX else command.connector,
        stack_level=DISPATCH_STACK_LEVEL if above else DEFAULT_STACK_LEVEL,
        transaction=None if running is None else running.id,
        from_s=math.floor(now_s - offset_s - HEADSTART_S),
        until_s=command.until_s - offset_s if dispatch else None,
        told=_told(charger, command, plate, way, command.power_kw),
        setpoint=way.setpoint,
        phases=0 if is_dc(plate) or not way.phases else plate.phases,
        dynamic=dispatch and services.dynamic and dialect.version is Version.V21 and way.end is not End.RELATIVE,
        max_offline_s=services.max_offline_s if dispatch else None,
        purpose=way.purpose,
        end=way.end,
        after=_told(charger, command, plate, way, charger.default_kw(command.row)) if way.end is _PERIODS else None,
    )


def _told(charger: StationState, command: Command, plate: Plate, way: SetpointForm, power_kw: float) -> Told:
    """Return a value as a station is given it: watts are whole always, for nothing is lost by it."""
    supply, step = charger.services.supply, WHOLE if way.unit is RateUnit.W else way.step
    if way.setpoint:
        return supply.setpoint(power_kw, way.unit, plate, step)
    if way.unit is RateUnit.A and is_dc(plate):
        post = charger.known_post(command.connector)
        return supply.limit(power_kw, way.unit, plate, step, math.nan if post is None else post.car_v)
    return supply.limit(power_kw, way.unit, plate, step)


def _updatable(charger: StationState, command: Command, profile: Profile) -> Lease | None:
    """Return the dynamic value in force whose end is the same, so that another value is all there is to tell."""
    lease = charger.leases.get((command.row, profile.transaction is not None))
    return lease if lease is not None and lease.dynamic and lease.until_s == command.until_s else None


def _record(charger: StationState, command: Command, profile: Profile) -> Sequence[Lease]:
    """Record a value that is in force now; return what another purpose said before and must not stand beside it."""
    row, power_kw, tied = command.row, profile.told.power_kw, profile.transaction is not None
    if command.layer is Layer.DEFAULT:
        charger.defaulted(row, power_kw)
        return ()
    if profile.dynamic and _updatable(charger, command, profile) is not None:
        charger.updated(row, power_kw, tied=tied)
        return ()
    beside = _beside(charger, row, profile.purpose, tied=tied)
    base = profile.after is not None
    charger.dispatched(command, power_kw, purpose=profile.purpose, dynamic=profile.dynamic, base=base)
    return beside


def _beside(charger: StationState, row: int, purpose: ProfilePurpose, *, tied: bool) -> Sequence[Lease]:
    """Return values in force that would go before one of ``purpose``, or limit it."""
    same, other = charger.leases.get((row, tied)), charger.leases.get((row, not tied))
    if other is None and (same is None or same.purpose is purpose):
        return ()
    return [
        lease
        for lease in (same, other)
        if lease is not None
        and lease.purpose is not purpose
        and (lease.purpose is not _TX_DEFAULT or purpose is _STATION_MAX)
    ]


def _release(dialect: Dialect, charger: StationState, command: Command) -> Script:
    """Take the dispatch profiles away; a station that knows none of them has nothing to be released from."""
    known = charger.dispatch_leases(command.row)
    for lease in known:
        verdict = yield from _let_go(dialect, charger, command, lease)
        if verdict is not ACCEPTED:
            return verdict
    if not known:
        for call in dialect.clear_dispatch(command.connector):
            verdict = _cleared((yield call))
            if verdict is not ACCEPTED:
                return verdict
    charger.released(command.row)
    return ACCEPTED


def _let_go(dialect: Dialect, charger: StationState, command: Command, lease: Lease) -> Script:
    """End one dispatch value.

    One that took the default's place is replaced by the default. A station that does not know a profile which was
    in force may keep it under another id (goecharger/go-eCharger-API-v2#187), and some clear none at all: what lies
    underneath is written in its place, so that the value in force is the one we believe.
    """
    if lease.base:
        return (yield from install_default(dialect, charger, command.connector))
    answer = yield dialect.clear_profile(lease.profile_id)
    charger.ack_s = answer.took_s
    verdict = judge(answer)
    if verdict.status is OutcomeStatus.REJECTED and lease.until_s > charger.services.clock.now_s():
        over = yield from _overwrite(dialect, charger, command, lease)
        verdict = ACCEPTED if over is ACCEPTED else verdict
    return ACCEPTED if answer.status == "Unknown" else verdict


def _overwrite(dialect: Dialect, charger: StationState, command: Command, lease: Lease) -> Script:
    choice = _choice(dialect, charger, replace(command, layer=Layer.DISPATCH, power_kw=0.0))
    if lease.purpose not in choice.purposes:
        return REFUSED
    way = replace(next(ways(choice)), purpose=lease.purpose)
    over = replace(again(lease, command.connector, command.row), power_kw=charger.default_kw(command.row))
    profile = _profile(dialect, charger, over, way, now_s=charger.services.clock.now_s())
    return judge((yield dialect.set_profile(profile)))


def _cleared(answer: Answer) -> Verdict:
    return ACCEPTED if answer.status == "Unknown" else judge(answer)
