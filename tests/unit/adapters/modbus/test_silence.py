"""Silences say something of the connection only where no unit that was well still answers."""

from adapters.modbus.contact import Contact
from adapters.modbus.silence import SilenceCount


def silent(count: SilenceCount, *contacts: Contact) -> None:
    for contact in contacts:
        count.add(contact)
        contact.silences += 1


def test_a_connection_is_in_doubt_after_three_silences_in_a_row() -> None:
    count, contact = SilenceCount(), Contact(due_s=0.0)
    silent(count, contact, contact)
    assert not count.in_doubt
    count.clear()
    silent(count, contact, contact)
    assert not count.in_doubt
    silent(count, contact)
    assert count.in_doubt


def test_a_unit_that_was_well_is_asked_at_once_before_the_connection_is_given_up() -> None:
    count, well, dead = SilenceCount(), Contact(due_s=90.0, connected=True), Contact(due_s=0.0, connected=False)
    silent(count, dead, dead, dead)
    assert not count.hopeless([dead, well], 50.0)
    assert well.due_s == 50.0
    silent(count, well)
    assert count.hopeless([dead, well], 50.0), "nobody is left to ask"


def test_two_that_were_well_and_are_silent_in_a_row_are_enough() -> None:
    count, dead = SilenceCount(), Contact(due_s=0.0, connected=False)
    first, second, third = (Contact(due_s=90.0, connected=True) for _ in range(3))
    silent(count, dead, first, second)
    assert count.hopeless([dead, first, second, third], 50.0)


def test_a_unit_never_asked_may_still_answer_for_a_while() -> None:
    count, dead, untried = SilenceCount(), Contact(due_s=0.0, connected=False), Contact(due_s=9.0)
    silent(count, *[dead] * 7)
    assert not count.hopeless([dead, untried], 5.0)
    silent(count, dead)
    assert count.hopeless([dead, untried], 5.0)
