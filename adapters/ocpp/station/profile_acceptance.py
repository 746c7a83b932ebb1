"""Acceptance of charging profiles by one station, shared by all stations of the same history."""

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class ProfileAcceptance:
    """How a station has answered profiles. It is replaced, never changed.

    Attributes:
        accepts: It has accepted a profile since it came to this process.
        refused_all: It has refused a dispatch value in every form since its boot, and accepted none.
        tx_refusals: In how many transactions in a row it has refused a TxProfile and accepted another purpose.
        tx_refused_in: The last of these transactions.
    """

    accepts: bool = False
    refused_all: bool = False
    tx_refusals: int = 0
    tx_refused_in: str = ""

    def accepted(self, *, dispatch: bool) -> "ProfileAcceptance":
        """Return the history after an accepted value."""
        return _shared(True, self.refused_all and not dispatch, self.tx_refusals, self.tx_refused_in)  # noqa: FBT003 - accepts

    def refused(self) -> "ProfileAcceptance":
        """Return the history after a dispatch value that was refused in every form."""
        return _shared(self.accepts, True, self.tx_refusals, self.tx_refused_in)  # noqa: FBT003 - refused_all

    def booted(self) -> "ProfileAcceptance":
        """Return the history after a boot."""
        return _shared(self.accepts, False, self.tx_refusals, self.tx_refused_in)  # noqa: FBT003 - refused_all

    def tx_accepted(self) -> "ProfileAcceptance":
        """Return the history after an accepted TxProfile."""
        return _shared(self.accepts, self.refused_all, 0, self.tx_refused_in)

    def tx_refused(self, transaction_id: str) -> "ProfileAcceptance":
        """Return the history after a TxProfile was refused in a transaction and another purpose accepted."""
        return _shared(self.accepts, self.refused_all, self.tx_refusals + 1, transaction_id)

    def tries_tx_again(self, transaction_id: str) -> bool:
        """Tell whether a TxProfile deserves another try: one transaction's refusal may have been an accident."""
        return self.tx_refusals == 1 and transaction_id != self.tx_refused_in


UNTRIED = ProfileAcceptance()
"""No profile has been sent yet."""


@lru_cache(maxsize=256)
def _shared(accepts: bool, refused_all: bool, tx_refusals: int, tx_refused_in: str) -> ProfileAcceptance:  # noqa: FBT001 - the fields
    return ProfileAcceptance(accepts, refused_all, tx_refusals, tx_refused_in)
