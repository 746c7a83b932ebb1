"""Shapes of the bodies that a restart folds: an entry is followed only if its body has the shape of its kind."""

from collections.abc import Mapping

from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.official_results import OFFICIAL
from vpp.application.delivery.recovery import ISSUED
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.application.device_memory import FOUND
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.application.loops.slow_loop import PLAN
from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.application.standing.availability_book import AVAILABILITY
from vpp.application.standing.standing_book import STANDING
from vpp.dispatch.commands.command_ledger import Fate
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, VERDICTS
from vpp.dispatch.flexibility.fairness import SHED_TIME
from vpp.dispatch.regulation.agc_signal import SIGNAL
from vpp.dispatch.requests.body_shapes import REVISION_ASKED, SHORTFALL_FLAGGED, transition
from vpp.dispatch.requests.forgotten import FORGOTTEN
from vpp.dispatch.requests.register import REVISION, SHORTFALL, TRANSITION
from vpp.dispatch.tracking_memory import TRACKING
from vpp.domain.request import Direction
from vpp.fleet.members.changes import CHANGED, CONNECTED, LEFT
from vpp.fleet.members.member_codec import KINDS as MEMBER_KINDS
from vpp.record.bodies.fields import Fields, refused
from vpp.record.bodies.shapes import (
    Shape,
    anything,
    column,
    fields,
    flag,
    known_number,
    list_of,
    map_of,
    number,
    of_lengths,
    one_of,
    optional,
    table,
    text,
    tuple_of,
    whole,
    worded_number,
)

_PROMISE = fields(
    {"energy_kwh": known_number, "departure_s": known_number},
    {"floor_kwh": known_number, "opted_out": flag, "boost": flag},
)
_PLUGGED = fields({"session_id": text, "row": whole, "at_s": known_number, "meter_kwh": number})
_EVENTS: Mapping[str, Shape] = {
    "SessionStarted": _PLUGGED,
    "SessionPromised": fields({"session_id": text, "promise": _PROMISE}),
    "SessionEnded": _PLUGGED,
}


def _session(value: object, where: str) -> None:
    event = Fields(value, where).any("event")
    one_of(_EVENTS)(event, f"{where}.event")
    _EVENTS[str(event)](value, where)


_MEMBER_CHANGE = fields(
    {
        "kind": one_of(kind.name for kind in MEMBER_KINDS),
        "position": whole,
        "old": optional(map_of(anything)),
        "new": map_of(anything),
    }
)
_SHARES = fields(
    {
        "operator_id": list_of(text),
        "site_id": list_of(text),
        "energy_kwh": column,
        "settlement_fen": map_of(column),
    }
)
_SPANS = map_of(list_of(tuple_of(known_number, known_number)))
_CALLS = fields(
    {"called": _SPANS, "verified_kw": list_of(tuple_of(text, one_of(Direction), worded_number))},
    {
        "drilled": _SPANS,
        "shown": list_of(
            tuple_of(text, one_of(Direction), worded_number, worded_number, worded_number, anything),
        ),
    },
)
_KNOWN_WINDOW = fields(
    {
        "start_s": known_number,
        "steps": whole,
        "areas": list_of(text),
        "deliverable_kw": table,
        "left_out": text,
    },
    {"class_kw": table},
)
_KNOWN_REQUEST = fields(
    {
        "area": text,
        "direction": one_of(Direction),
        "start_s": known_number,
        "quoted_s": known_number,
        "at_s": known_number,
        "kept": list_of(number),
    }
)
_QUOTED_WINDOWS = fields(
    {
        "at_s": known_number,
        "areas": list_of(text),
        "start_s": table,
        "law_kw": table,
        "quoted_kw": table,
        "learnt": table,
    },
    {"class_kw": table},
)
_HOURS = fields(
    {
        "from_hour": known_number,
        "until_hour": known_number,
        "months": list_of(whole),
        "day_types": list_of(text),
    }
)
_COMMITMENT = fields(
    {
        "id": text,
        "created_s": known_number,
        "actor": text,
        "ended_s": number,
        "key": optional(text),
        "area": text,
        "direction": one_of(Direction),
        "power_kw": known_number,
        "hours": list_of(_HOURS),
        "longest_call_minutes": known_number,
        "calls_a_day": whole,
        "availability_cny_per_mw_h": text,
        "shortfall_cny_per_mw_h": text,
        "call_cny_per_kwh": text,
        "from_s": known_number,
        "until_s": number,
    }
)
_STANDING_ACTS: Mapping[str, Shape] = {
    "entered": fields({"commitment": _COMMITMENT}),
    "ended": fields({"id": text, "at_s": known_number}),
    "forgotten": fields({"ids": list_of(text)}),
}


def _standing(value: object, where: str) -> None:
    act = Fields(value, where).any("act")
    one_of(_STANDING_ACTS)(act, f"{where}.act")
    _STANDING_ACTS[str(act)](value, where)


def _metered(value: object, where: str) -> None:
    tuple_of(list_of(known_number), list_of(number))(value, where)
    if isinstance(value, list | tuple) and not 0 < len(value[0]) == len(value[1]):
        raise refused(where, value, "instants and as many powers, at least one")


_COMMAND_COLUMNS = ("ids", "rows", "layers", "power_kw", "until_s", "free_kw", "source")
_OUTCOME_COLUMNS = ("ids", "rows", "status", "reasons", "at_s")
_OFFICIAL_COLUMNS = ("operator_id", "site_id", "start_s", "energy_kwh", "amount_cny")
_SHED_COLUMNS = ("rows", "shed_s", "debt_kwh")

SHAPES: Mapping[str, Shape] = {
    BASELINE: fields({"request_id": text}),
    CHANGED: fields({"actor": text, "changes": list_of(_MEMBER_CHANGE), "leaving": list_of(whole)}),
    CONNECTED: fields({"resources": whole}),
    CYCLE: fields({"sessions": list_of(_session), "anchors": list_of(tuple_of(whole, known_number))}),
    FORGOTTEN: fields(
        {"ids": list_of(text), "calls": _CALLS, "calls_from_s": known_number, "means_from_s": known_number}
    ),
    FOUND: of_lengths(("rows", "values"), fields({"rows": list_of(whole), "values": list_of(map_of(known_number))})),
    ISSUED: fields(
        {"request_id": text, "delivered_mean_kw": number},
        {"spread_kw": map_of(number), "shares": optional(_SHARES), "version": whole},
    ),
    LEFT: fields({"rows": list_of(whole)}),
    OFFICIAL: of_lengths(
        _OFFICIAL_COLUMNS,
        fields(
            {
                "request_id": text,
                "version": whole,
                "source": text,
                "sha256": text,
                "operator_id": list_of(optional(text)),
                "site_id": list_of(optional(text)),
                "start_s": list_of(number),
                "energy_kwh": list_of(optional(text)),
                "amount_cny": list_of(optional(text)),
            }
        ),
    ),
    OUTCOMES: of_lengths(_OUTCOME_COLUMNS, fields(dict.fromkeys(_OUTCOME_COLUMNS, column))),
    PLAN: fields({}),
    REVISION: REVISION_ASKED,
    SENT: of_lengths(
        _COMMAND_COLUMNS,
        fields({**dict.fromkeys(_COMMAND_COLUMNS, column), "sources": list_of(text), "epoch": whole}),
    ),
    SESSIONS: fields({"start_s": known_number}),
    SHED_TIME: of_lengths(_SHED_COLUMNS, fields({**dict.fromkeys(_SHED_COLUMNS, column), "at_s": number})),
    SHORTFALL: SHORTFALL_FLAGGED,
    SIGNAL: of_lengths(
        ("at_s", "target_kw"),
        fields({"id": text, "at_s": list_of(known_number), "target_kw": list_of(known_number)}),
    ),
    AVAILABILITY: of_lengths(
        ("owner", "kept_kw"),
        fields(
            {"id": text, "start_s": known_number, "available_kw": number, "owner": column, "kept_kw": column},
            {"agreed": tuple_of(known_number, text, text)},
        ),
    ),
    STANDING: _standing,
    TRACKING: fields(
        {"id": text, "memory": map_of(anything), "target_kw": number, "baseline_kw": number, "measured_kw": number},
        {"metered": _metered},
    ),
    TRANSITION: transition,
    VERDICTS: fields({"rows": column, "fate": one_of(Fate)}),
    WINDOWS: fields(
        {
            "at_s": known_number,
            "known": list_of(_KNOWN_WINDOW),
            "requests": list_of(_KNOWN_REQUEST),
            "settled_s": known_number,
            "quoted": optional(_QUOTED_WINDOWS),
        }
    ),
}
