"""Transactions of a station: what begins one, what ends one, and what news about another may do.

A station repeats itself, empties queues, and sometimes names a transaction nobody gave it. So late news completes
the past and never changes the present; a running session is replaced by the start of another, or by an id that more
than one live message has named; and one that was ended wrongly begins again once the station goes on metering it.
"""

import math
from dataclasses import dataclass, replace
from hashlib import blake2b

from adapters.ocpp.messages.ocpp_j import parse_stamp
from adapters.ocpp.station.connector_state import DRAWS_KW, ConnectorState
from adapters.ocpp.station.energy_register import READING_SLACK_KWH, START_SLACK_KWH, STOP_SLACK_KWH
from adapters.ocpp.station.station_clock import LONGEST_PAST_S
from adapters.ocpp.station.station_records import Transaction
from adapters.ocpp.station.station_state import StationState
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.telemetry import Quantity

LATE_S = 120.0
"""News of longer ago says nothing of which transaction runs now."""
STAMP_S = 2.0
"""Stamps of whole seconds are this far from the order of things."""
LARGEST_ID = 2**31 - 1
"""Ids we give in 1.6 are positive and of 32 bits; nothing else can be one of them."""
_KEPT_ENDED = 8
_REOPENED_AFTER_S = 30.0


@dataclass(slots=True)
class Challenger:
    """An id that live readings name although another transaction runs, or although it has ended."""

    connector: int
    id: str
    since_s: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """How often and for how long another id must be named before it counts."""

    count: int
    lasting_s: float


_AGAINST_GIVEN = Evidence(3, 60.0)
"""Against an id that we gave ourselves."""
_AGAINST_HEARD = Evidence(2, 0.0)
"""Against one that was heard of in a reading, and for one that is over."""


def begin(
    charger: StationState,
    connector: int,
    transaction_id: str,
    at_s: float,
    meter_kwh: float = math.nan,
    *,
    port: int = 0,
    stamp_s: float = math.nan,
) -> None:
    """Record the start of a transaction.

    The same again changes nothing, one from before the running one is past, and any other ends the running one.

    Args:
        charger: Its station.
        connector: Connector (1.6) or EVSE (2.x).
        transaction_id: Its id.
        at_s: When it began, by our clock.
        meter_kwh: What the connector's register was then, NaN where unknown.
        port: Connector of the EVSE where that is known (2.x), else 0.
        stamp_s: What the station's own stamp of it says.
    """
    post, running = charger.post(connector), charger.transactions.get(connector)
    if (
        post is None
        or find_ended(charger, transaction_id) is not None
        or _runs_elsewhere(charger, post, transaction_id)
    ):
        return
    if running is not None and running.id == transaction_id:
        _affirm(running, port)
        running.given, running.stamp_s = True, stamp_s
        return
    if running is not None and _is_past(charger, running, at_s):
        _bar(
            charger,
            Transaction(
                id=transaction_id, connector=connector, row=post.row, meter_kwh=meter_kwh, began_s=at_s, ended_s=at_s
            ),
        )
        return
    if running is not None:
        end(charger, running.id, at_s)
    fresh = _new(post, transaction_id, at_s, post.register.total_kwh if math.isnan(meter_kwh) else meter_kwh)
    fresh.given, fresh.port, fresh.stamp_s = True, port, stamp_s
    _open(charger, post, fresh)


def started(charger: StationState, connector: int, register_kwh: float, at_s: float) -> float:
    """Return what the connector's register was at a start that states one, NaN where it states none."""
    post = charger.post(connector)
    if post is None or math.isnan(register_kwh):
        return math.nan
    return post.register.take(register_kwh, at_s, START_SLACK_KWH)


def named(
    charger: StationState, post: ConnectorState, transaction_id: str, at_s: float, power_kw: float, *, port: int = 0
) -> None:
    """Take a reading's word for which transaction runs at ``post``, as far as it goes."""
    running = charger.transactions.get(post.connector)
    if running is not None and running.id == transaction_id:
        running.last_s = max(running.last_s, at_s)
        _affirm(running, port)
        charger.challenger = None
        return
    now_s = charger.services.clock.now_s()
    if now_s - at_s > LATE_S or _runs_elsewhere(charger, post, transaction_id):
        return
    over = find_ended(charger, transaction_id)
    if running is None and over is None:
        fresh = _new(post, transaction_id, at_s, post.register.total_kwh)
        fresh.port = port
        _open(charger, post, fresh)
    elif over is None or (at_s > over.ended_s + _REOPENED_AFTER_S and power_kw > DRAWS_KW):
        _challenge(charger, post, transaction_id, at_s, over)


def promise(charger: StationState, connector: int, wanted: Promise) -> None:
    """Record what a car at ``connector`` still wants; kept if its transaction has not begun yet."""
    running, post = charger.transactions.get(connector), charger.post(connector)
    if running is None or post is None:
        charger.early = {**(charger.early or {}), connector: wanted}
        return
    given_kwh = post.register.total_kwh - running.meter_kwh
    given_kwh = max(0.0, given_kwh)  # also where a register is not known
    _tell_promise(charger, running, replace(wanted, energy_kwh=wanted.energy_kwh + given_kwh))


def metered_from(charger: StationState, post: ConnectorState, begun_kwh: float = math.nan) -> None:
    """Give a session the register it starts from, once one is known.

    Args:
        charger: Its station.
        post: Where it is.
        begun_kwh: The register at its start where a reading states that too, else NaN.
    """
    running, total_kwh = charger.transactions.get(post.connector), post.register.total_kwh
    if running is None or math.isnan(total_kwh):
        return
    post.awaits_register = False
    taken_kwh = total_kwh - begun_kwh
    most_kwh = post.plate.p_max_kw * 1.5 * max(post.register.at_s - running.began_s, 0.0) / 3600.0 + READING_SLACK_KWH
    running.meter_kwh = begun_kwh if 0.0 <= taken_kwh <= most_kwh else total_kwh
    _tell_start(charger, running)


def end(charger: StationState, transaction_id: str, at_s: float, meter_kwh: float = math.nan) -> None:
    """Record that a transaction is over: no power flows, and what was tied to it has lapsed."""
    transaction = charger.transaction(transaction_id)
    if transaction is None:
        _end_unknown(charger, transaction_id, at_s, meter_kwh)
        return
    charger.put_transaction(transaction.connector, None)
    transaction.ended_s = at_s
    _bar(charger, transaction)
    post = charger.post(transaction.connector)
    total_kwh = meter_kwh
    if post is not None:
        _stop_power(charger, post, at_s)
        known = meter_kwh >= 0.0
        total_kwh = post.register.take(meter_kwh, at_s, STOP_SLACK_KWH) if known else post.register.total_kwh
    if charger.let_go(transaction.row, tied=True):
        charger.tell_limit(transaction.row)
    _tell_end(charger, transaction_id, transaction.row, at_s, total_kwh)


def id_of_start(charger: StationState, connector: int, stamp: str, token: str, meter_wh: int) -> int:
    """Return the id of a 1.6 transaction: always the same for the same start.

    A start that is told again after a lost link (mobilityhouse/ocpp#186) gets the same id from every process and
    after every restart, without anybody remembering it. Only where the same words must mean another car, because
    the station's clock stands still and the transaction they meant is over, the time of day makes the difference.
    """
    words = f"{charger.id}\0{connector}\0{stamp}\0{token}\0{meter_wh}"
    number = _number_of(words)
    now_s = charger.services.clock.now_s()
    if find_ended(charger, str(number)) is not None and not abs(parse_stamp(stamp) - now_s) < LONGEST_PAST_S:
        number = _number_of(f"{words}\0{now_s:.3f}")
    return number


def _runs_elsewhere(charger: StationState, post: ConnectorState, transaction_id: str) -> bool:
    """Tell whether a transaction runs at another connector; a car is at one."""
    running = charger.transaction(transaction_id)
    return running is not None and running.connector != post.connector


def _is_past(charger: StationState, running: Transaction, at_s: float) -> bool:
    """Tell whether a start of ``at_s`` is late news of what was before the running transaction."""
    return at_s < running.began_s - STAMP_S and charger.services.clock.now_s() - at_s > LATE_S


def find_ended(charger: StationState, transaction_id: str) -> Transaction | None:
    """Return a transaction that is over, if it is one of the last."""
    return next((one for one in charger.ended if one.id == transaction_id), None)


def _affirm(running: Transaction, port: int) -> None:
    """Take it that a transaction runs, and where."""
    running.port = port or running.port
    running.doubtful = False


def _new(post: ConnectorState, transaction_id: str, at_s: float, meter_kwh: float) -> Transaction:
    return Transaction(
        id=transaction_id,
        connector=post.connector,
        row=post.row,
        meter_kwh=meter_kwh,
        began_s=at_s,
        last_s=at_s,
        number=int(transaction_id) if transaction_id.isdecimal() else 0,
    )


def _challenge(
    charger: StationState, post: ConnectorState, transaction_id: str, at_s: float, over: Transaction | None
) -> None:
    """Let another id, or one that is over, take the place of what runs once enough has been heard of it."""
    known, now_s = charger.challenger, charger.services.clock.now_s()
    if known is None or (known.connector, known.id) != (post.connector, transaction_id):
        charger.challenger = Challenger(post.connector, transaction_id, now_s)
        return
    known.count += 1
    running = charger.transactions.get(post.connector)
    needed = _AGAINST_GIVEN if running is not None and running.given else _AGAINST_HEARD
    if known.count < needed.count or now_s - known.since_s < needed.lasting_s:
        return
    charger.challenger = None
    if running is not None:
        end(charger, running.id, at_s)
    if over is not None:
        charger.ended = tuple(one for one in charger.ended if one is not over)
        over.ended_s, over.last_s = math.nan, at_s
    _open(charger, post, over or _new(post, transaction_id, at_s, post.register.total_kwh))


def _open(charger: StationState, post: ConnectorState, transaction: Transaction) -> None:
    charger.put_transaction(post.connector, transaction)
    charger.challenger = None
    post.awaits_register = math.isnan(transaction.meter_kwh)
    if transaction.began_s > post.power_s:
        post.begun(transaction.began_s)
    charger.services.coalescer.sample(post.row, Quantity.PLUGGED, 1.0, transaction.last_s)
    _tell_start(charger, transaction)
    early = transaction.promise if charger.early is None else charger.early.pop(post.connector, transaction.promise)
    if early is not None:
        _tell_promise(charger, transaction, early)


def _stop_power(charger: StationState, post: ConnectorState, at_s: float) -> None:
    """Let no power flow from ``at_s`` on; a reading of the same second does not outlive that."""
    at_s = max(at_s, min(post.power_s, at_s + STAMP_S))
    charger.services.coalescer.sample(post.row, Quantity.POWER_KW, 0.0, at_s)
    asleep, post.pause, post.paused = post.asleep, None, False
    post.power_kw = 0.0
    if asleep:
        charger.tell_sleep(post)


def _end_unknown(charger: StationState, transaction_id: str, at_s: float, meter_kwh: float) -> None:
    """Pass on the end of a transaction from before our time; only a station with one connector leaves no doubt."""
    if len(charger.rows) != 1 or find_ended(charger, transaction_id) is not None:
        return
    connector, row = next(iter(charger.rows.items()))
    _bar(
        charger,
        Transaction(id=transaction_id, connector=connector, row=row, meter_kwh=math.nan, began_s=at_s, ended_s=at_s),
    )
    _tell_end(charger, transaction_id, row, at_s, meter_kwh if meter_kwh >= 0.0 else math.nan)


def _bar(charger: StationState, transaction: Transaction) -> None:
    charger.ended = (*charger.ended[1 - _KEPT_ENDED :], transaction)


def _tell_start(charger: StationState, transaction: Transaction) -> None:
    session_id = charger.session_id(transaction.id)
    charger.services.coalescer.session(
        SessionStarted(
            session_id=session_id, row=transaction.row, at_s=transaction.began_s, meter_kwh=transaction.meter_kwh
        )
    )


def _tell_promise(charger: StationState, transaction: Transaction, wanted: Promise) -> None:
    transaction.promise = wanted
    session_id = charger.session_id(transaction.id)
    charger.services.coalescer.session(SessionPromised(session_id=session_id, promise=wanted))


def _tell_end(charger: StationState, transaction_id: str, row: int, at_s: float, meter_kwh: float) -> None:
    event = SessionEnded(session_id=charger.session_id(transaction_id), row=row, at_s=at_s, meter_kwh=meter_kwh)
    charger.services.coalescer.session(event)


def _number_of(words: str) -> int:
    """Return a positive int32."""
    return (int.from_bytes(blake2b(words.encode(), digest_size=4).digest(), "big") & 0x7FFF_FFFF) or 1
