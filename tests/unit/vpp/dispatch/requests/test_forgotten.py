"""Requests are forgotten with their keys; their ids stay taken, and are told from ids that never were."""

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, submit
from vpp.dispatch.requests import forgotten
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.forgotten import FORGOTTEN, Batch, ForgottenRequests, batch_of
from vpp.dispatch.requests.register import RequestRegister
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import ForgottenError, UnknownIdError
from vpp.record.entry import JournalEntry


def batch(*ids: str, sequence: int = 7) -> Batch:
    return Batch(at_s=1_800_000_000.0, sequence=sequence, ids=ids)


def test_a_forgotten_id_says_when_and_where_its_record_is() -> None:
    known = ForgottenRequests()
    known.add(batch("req-1", "req-2"))
    known.check("req-3")
    with pytest.raises(ForgottenError, match=r"'req-2' was forgotten at 2027-01-15T08:00.*before entry 7"):
        known.check("req-2")


def test_what_was_kept_in_no_journal_names_no_entry() -> None:
    known = ForgottenRequests()
    known.add(batch("req-1", sequence=0))
    with pytest.raises(ForgottenError, match=r"VPP_REQUEST_DAYS\) was over$"):
        known.check("req-1")


def test_the_longest_forgotten_are_unknown_once_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgotten, "_MOST_IDS", 3)
    known = ForgottenRequests()
    for number in range(3):
        known.add(batch(f"a{number}", f"b{number}"))
    again = ForgottenRequests()
    again.load(known.state())
    for one in (known, again):
        one.check("a0")
        one.check("b1")
        with pytest.raises(ForgottenError):
            one.check("b2")


def test_a_batch_is_what_its_entry_names() -> None:
    entry = JournalEntry(sequence=9, kind=FORGOTTEN, at_s=5.0, body={"ids": ["x", "y"]}, sha256="")
    assert batch_of(entry) == Batch(at_s=5.0, sequence=9, ids=("x", "y"))


def test_a_key_is_free_again_and_an_id_is_not() -> None:
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    first, second = submit(book, key="a"), submit(book, key="b")
    book.cancel(first, actor="x", reason="", now=NOW, key="act")
    book.forget(batch(first))
    assert [request.id for request in book.all()] == [second]
    assert len(book) == 1
    with pytest.raises(ForgottenError, match=first):
        book.get(first)
    again = submit(book, key="a")
    assert again not in {first, second}
    assert again.endswith("-3")
    book.cancel(again, actor="x", reason="", now=NOW, key="act")


def test_a_register_is_loaded_with_what_it_has_forgotten() -> None:
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    ids = [submit(book) for _ in range(3)]
    book.forget(batch(ids[1]))
    state, again = book._register.state(), RequestRegister(lambda _kind, _at, _body: None)
    again.load(state)
    assert again.state() == state
    assert again.made == 3
    with pytest.raises(ForgottenError):
        again.get(ids[1])
    del state["made"], state["forgotten"]
    again.load(state)
    assert again.made == 2, "a state of before has forgotten nothing"
    with pytest.raises(UnknownIdError, match="not known"):
        again.get(ids[1])
    assert again.get(ids[0]).draft == DRAFT
