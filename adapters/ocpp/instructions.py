"""How one instruction is carried out, whatever the version: a value is given in the way the station takes it."""

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice

from adapters.ocpp import learning
from adapters.ocpp.charger import Charger, Command, Lease
from adapters.ocpp.commands import (
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
    wants_setpoint,
)
from adapters.ocpp.profiles import ProfilePurpose
from adapters.ocpp.units import FINEST_STEP, RateUnit, Told
from adapters.ocpp.ways import WHOLE, Choice, End, Way, ways
from adapters.ocpp.wire import Answer, Call, Version
from vpp.domain.setpoint import Layer, OutcomeStatus

_UNKNOWN_ACTION = "NotImplemented"
_TRIES_OF_THE_REFUSING = 3
"""Ways that are tried with a station that has refused them all before."""


def carry_out(dialect: Dialect, charger: Charger, command: Command) -> Script:
    """Return the script of one instruction."""
    if command.layer is Layer.RELEASE:
        return _release(dialect, charger, command)
    return _install(dialect, charger, command)


def install_default(dialect: Dialect, charger: Charger, connector: int) -> Script:
    """Return the script that makes sure the default value lies underneath; a refusal is asked once more."""
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


def _install(dialect: Dialect, charger: Charger, command: Command, *, again: bool = False) -> Script:
    """Give a value in the best way known, then in others.

    A refusal may mean nothing, so ``again`` repeats the first; unless a fraction may be its cause.
    """
    refusal = _before_sending(dialect, charger, command)
    if refusal is not None:
        return refusal
    first, tried = ACCEPTED, list[Profile]()
    for way in _ways(dialect, charger, command):
        profile = _profile(dialect, charger, command, way)
        if profile in tried:
            continue
        answer = yield from _give(dialect, charger, command, profile)
        if again and not tried and judge(answer) is REFUSED and profile.told.value % 1 == 0:
            answer = yield from _give(dialect, charger, command, profile)
        verdict = judge(answer)
        if verdict is ACCEPTED:
            learning.taken(charger, command, way, tried)
            return (yield from _record(dialect, charger, command, profile))
        if verdict.status is OutcomeStatus.UNREACHABLE:
            return verdict
        first = verdict if not tried else first
        tried.append(profile)
        if answer.code == _UNKNOWN_ACTION:
            break
    learning.refused(charger, command, outright=len(tried) == 1)
    return first


def _give(dialect: Dialect, charger: Charger, command: Command, profile: Profile) -> Generator[Call, Answer, Answer]:
    lease = _updatable(charger, command, profile)
    call = dialect.set_profile(profile) if lease is None else dialect.update_profile(lease.profile_id, profile)
    answer = yield call
    charger.ack_s = answer.took_s
    return answer


def _before_sending(dialect: Dialect, charger: Charger, command: Command) -> Verdict | None:
    abilities = charger.abilities
    if command.layer is Layer.DISPATCH and command.until_s <= charger.services.clock.now_s():
        return EXPIRED
    if command.power_kw < 0.0 and not wants_setpoint(dialect, charger.plate(command.row)):
        return UNSUPPORTED
    if command.power_kw <= 0.0 and abilities.zero_allowed is False and command.layer is Layer.DISPATCH:
        return UNSUPPORTED  # the least it takes is its floor, which is more than was asked for
    if command.layer is Layer.DISPATCH and not _stackable(charger) and command.connector not in charger.transactions:
        return UNSUPPORTED  # the dispatch profile would replace the default it must fall back to
    return None


def _stackable(charger: Charger) -> bool:
    level = charger.abilities.max_stack_level
    return level is None or level >= DISPATCH_STACK_LEVEL


def _ways(dialect: Dialect, charger: Charger, command: Command) -> Iterator[Way]:
    """Return what to try, without what cannot be: a default of its own above one the station cannot stack."""
    choice = _choice(dialect, charger, command)
    stackable, dispatch = _stackable(charger), command.layer is Layer.DISPATCH
    possible = (
        way
        for way in ways(choice)
        if not (dispatch and way.purpose is ProfilePurpose.TX_DEFAULT and way.end is not End.PERIODS and not stackable)
        and not (way.purpose is ProfilePurpose.STATION_MAX and way.end is End.PERIODS)
    )
    return islice(possible, _TRIES_OF_THE_REFUSING) if learning.refuses_all(charger, command.row) else possible


def _choice(dialect: Dialect, charger: Charger, command: Command) -> Choice:
    abilities, dispatch = charger.abilities, command.layer is Layer.DISPATCH
    known = abilities.units or ()
    setpoint = wants_setpoint(dialect, charger.plate(command.row))
    ends = [end for end in End if end is not End.PERIODS or abilities.max_periods != 1]
    return Choice(
        purposes=_purposes(charger, command, setpoint=setpoint) if dispatch else (ProfilePurpose.TX_DEFAULT,),
        units=(*known, *(unit for unit in RateUnit if unit not in known)),
        ends=sorted(ends, key=lambda end: end is not abilities.end) if dispatch else (End.ALL, End.RELATIVE),
        step=abilities.step or FINEST_STEP,
        setpoint=setpoint,
        proven=abilities.proven,
        ceiling=setpoint and command.power_kw >= 0.0,
    )


def _purposes(charger: Charger, command: Command, *, setpoint: bool) -> list[ProfilePurpose]:
    """Return the purposes that can carry a dispatch value, the best first.

    A TxProfile needs a transaction that is known to run. The cap of a whole station is the last, and only where no
    other connector suffers from it.
    """
    running, best = charger.sure(command.connector), charger.abilities.purpose
    purposes = [ProfilePurpose.TX_DEFAULT]
    if running is not None:
        purposes.insert(0, ProfilePurpose.TX)
    if len(charger.rows) == 1 and not charger.has_others and not setpoint:
        purposes.append(ProfilePurpose.STATION_MAX)
    if running is None or best is None or charger.tries_tx_again(running.id):
        return purposes
    return sorted(purposes, key=lambda purpose: purpose is not best)


def _profile(dialect: Dialect, charger: Charger, command: Command, way: Way) -> Profile:
    """Return a default at the bottom, or a dispatch value above it; times are those of the station's clock."""
    plate, dispatch, services = charger.plate(command.row), command.layer is Layer.DISPATCH, charger.services
    running = charger.sure(command.connector) if way.purpose is ProfilePurpose.TX else None
    above = dispatch and way.purpose is ProfilePurpose.TX_DEFAULT and way.end is not End.PERIODS
    offset_s = charger.clock_offset_s
    return Profile(
        id=command.id,
        connector=0 if way.purpose is ProfilePurpose.STATION_MAX else command.connector,
        stack_level=DISPATCH_STACK_LEVEL if above else DEFAULT_STACK_LEVEL,
        transaction=None if running is None else running.id,
        from_s=math.floor(services.clock.now_s() - offset_s - HEADSTART_S),
        until_s=command.until_s - offset_s if dispatch else None,
        told=_told(charger, command.row, way, command.power_kw),
        setpoint=way.setpoint,
        phases=plate.phases,
        dynamic=dispatch and services.dynamic and dialect.version is Version.V21 and way.end is not End.RELATIVE,
        max_offline_s=services.max_offline_s if dispatch else None,
        purpose=way.purpose,
        end=way.end,
        after=_told(charger, command.row, way, charger.default_kw(command.row)) if way.end is End.PERIODS else None,
    )


def _told(charger: Charger, row: int, way: Way, power_kw: float) -> Told:
    """Return a value as a station is given it: watts are whole always, for nothing is lost by it."""
    supply = charger.services.supply
    step = WHOLE if way.unit is RateUnit.W else way.step
    return (supply.setpoint if way.setpoint else supply.limit)(power_kw, way.unit, charger.plate(row), step)


def _updatable(charger: Charger, command: Command, profile: Profile) -> Lease | None:
    """Return the dynamic value in force whose end is the same, so that another value is all there is to tell."""
    if not profile.dynamic:
        return None
    lease = charger.leases.get((command.row, profile.transaction is not None))
    return lease if lease is not None and lease.dynamic and lease.until_s == command.until_s else None


def _record(dialect: Dialect, charger: Charger, command: Command, profile: Profile) -> Script:
    """Record a value that is in force now; what another purpose said before must not stand beside it."""
    row, power_kw, tied = command.row, profile.told.power_kw, profile.transaction is not None
    if command.layer is Layer.DEFAULT:
        charger.defaulted(row, power_kw)
        return ACCEPTED
    updated = _updatable(charger, command, profile) is not None
    beside = [] if updated else _beside(charger, row, profile.purpose)
    if updated:
        charger.updated(row, power_kw, tied=tied)
    else:
        charger.dispatched(
            command, power_kw, purpose=profile.purpose, dynamic=profile.dynamic, base=profile.after is not None
        )
    for lease in beside:
        if lease.profile_id != profile.id:  # the same id has replaced it
            yield dialect.clear_profile(lease.profile_id)
        charger.dropped(row, lease)
    return ACCEPTED


def _beside(charger: Charger, row: int, purpose: ProfilePurpose) -> list[Lease]:
    """Return values in force that would go before one of ``purpose``, or limit it."""
    leases = (charger.leases.get((row, True)), charger.leases.get((row, False)))
    return [
        lease
        for lease in leases
        if lease is not None
        and lease.purpose is not purpose
        and (lease.purpose is not ProfilePurpose.TX_DEFAULT or purpose is ProfilePurpose.STATION_MAX)
    ]


def _release(dialect: Dialect, charger: Charger, command: Command) -> Script:
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


def _let_go(dialect: Dialect, charger: Charger, command: Command, lease: Lease) -> Script:
    """End one dispatch value.

    One that took the default's place is replaced by the default. A station that does not know a profile which was
    in force may keep it under another id (goecharger/go-eCharger-API-v2#187): what lies underneath is written in its
    place, so that the value in force is the one we believe.
    """
    if lease.base:
        return (yield from install_default(dialect, charger, command.connector))
    answer = yield dialect.clear_profile(lease.profile_id)
    charger.ack_s = answer.took_s
    if answer.status == "Unknown" and lease.until_s > charger.services.clock.now_s():
        yield from _overwrite(dialect, charger, command, lease)
    return _cleared(answer)


def _overwrite(dialect: Dialect, charger: Charger, command: Command, lease: Lease) -> Generator[Call, Answer, None]:
    choice = _choice(dialect, charger, replace(command, layer=Layer.DISPATCH, power_kw=0.0))
    if lease.purpose not in choice.purposes:
        return
    way = replace(next(ways(choice)), purpose=lease.purpose)
    over = Command(
        id=lease.profile_id,
        row=command.row,
        connector=command.connector,
        layer=Layer.DISPATCH,
        power_kw=charger.default_kw(command.row),
        until_s=lease.until_s,
    )
    yield dialect.set_profile(_profile(dialect, charger, over, way))


def _cleared(answer: Answer) -> Verdict:
    return ACCEPTED if answer.status == "Unknown" else judge(answer)
