"""What the fate of instructions teaches of a station: its card, and what is the matter with its rows."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.ocpp.control.scripts import Profile
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.profiles.setpoint_forms import WHOLE, SetpointForm
from adapters.ocpp.station.capability_cards import Abilities
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState
from vpp.domain.setpoint import Layer
from vpp.domain.trouble import Trouble


def taken(charger: StationState, command: Command, way: SetpointForm, refused: Sequence[Profile]) -> None:
    """Learn from a value that was taken after others were refused; its like are believed to be alike."""
    known, dispatch = charger.abilities, command.layer is Layer.DISPATCH
    expected = not refused and charger.takes and known.proven and known.purpose is None
    if expected and not charger.troubles.mask(command.row):
        return
    learned = replace(known, proven=True, units=_units(known, way.unit), step=_step(known, way, refused))
    if refused and way.unit is RateUnit.A:
        learned = replace(learned, names_phases=way.phases)
    if dispatch:
        learned = replace(learned, end=way.end if refused else known.end)
        learned = _with_purpose(charger, command, learned, way, refused)
    if learned != known:
        charger.learn(learned)
        charger.services.cards.remember(learned)
    charger.takes, charger.refused_all = True, charger.refused_all and not dispatch
    _clear(charger, command.row, dispatch=dispatch)
    show(charger)


def refused(charger: StationState, command: Command, *, outright: bool) -> None:
    """Learn from a value that was refused in every way; ``outright`` where the first refusal left no doubt."""
    in_vain = command.layer is Layer.DISPATCH and command.connector in charger.transactions
    charger.refused_all = charger.refused_all or in_vain
    only_metered = not charger.takes and (outright or in_vain)
    trouble = Trouble.MEASURED_ONLY if only_metered else Trouble.REFUSES_LIMITS
    charger.troubles.set(command.row, trouble, present=True)


def show(charger: StationState) -> None:
    """State the troubles that a card amounts to, for every row of its station."""
    known, troubles = charger.abilities, charger.troubles
    whole, unit = known.step == WHOLE, known.units[0] if known.units else None
    for row in charger.rows.values():
        troubles.set(row, Trouble.WHOLE_AMPERES_ONLY, whole and unit is RateUnit.A)
        troubles.set(row, Trouble.WHOLE_WATTS_ONLY, whole and unit is RateUnit.W)


def _units(known: Abilities, unit: RateUnit) -> tuple[RateUnit, ...]:
    return (unit, *(other for other in known.units or () if other is not unit))


def _step(known: Abilities, way: SetpointForm, refused: Sequence[Profile]) -> float | None:
    """Return the step: whole where the same way but for its decimals was refused, unknown in another unit."""
    if known.units and way.unit is not known.units[0]:
        return None
    same = [p for p in refused if (p.purpose, p.told.unit, p.end) == (way.purpose, way.unit, way.end)]
    return WHOLE if same and way.step == WHOLE else known.step


def _with_purpose(
    charger: StationState, command: Command, learned: Abilities, way: SetpointForm, refused: Sequence[Profile]
) -> Abilities:
    """Return a card with the purpose that was taken while a transaction was known to run."""
    running = charger.sure(command.connector)
    if running is None:
        return learned
    tx = way.purpose is ProfilePurpose.TX
    refuses = not tx and (learned.refuses_tx or any(p.purpose is ProfilePurpose.TX for p in refused))
    if tx:
        charger.tx_refusals = 0
    elif any(profile.purpose is ProfilePurpose.TX for profile in refused):
        charger.tx_refusals += 1
        charger.tx_refused_in = running.id
    charger.troubles.set(command.row, Trouble.REFUSES_TX_PROFILE, refuses)
    return replace(learned, purpose=None if tx else way.purpose, refuses_tx=refuses)


def _clear(charger: StationState, row: int, *, dispatch: bool) -> None:
    charger.troubles.set(row, Trouble.MEASURED_ONLY, present=False)
    if dispatch:
        charger.troubles.set(row, Trouble.REFUSES_LIMITS, present=False)
