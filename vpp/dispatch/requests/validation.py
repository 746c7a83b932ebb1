"""Validation of drafts: each refusal names the field and what is accepted."""

from collections.abc import Collection
from datetime import datetime, timedelta
from math import isfinite

from vpp.dispatch.settings import DraftLimits
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import CITY, Direction, Product, RequestDraft
from vpp.domain.units import SECONDS_PER_MINUTE

_DIRECTION_OF = {Product.PEAK_SHAVING: Direction.UP, Product.VALLEY_FILLING: Direction.DOWN}


def check_draft(draft: RequestDraft, *, now: datetime, known_areas: Collection[str], limits: DraftLimits) -> None:
    """Refuse an invalid draft.

    Raises:
        InputError: A field is out of range; its ``field`` names it.
        UnknownIdError: There is no such area.
    """
    _check_amounts(draft, limits)
    if draft.area != CITY and draft.area not in known_areas:
        raise UnknownIdError("area", draft.area)
    expected = _DIRECTION_OF.get(draft.product, draft.direction)
    if draft.direction is not expected:
        raise InputError("direction", draft.direction.value, f"{expected.value!r} for {draft.product.value}")
    _check_drill(draft)
    _check_window(draft, limits)
    _check_notice(draft, now, limits)


def check_revised(draft: RequestDraft, *, now: datetime, limits: DraftLimits) -> None:
    """Refuse an invalid revision; its start stays.

    Raises:
        InputError: A field is out of range, or the new end is past.
    """
    _check_amounts(draft, limits)
    if draft.end_at <= now:
        raise InputError("end_at", draft.end_at.isoformat(), f"an instant after now, {now.isoformat()}, or cancel")
    _check_window(draft, limits)


def _check_amounts(draft: RequestDraft, limits: DraftLimits) -> None:
    if not (isfinite(draft.target_kw) and draft.target_kw > 0.0):
        raise InputError("target_kw", draft.target_kw, "a finite number above 0, whatever the direction")
    if not 0.0 < draft.tolerance_ratio < 1.0:
        raise InputError("tolerance_ratio", draft.tolerance_ratio, "a share above 0 and below 1")
    if not 0.0 <= draft.min_delivered_ratio <= 1.0:
        raise InputError("min_delivered_ratio", draft.min_delivered_ratio, "a share from 0 to 1")
    if draft.ramp_minutes is not None and not 0.0 <= draft.ramp_minutes <= limits.max_ramp_minutes:
        raise InputError("ramp_minutes", draft.ramp_minutes, f"0 to {limits.max_ramp_minutes:g} minutes")
    if draft.rebound_cap_kw is not None and not (isfinite(draft.rebound_cap_kw) and draft.rebound_cap_kw >= 0.0):
        raise InputError("rebound_cap_kw", draft.rebound_cap_kw, "a finite number of at least 0, or nothing")


def _check_drill(draft: RequestDraft) -> None:
    if not 0.0 < draft.drawn_ratio <= 1.0:
        raise InputError("drawn_ratio", draft.drawn_ratio, "a share above 0, at most 1")
    if draft.drawn_ratio < 1.0 and not draft.is_drill:
        raise InputError("drawn_ratio", draft.drawn_ratio, "1 for a call: only drills are for a drawn part")
    if draft.is_drill and draft.product is Product.REGULATION:
        raise InputError("purpose", draft.purpose.value, "'call' for regulation: a drill holds one power")


def _check_window(draft: RequestDraft, limits: DraftLimits) -> None:
    for field, instant in (("start_at", draft.start_at), ("end_at", draft.end_at)):
        if instant.utcoffset() is None:
            raise InputError(field, instant.isoformat(), "an instant with an offset")
    if draft.end_at <= draft.start_at:
        raise InputError("end_at", draft.end_at.isoformat(), f"an instant after start_at {draft.start_at.isoformat()}")
    minutes = (draft.end_at - draft.start_at).total_seconds() / SECONDS_PER_MINUTE
    if not limits.min_hold_minutes <= minutes <= limits.max_hold_minutes:
        accepted = f"{limits.min_hold_minutes:g} to {limits.max_hold_minutes:g} minutes after start_at"
        raise InputError("end_at", draft.end_at.isoformat(), accepted)


def _check_notice(draft: RequestDraft, now: datetime, limits: DraftLimits) -> None:
    if draft.start_at < now:
        raise InputError("start_at", draft.start_at.isoformat(), f"an instant that is not past, now {now.isoformat()}")
    minutes = limits.min_notice_minutes.get(draft.notice_class, 0.0)
    earliest = now + timedelta(minutes=minutes)
    if draft.start_at < earliest:
        accepted = f"{earliest.isoformat()} or later: {draft.notice_class.value} needs {minutes:g} minutes of notice"
        raise InputError("start_at", draft.start_at.isoformat(), accepted)
