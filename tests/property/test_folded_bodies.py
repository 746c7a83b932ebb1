"""Whatever is changed in the body of an entry that a restart folds: it is followed, or refused by a named error."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_folded_state import fresh, journal
from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, accepted, quote
from vpp.application.cycle_record import session_body
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.official_results import OFFICIAL, official_body
from vpp.application.recovery.body_shapes import SHAPES
from vpp.application.recovery.folded_state import KINDS
from vpp.application.standing.standing_book import commitment_body
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.journal_codec import plain
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import AuditError
from vpp.domain.official_settlement import OfficialLine, OfficialResult
from vpp.domain.request import Direction, Revision, Shortfall
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.standing import StandingCommitment, StandingHours, StandingTerms
from vpp.fleet.members.changes import MemberChange
from vpp.planning.calibration.cells import DIRECTIONS, LENGTH_STEPS
from vpp.planning.calibration.standard_windows import StandardWindows
from vpp.planning.calibration.window_book import KnownRequest, KnownWindow
from vpp.record.bodies.fields import BodyError
from vpp.record.entry import JournalEntry
from vpp.record.stored_body import read_body, stored_body
from vpp.settlement.verified_power import Shown

AT_S = NOW.timestamp()
COMMITMENT = StandingCommitment(
    id="c",
    terms=StandingTerms(
        area="city",
        direction=Direction.UP,
        power_kw=5.0,
        hours=(StandingHours(from_hour=8.0, until_hour=10.0),),
        availability_cny_per_mw_h=Decimal(1),
        shortfall_cny_per_mw_h=Decimal("2.5"),
        from_at=NOW,
    ),
    created_at=NOW,
    actor="x",
)
Entries = Sequence[tuple[str, dict[str, object]]]
"""Kinds and bodies of some entries; the last is the one that is changed."""


def asked() -> list[tuple[str, dict[str, object]]]:
    """Return the transitions of an accepted request."""
    entries: list[tuple[str, dict[str, object]]] = []
    accepted(RequestBook(lambda kind, _at_s, body: entries.append((kind, dict(body))), RequestRules()), DRAFT)
    return entries


def request_id() -> str:
    return str(asked()[0][1]["id"])


def sessions() -> list[dict[str, object]]:
    promise = Promise(energy_kwh=20.0, departure_s=AT_S + 3600.0)
    return [
        session_body(SessionStarted(session_id="~s", row=1, at_s=AT_S, meter_kwh=1.0)),
        session_body(SessionPromised(session_id="~s", promise=promise)),
        session_body(SessionEnded(session_id="~s", row=1, at_s=AT_S, meter_kwh=float("nan"))),
    ]


def windows() -> dict[str, object]:
    shape = (1, len(LENGTH_STEPS), len(DIRECTIONS), 1, 3)
    quoted = StandardWindows(
        at_s=AT_S,
        areas=("city",),
        start_s=np.array([AT_S]),
        law_kw=np.ones(shape),
        quoted_kw=np.ones(shape),
        learnt=np.zeros((len(DIRECTIONS), 2), dtype=np.bool_),
        class_kw=np.ones((1, len(DIRECTIONS), 1, 2)),
    )
    known = KnownWindow(
        start_s=AT_S,
        steps=LENGTH_STEPS[0],
        areas=("city",),
        deliverable_kw=np.ones((2, 1)),
        class_kw=np.ones((2, 1, 2)),
    )
    request = KnownRequest(
        area="city", direction=Direction.UP, start_s=AT_S, quoted_s=AT_S, at_s=AT_S, kept=(1.0, 1.0, 0.0)
    )
    return {
        "at_s": AT_S,
        "known": [known.body()],
        "requests": [request.body()],
        "settled_s": AT_S,
        "quoted": quoted.body(),
    }


@lru_cache
def examples() -> Mapping[str, Entries]:
    """Return entries of every kind that is folded."""
    index, _ = journal("hold")
    revision = Revision(number=1, asked_at=NOW, actor="x", target_kw=1.0, end_at=DRAFT.end_at, quote=quote())
    shortfall = Shortfall(missing_kw=1.0, cause="outage", expected_end_at=NOW)
    line = OfficialLine(operator_id="op-1", site_id="s", start_at=NOW, energy_kwh=Decimal("1.5"))
    result = OfficialResult(request_id="r", version=1, source="grid", at_s=AT_S, sha256="ab", lines=(line, line))
    calls = ForgottenCalls(
        called={"city": ((AT_S, AT_S + 1.0),)},
        shown={("city", Direction.UP): (Shown(kw=5.0, at_s=AT_S, followed_ratio=1.0, is_test=True),)},
    )
    change = MemberChange(kind="resource", position=1, old=index.resources[1], new=index.resources[1])
    shares = {"operator_id": ["a"], "site_id": [""], "energy_kwh": [1.0], "settlement_fen": {"net": [3]}}
    columns = {"ids": [7, 8], "rows": [1, 2]}
    tracking = {"id": "r", "memory": {}, "target_kw": 1.0, "baseline_kw": None, "measured_kw": 2.0}
    sent = {"layers": [1, 1], "power_kw": [0.0, None], "until_s": [AT_S, None], "free_kw": [1.0, None]}
    return {
        "baseline.issued": [("baseline.issued", {"request_id": "r"})],
        "baseline.sessions": [("baseline.sessions", {"start_s": AT_S})],
        "cycle": [("cycle", {"cycle": 1, "sessions": sessions(), "anchors": [[1, 0.5]]})],
        "device.found": [("device.found", {"rows": [1, 2], "values": [{"a": 1.0}, {}]})],
        "dispatch.burden": [
            ("dispatch.burden", {"at_s": AT_S, "rows": [1], "shed_s": [5.0], "debt_kwh": [0.0]}),
        ],
        "dispatch.tracking": [
            ("dispatch.tracking", tracking),
            ("dispatch.tracking", {**tracking, "metered": [[AT_S], [3.0]]}),
        ],
        "fleet.changed": [("fleet.changed", {"actor": "x", "changes": [change.body()], "leaving": [1]})],
        "fleet.connected": [("fleet.connected", {"resources": len(index)})],
        "fleet.left": [("fleet.left", {"rows": [1, 2]})],
        "performance.issued": [
            (
                "performance.issued",
                {"request_id": "r", "delivered_mean_kw": 1.0, "spread_kw": {"m": None}, "shares": shares, "version": 2},
            )
        ],
        "plan.installed": [("plan.installed", {})],
        "quote.windows": [("quote.windows", windows()), ("quote.windows", windows())],
        "regulation.signal": [("regulation.signal", {"id": "r", "at_s": [1.0, 2.0], "target_kw": [5.0, 6.0]})],
        "requests.forgotten": [
            *asked(),
            (
                "requests.forgotten",
                {"ids": [request_id()], "calls": calls.body(), "calls_from_s": AT_S, "means_from_s": AT_S},
            ),
        ],
        "request.revision": [*asked(), ("request.revision", {"id": request_id(), "revision": plain(revision)})],
        "request.shortfall": [*asked(), ("request.shortfall", {"id": request_id(), "shortfall": plain(shortfall)})],
        "request.transition": asked()[:2],
        "setpoints.outcomes": [
            ("setpoints.outcomes", {**columns, "status": [0, 1], "reasons": [0, 0], "at_s": [AT_S, AT_S]})
        ],
        "setpoints.sent": [("setpoints.sent", {**columns, **sent, "sources": ["", "r"], "source": [0, 1], "epoch": 1})],
        "setpoints.verdicts": [("setpoints.verdicts", {"rows": [1], "fate": "confirmed"})],
        "standing.availability": [
            (
                "standing.availability",
                {
                    "id": "c",
                    "start_s": AT_S,
                    "available_kw": 5.0,
                    "agreed": [9.0, "1.50", "3"],
                    "owner": [1, 2],
                    "kept_kw": [1.0, 4.0],
                },
            )
        ],
        "standing.changed": [("standing.changed", {"act": "entered", "commitment": commitment_body(COMMITMENT)})],
        "settlement.official": [(OFFICIAL, official_body(result))],
    }


STRANGE = st.sampled_from(
    [None, True, -1, 2**62, 1e308, float("nan"), "", "x", "nan", [], [None], [[]], {}, {"x": 1}, [1, "x"]]
)


def places(tree: object, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the place of every field and item of a body."""
    match tree:
        case dict():
            items: list[tuple[str | int, Any]] = list(tree.items())
        case list():
            items = list(enumerate(tree))
        case _:
            return []
    return [place for key, one in items for place in ((*before, key), *places(one, (*before, key)))]


def changed(body: dict[str, Any], place: tuple[str | int, ...], *, strange: object, removed: bool) -> dict[str, Any]:
    """Return a body of which one field is something else, or missing."""
    copy: Any = deepcopy(body)
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if removed:
        del inner[place[-1]]
    else:
        inner[place[-1]] = strange
    return dict(copy)


def entries_of(bodies: Entries) -> list[JournalEntry]:
    return [
        JournalEntry(sequence=number, kind=kind, at_s=AT_S, body=read_body(*stored_body(body)), sha256="")
        for number, (kind, body) in enumerate(bodies, start=1)
    ]


def test_every_folded_kind_has_a_shape_and_an_example() -> None:
    assert SHAPES.keys() == KINDS == examples().keys()


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_what_was_written_is_followed(kind: str) -> None:
    state = fresh(journal("hold")[0])
    state.follow(entries_of(examples()[kind]))
    assert state.sequence == len(examples()[kind])


@pytest.mark.parametrize("kind", sorted(SHAPES))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_changed_body_is_followed_or_refused_by_name(kind: str, data: st.DataObject) -> None:
    *before, (_, body) = examples()[kind]
    if not places(body):
        return
    place = data.draw(st.sampled_from(places(body)), label="place")
    removed = data.draw(st.booleans(), label="removed")
    wrong = changed(body, place, strange=data.draw(STRANGE, label="strange"), removed=removed)
    entries = entries_of([*before, (kind, wrong)])
    state = fresh(journal("hold")[0])
    try:
        state.follow(entries)
    except AuditError as error:
        assert f"journal entry {len(entries)}" in str(error)  # noqa: PT017 - it may also be followed


@pytest.mark.parametrize(
    ("kind", "place", "said"),
    [
        ("request.transition", ("to_state",), "request.transition.to_state is missing"),
        ("cycle", ("sessions", 0, "row"), r"cycle.sessions\[0\].row is missing"),
        ("setpoints.sent", ("epoch",), "setpoints.sent.epoch is missing"),
    ],
)
def test_a_missing_field_is_named_with_its_entry(kind: str, place: tuple[str | int, ...], said: str) -> None:
    *before, (_, body) = examples()[kind]
    entries = entries_of([*before, (kind, changed(body, place, strange=None, removed=True))])
    with pytest.raises(BodyError, match=rf"^journal entry {len(entries)}: {said}$"):
        fresh(journal("hold")[0]).follow(entries)


@pytest.mark.parametrize("place", [("known", 0, "class_kw"), ("quoted", "class_kw")])
def test_powers_by_class_that_are_none_are_named(place: tuple[str | int, ...]) -> None:
    kind, body = examples()["quote.windows"][0]
    wrong = changed(body, place, strange="much", removed=False)
    with pytest.raises(BodyError, match=r"class_kw is 'much'; accepted is an array of numbers"):
        fresh(journal("hold")[0]).follow(entries_of([(kind, wrong)]))


@pytest.mark.parametrize("metered", [[[], []], [[AT_S], []], [[AT_S]], [["then"], [3.0]], 5])
def test_amended_cycles_that_are_none_are_named_with_their_entry(metered: object) -> None:
    *before, (kind, body) = examples()["dispatch.tracking"]
    with pytest.raises(BodyError, match=r"^journal entry 2: dispatch.tracking.metered.* is .*; accepted is "):
        fresh(journal("hold")[0]).follow(entries_of([*before, (kind, {**body, "metered": metered})]))


def test_a_field_of_another_type_is_named_with_what_is_accepted() -> None:
    entry = entries_of([("setpoints.verdicts", {"rows": [1], "fate": "eaten"})])[0]
    with pytest.raises(BodyError, match=r"^journal entry 9: setpoints.verdicts.fate is 'eaten'; accepted is one of "):
        fresh(journal("hold")[0]).follow([replace(entry, sequence=9)])
