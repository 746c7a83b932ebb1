"""Silences on one connection: whether the units are at fault, or the connection itself."""

from collections.abc import Sequence

from adapters.modbus.contact import Contact

_IN_DOUBT = 3
"""Silences in a row, of any units, after which the connection is in doubt."""
_UNTRIED = 8
"""Silences in a row up to which a unit that was never asked may still show that the connection is well."""
_WELL = 2
"""Units that answered before and are silent in a row after which the connection is given up."""


class SilenceCount:
    """Silences in a row on one connection."""

    def __init__(self) -> None:
        self._silences = 0
        self._well = 0

    def clear(self) -> None:
        """Note an answer, whatever it says: the connection is well."""
        self._silences = self._well = 0

    def add(self, contact: Contact) -> None:
        """Note that a unit was silent; before that is noted in its contact."""
        self._silences += 1
        self._well += contact.connected is True and not contact.silences

    @property
    def in_doubt(self) -> bool:
        """There were so many that the connection itself may be at fault."""
        return self._silences >= _IN_DOUBT

    def hopeless(self, contacts: Sequence[Contact], now_s: float) -> bool:
        """Tell whether a connection in doubt is to be given up; not while a unit that was well may still answer.

        The one of these that is due first is made due now.
        """
        asked = [contact for contact in contacts if contact.connected and not contact.silences]
        if not asked and self._silences < _UNTRIED:
            asked = [contact for contact in contacts if contact.connected is None and not contact.silences]
        if not asked or self._well >= _WELL:
            return True
        first = min(asked, key=lambda contact: contact.due_s)
        first.due_s = min(first.due_s, now_s)
        return False
