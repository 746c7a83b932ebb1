"""Offers of several methods to the rows of a portfolio, and which each row takes."""

from collections.abc import Mapping

import numpy as np

from vpp.domain.telemetry import CodeArray, FloatArray
from vpp.settlement.baselines.method_choice import BEFORE
from vpp.settlement.baselines.methods.evidence import Estimate
from vpp.settlement.baselines.reference_days import Reference

NO_METHOD = 255
"""Code of a row that no method could serve."""


def first_complete(offers: Mapping[int, FloatArray], wanted: CodeArray) -> tuple[FloatArray, CodeArray]:
    """Return each row's wanted offer if it is whole, else meter-before, else 0 and ``NO_METHOD``; and which it was."""
    used = np.full(len(wanted), NO_METHOD, dtype=np.uint8)
    power_kw = np.zeros_like(offers[BEFORE])
    for code, offer in offers.items():
        used[(wanted == code) & np.isfinite(offer).all(axis=1)] = code
    used[(used == NO_METHOD) & np.isfinite(offers[BEFORE]).all(axis=1)] = BEFORE
    for code, offer in offers.items():
        power_kw[used == code] = offer[used == code]
    return power_kw, used


def days_of(reference: Reference, estimates: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Return every reference day of any class, newest first."""
    days = set(reference.days).union(*(found.days for found in estimates.values()))
    return tuple(day.isoformat() for day in sorted(days, reverse=True))


def excluded_by(reference: Reference, estimates: Mapping[str, Estimate]) -> tuple[tuple[str, str], ...]:
    """Return the days that were left out with the reason, those of rule books after the name of the class."""
    named = [(day, f"{name}: {why}") for name, found in estimates.items() for day, why in found.excluded]
    return reference.excluded + tuple(sorted(named, reverse=True))


def notes_of(estimates: Mapping[str, Estimate]) -> tuple[tuple[str, str], ...]:
    """Return why a class has no estimate, by its name."""
    return tuple((name, found.note) for name, found in estimates.items() if found.note)


def instead(got: int) -> str:
    """Return what stands in for a method that has no baseline, in words."""
    return "taken out of the portfolio" if got == NO_METHOD else "meter before control instead"
