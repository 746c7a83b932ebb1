"""Forms of one value in a charging profile, and the order to try them in where a station refuses one.

Stations differ in the purposes they take (lbbrhzn/ocpp#221, evcc-io/evcc#9766), in units (evcc-io/evcc#9838), in
decimals, and in how the end of a profile may be stated. A form that was accepted is on the station's card and comes
first the next time; a refusal alone proves nothing but that another form is worth trying.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit

WHOLE = 1.0
"""Step of whole amperes and whole watts."""


class End(StrEnum):
    """Ways to state the end of a profile; none leaves it in force for ever."""

    ALL = "duration and validity"
    """As OCTT TC_057_CSMS has it."""
    DURATION = "duration"
    VALIDITY = "validity"
    RELATIVE = "relative, with validity"
    """One period and no start: what it counts from (1.6: the transaction's start) makes no difference."""
    PERIODS = "a second period"
    """The value underneath follows as a period of its own, so that nothing need end."""


@dataclass(slots=True)
class SetpointForm:
    """The form of one value. One is made for every instruction, so it is not frozen, but never changed.

    Attributes:
        step: Smallest difference between two values, in ``unit``.
        setpoint: The value is to be taken (2.1 CentralSetpoint), not a ceiling.
        phases: Amperes name the number of phases.
    """

    purpose: ProfilePurpose
    unit: RateUnit
    step: float
    end: End
    setpoint: bool = False
    phases: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What there is to choose from, the best of each first.

    Attributes:
        proven: The first unit and end have been taken by the station before, so that a refusal is about the purpose.
        phases: Amperes name the number of phases; some stations refuse that.
        ceiling: A setpoint may be given as a ceiling instead: nothing is to be discharged.
    """

    purposes: Sequence[ProfilePurpose]
    units: Sequence[RateUnit]
    ends: Sequence[End]
    step: float
    setpoint: bool = False
    proven: bool = False
    phases: bool = True
    ceiling: bool = False


def forms(choice: Choice) -> Iterator[SetpointForm]:
    """Iterate ways: the best known, then one thing changed at a time, then purpose and unit together."""
    best = SetpointForm(
        purpose=choice.purposes[0],
        unit=choice.units[0],
        step=choice.step,
        end=choice.ends[0],
        setpoint=choice.setpoint,
        phases=choice.phases,
    )
    yield best
    whole = replace(best, step=WHOLE)
    purposes = [replace(whole, purpose=purpose) for purpose in choice.purposes[1:]]
    # Amperes with decimals first: one refusal of watts that meant nothing must not cost a driver half an ampere.
    fine = [replace(best, unit=unit) for unit in choice.units[1:] if unit is RateUnit.A and choice.step < WHOLE]
    units = [*fine, *(replace(whole, unit=unit) for unit in choice.units[1:])]
    yield whole
    if whole.unit is RateUnit.A:
        yield replace(whole, phases=not choice.phases)
    yield from [*purposes, *units] if choice.proven else [*units, *purposes]
    for end in choice.ends[1:]:
        yield from (replace(form, end=end) for form in (whole, *purposes))
    if choice.ceiling:
        yield replace(whole, setpoint=False)
    for form in purposes:
        yield from (replace(form, unit=unit) for unit in choice.units[1:])
