"""Learning from the fate of instructions: a station's card, and the troubles of its rows."""

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


def learn_from_acceptance(
    station: StationState, command: Command, form: SetpointForm, refused: Sequence[Profile]
) -> None:
    """Learn from a value that was accepted after others were refused; others of its make are assumed alike."""
    known, dispatch = station.abilities, command.layer is Layer.DISPATCH
    expected = not refused and station.acceptance.accepts and known.proven and known.purpose is None
    if expected and not station.troubles.mask(command.row):
        return
    learned = replace(known, proven=True, units=_units(known, form.unit), step=_step(known, form, refused))
    if refused and form.unit is RateUnit.A:
        learned = replace(learned, names_phases=form.phases)
    if dispatch:
        learned = replace(learned, end=form.end if refused else known.end)
        learned = _with_purpose(station, command, learned, form, refused)
    if learned != known:
        station.learn(learned)
        station.services.cards.remember(learned)
    station.acceptance = station.acceptance.accepted(dispatch=dispatch)
    _clear(station, command.row, dispatch=dispatch)
    report_card_troubles(station)


def learn_from_refusal(station: StationState, command: Command, *, outright: bool) -> None:
    """Learn from a value that was refused in every form; ``outright`` where the first refusal left no doubt."""
    in_vain = command.layer is Layer.DISPATCH and command.connector in station.transactions
    if in_vain:
        station.acceptance = station.acceptance.refused()
    only_metered = not station.acceptance.accepts and (outright or in_vain)
    trouble = Trouble.MEASURED_ONLY if only_metered else Trouble.REFUSES_LIMITS
    station.troubles.set(command.row, trouble, present=True)


def report_card_troubles(station: StationState) -> None:
    """State the troubles that follow from a card, for every row of its station."""
    known, troubles = station.abilities, station.troubles
    whole, unit = known.step == WHOLE, known.units[0] if known.units else None
    for row in station.rows.values():
        troubles.set(row, Trouble.WHOLE_AMPERES_ONLY, whole and unit is RateUnit.A)
        troubles.set(row, Trouble.WHOLE_WATTS_ONLY, whole and unit is RateUnit.W)


def _units(known: Abilities, unit: RateUnit) -> tuple[RateUnit, ...]:
    return (unit, *(other for other in known.units or () if other is not unit))


def _step(known: Abilities, form: SetpointForm, refused: Sequence[Profile]) -> float | None:
    """Return the step: whole where the same form with decimals was refused, unknown in another unit."""
    if known.units and form.unit is not known.units[0]:
        return None
    same = [p for p in refused if (p.purpose, p.wire.unit, p.end) == (form.purpose, form.unit, form.end)]
    return WHOLE if same and form.step == WHOLE else known.step


def _with_purpose(
    station: StationState, command: Command, learned: Abilities, form: SetpointForm, refused: Sequence[Profile]
) -> Abilities:
    """Return a card with the purpose that was accepted while a transaction was known to run."""
    running = station.certain_transaction(command.connector)
    if running is None:
        return learned
    tx = form.purpose is ProfilePurpose.TX
    refuses = not tx and (learned.refuses_tx or any(p.purpose is ProfilePurpose.TX for p in refused))
    if tx:
        station.acceptance = station.acceptance.tx_accepted()
    elif any(profile.purpose is ProfilePurpose.TX for profile in refused):
        station.acceptance = station.acceptance.tx_refused(running.id)
    station.troubles.set(command.row, Trouble.REFUSES_TX_PROFILE, refuses)
    return replace(learned, purpose=None if tx else form.purpose, refuses_tx=refuses)


def _clear(station: StationState, row: int, *, dispatch: bool) -> None:
    station.troubles.set(row, Trouble.MEASURED_ONLY, present=False)
    if dispatch:
        station.troubles.set(row, Trouble.REFUSES_LIMITS, present=False)
