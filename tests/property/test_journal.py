"""Whatever is appended, flushed, restarted or changed: the chain tells."""

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.errors import AuditError
from vpp.record.stored_body import stored_body
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.sql import journal, open_database

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\u4e07", max_size=3), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text("abc\u4e07", max_size=3), json_values, max_size=4)
entries = st.tuples(st.sampled_from(["plan", "setpoints", "交易"]), st.floats(0.0, 4e9), bodies)
steps = st.lists(entries | st.sampled_from(["flush", "restart"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_any_history_of_appends_flushes_and_restarts_verifies(steps: list[object]) -> None:
    engine = open_database("sqlite://")
    record, pending, durable = SqlJournal(engine), [], []
    for step in steps:
        if step == "flush":
            record.flush_now()
            durable, pending = durable + pending, []
        elif step == "restart":
            record, pending = SqlJournal(engine), []
        else:
            kind, at_s, body = step
            record.append(kind, at_s, body)
            pending.append((kind, at_s, stored_body(body)))

    assert verify(engine).count == len(durable)
    assert [(e.kind, e.at_s, stored_body(e.body)) for e in record.entries()] == durable
    engine.dispose()


@settings(max_examples=25, deadline=None)
@given(contents=st.lists(entries, min_size=1, max_size=6), data=st.data())
def test_any_changed_body_is_found_where_it_was_changed(contents: list[object], data: st.DataObject) -> None:
    engine = open_database("sqlite://")
    record = SqlJournal(engine)
    for kind, at_s, body in contents:
        record.append(kind, at_s, body)
    record.flush_now()
    target = data.draw(st.integers(1, len(contents)))
    before = stored_body(contents[target - 1][2]).text
    changed = data.draw(bodies.map(lambda body: stored_body(body).text).filter(lambda text: text != before))
    with engine.begin() as connection:
        connection.execute(sa.update(journal).where(journal.c.sequence == target).values(body=changed))

    with pytest.raises(AuditError, match=f"entry {target} "):
        verify(engine)
    engine.dispose()


@given(body=bodies)
def test_a_stored_body_does_not_depend_on_the_order_of_keys(body: dict[str, object]) -> None:
    assert stored_body(body) == stored_body(dict(reversed(body.items())))
