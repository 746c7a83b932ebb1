"""Ids that were not let in, as they are kept."""

from vpp.domain.refused_connection import RefusedConnection, RefusedConnections, printable


def refused(identity: str, at_s: float, reason: str = "unknown_station") -> RefusedConnection:
    return RefusedConnection(
        adapter="ocpp", identity=identity, peer="192.0.2.1", reason=reason, first_s=at_s, last_s=at_s
    )


def test_the_same_id_is_one_entry_and_the_latest_comes_first() -> None:
    book = RefusedConnections()
    for identity, at_s in (("A", 1.0), ("B", 2.0), ("A", 3.0)):
        book.take(refused(identity, at_s))
    assert [(one.identity, one.first_s, one.last_s, one.count) for one in book] == [
        ("A", 1.0, 3.0, 2),
        ("B", 2.0, 2.0, 1),
    ]


def test_the_book_is_bounded_and_one_that_knocks_on_stays_in_it() -> None:
    book = RefusedConnections(most=10)
    for number in range(1000):
        book.take(refused(f"X{number}", float(number)))
        if number % 5 == 0:
            book.take(refused("real", float(number)))
    assert len(book) == 10
    assert next(one for one in book if one.identity == "real").count == 200


def test_what_is_drained_is_forgotten() -> None:
    book = RefusedConnections()
    book.take(refused("A", 1.0))
    assert [one.identity for one in book.drain()] == ["A"]
    assert not len(book)


def test_what_a_peer_chose_is_printable_and_short() -> None:
    assert printable("CS-1 Ü") == "CS-1 Ü"
    assert printable("a\r\n\x1b[2J\0\u202e\\") == "a\\r\\n\\x1b[2J\\x00\\u202e\\\\"
    assert printable("\ud800") == "\\ud800"
    assert len(printable("\0" * 5000)) == 120
