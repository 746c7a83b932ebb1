"""Policy of a central system towards its stations' connections."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.ocpp.control.waking import WakeRule

SETTLE_WALL_S = 0.5
SETUPS_PER_S = 100.0

SessionListener = Callable[[str, int, bool], None]
"""Called with station, epoch, and whether the session began or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """Time limits, rates and intervals of sessions.

    Attributes:
        call_timeout_s: Clock seconds a station has to answer a call. On a clock faster than the wall's never less than
            5 wall seconds (or the timeout itself, if shorter): sockets do not get faster with the clock.
        call_retries: How often an instruction without an answer is sent again on the same connection.
        sample_interval_s: How often stations are to report meter values, in whole seconds on the wire.
        boot_interval_s: Heartbeat interval given to stations, in whole seconds on the wire.
        settle_wall_s: How long a station that has booted is sent nothing: some refuse what follows the answer to their
            boot at once.
        setups_per_s: Stations a second whose set-up after a boot or reconnection begins.
        drain_per_s: Sessions a second that ``close`` ends (1012), ``None`` for all at once (1001).
        wake: Where cars that do not wake after a pause are woken, by model and site; nowhere if empty.
    """

    call_timeout_s: float = 30.0
    call_retries: int = 0
    sample_interval_s: float = 60.0
    boot_interval_s: float = 300.0
    settle_wall_s: float = SETTLE_WALL_S
    setups_per_s: float = SETUPS_PER_S
    drain_per_s: float | None = None
    wake: Sequence[WakeRule] = ()
