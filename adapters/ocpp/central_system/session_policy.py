"""How a central system treats its sessions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.kit.admission import Bucket
from adapters.ocpp.control.waking import WakeRule

SessionTold = Callable[[str, int, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How sessions are treated.

    Attributes:
        call_retries: How often an instruction without an answer is sent again on the same connection.
        silence_wall_s: Without a sign of life for so long a connection is dropped.
        setups: How many stations a second are asked and told what follows a boot.
        wake: Where sleeping cars are woken.
        profile_interval_s: Least time between a profile and one that raises the ceiling, 0 for none.
        settle_wall_s: How long a station that has booted is sent nothing.
        on_session: Told of every session: station, epoch, and whether it began or ended.
    """

    call_retries: int
    silence_wall_s: float
    setups: Bucket
    wake: Sequence[WakeRule]
    profile_interval_s: float
    settle_wall_s: float
    on_session: SessionTold | None
