"""Requests of the simulated day and their instants of submission, from the preset, a file or the command line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vpp.api.schemas.requests import RequestBody
from vpp.domain.errors import InputError
from vpp.domain.request import RequestDraft
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.calendar import SHANGHAI

SUBMIT_MINUTES_BEFORE = 150.0
"""Lead of a request that states none; an assumption."""

_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_DEFAULTS = {"product": "peak_shaving", "direction": "up", "area": "city", "notice_class": "intraday"}
_OWN = ("submit_minutes_before", "submit_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """A request of the simulated day.

    Attributes:
        submit_s: Epoch seconds at which it is submitted.
        draft: The request.
    """

    submit_s: float
    draft: RequestDraft


def planned_requests(bodies: Sequence[Mapping[str, Any]], day: date, *, name: str = "request") -> list[PlannedRequest]:
    """Return requests in order of submission.

    Args:
        bodies: Fields of ``POST /api/v1/requests``; ``start_at`` and ``end_at`` may also be given as ``start`` and
            ``end``, clock times ``HH:MM`` of the simulated day. ``submit_at`` or ``submit_minutes_before`` say when the
            request is submitted.
        day: The simulated day.
        name: Their source, for messages.

    Raises:
        InputError: A field is not accepted.
    """
    planned = [_planned(body, day, f"{name} {number}") for number, body in enumerate(bodies, start=1)]
    return sorted(planned, key=lambda request: request.submit_s)


def requests_of_days(
    bodies: Sequence[Mapping[str, Any]], first: date, days: int, *, name: str = "request"
) -> list[PlannedRequest]:
    """Return the requests of consecutive days in order of submission.

    One that states a clock time comes every day; one with a date comes once, and not at all where its begin lies
    outside the days.

    Args:
        bodies: As in ``planned_requests``.
        first: The first day.
        days: Number of days.
        name: Their source, for messages.

    Raises:
        InputError: A field is not accepted.
    """
    planned = []
    midnight = datetime(first.year, first.month, first.day, tzinfo=SHANGHAI)
    begin_s, end_s = midnight.timestamp(), (midnight + timedelta(days=days)).timestamp()
    for number, body in enumerate(bodies, start=1):
        daily = _CLOCK.fullmatch(str(body.get("start", body.get("start_at", ""))))
        for day in range(days if daily else 1):
            one = _planned(body, first + timedelta(days=day), f"{name} {number}")
            if daily or days == 1 or begin_s <= one.draft.start_at.timestamp() < end_s:
                planned.append(one)
    return sorted(planned, key=lambda request: request.submit_s)


def request_bodies(text: str) -> list[dict[str, Any]]:
    """Return the requests in one ``--request``: a JSON file, JSON itself, or ``field=value`` pairs between commas.

    Raises:
        InputError: It is none of these.
    """
    if text.lstrip().startswith(("{", "[")):
        return list(_from_json(text, "--request"))
    if "=" in text and not Path(text).is_file():
        return [dict(_pairs(text))]
    path = Path(text)
    if not path.is_file():
        raise InputError("--request", text, "a JSON file, a JSON object, or target_kw=1000000,start=13:00,end=15:00")
    return list(_from_json(path.read_text(encoding="utf-8"), text))


def _from_json(text: str, name: str) -> Iterator[dict[str, Any]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(name, f"line {error.lineno}: {error.msg}", "JSON, one request or a list of them") from error
    for body in content if isinstance(content, list) else [content]:
        if not isinstance(body, dict):
            raise InputError(name, body, "a JSON object with the fields of POST /api/v1/requests")
        yield body


def _pairs(text: str) -> Iterator[tuple[str, Any]]:
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError("--request", pair, "field=value pairs between commas")
        yield key.strip(), _number_or_text(value.strip())


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _planned(body: Mapping[str, Any], day: date, name: str) -> PlannedRequest:
    fields = dict(_DEFAULTS) | {key: value for key, value in body.items() if key not in _OWN}
    for short in ("start", "end"):
        if short in fields:
            fields[f"{short}_at"] = fields.pop(short)
    for key in ("start_at", "end_at"):
        fields[key] = _instant(fields.get(key), day, f"{name} {key}")
    if fields["end_at"] <= fields["start_at"] and _CLOCK.fullmatch(str(body.get("end", body.get("end_at", "")))):
        fields["end_at"] += timedelta(days=1)
    try:
        draft = RequestBody(**fields).draft()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{name} {field}", first.get("input"), first["msg"]) from error
    return PlannedRequest(submit_s=_submit_s(body, day, draft, name), draft=draft)


def _submit_s(body: Mapping[str, Any], day: date, draft: RequestDraft, name: str) -> float:
    if "submit_at" in body:
        return _instant(body["submit_at"], day, f"{name} submit_at").timestamp()
    minutes = body.get("submit_minutes_before", SUBMIT_MINUTES_BEFORE)
    if not isinstance(minutes, int | float) or minutes < 0.0:
        raise InputError(f"{name} submit_minutes_before", minutes, "minutes, 0 or more")
    return draft.start_at.timestamp() - float(minutes) * SECONDS_PER_MINUTE


def _instant(value: object, day: date, name: str) -> datetime:
    text = str(value)
    try:
        if _CLOCK.fullmatch(text):
            hour, minute = (int(part) for part in text.split(":"))
            return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(hours=hour, minutes=minute)
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(name, value, "a clock time such as 13:00, or an ISO 8601 time with offset") from error
    return at if at.tzinfo else at.replace(tzinfo=SHANGHAI)
