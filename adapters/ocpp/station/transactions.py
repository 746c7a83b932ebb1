"""Transactions of a station: their begin, their end, and conflicting reports.

A station repeats messages, empties queues, and sometimes names a transaction it never started. So late reports complete
the past and never change the present; a running transaction is replaced by the start of another, or by an id that more
than one live message has named; and one that was ended wrongly begins again once the station goes on metering it.
"""

import math
from dataclasses import dataclass, replace
from hashlib import blake2b

from adapters.ocpp.messages.ocpp_j import parse_stamp
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.connector_state import DRAWS_KW, ConnectorState
from adapters.ocpp.station.energy_register import READING_SLACK_KWH, START_SLACK_KWH, STOP_SLACK_KWH
from adapters.ocpp.station.station_clock import LONGEST_PAST_S
from adapters.ocpp.station.station_records import Transaction
from adapters.ocpp.station.station_state import NO_TRANSACTIONS, StationState
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.telemetry import Quantity

LATE_S = 120.0
"""An older report does not prove which transaction runs now."""
STAMP_S = 2.0
"""Stamps of whole seconds may be out of order by so much."""
LARGEST_ID = 2**31 - 1
"""Ids assigned by us in 1.6 are positive and of 32 bits; nothing else can be one."""
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
"""Against an id assigned by us."""
_AGAINST_READ = Evidence(2, 0.0)
"""Against one known from a reading only, and for one that is over."""


def begin(
    station: StationState,
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
        station: Its station.
        connector: Connector (1.6) or EVSE (2.x).
        transaction_id: Its id.
        at_s: When it began, by our clock.
        meter_kwh: What the connector's register was then, NaN where unknown.
        port: Connector of the EVSE where that is known (2.x), else 0.
        stamp_s: What the station's own stamp of it says.
    """
    point, running = station.point(connector), station.transactions.get(connector)
    if (
        point is None
        or find_ended(station, transaction_id) is not None
        or _runs_elsewhere(station, point, transaction_id)
    ):
        return
    if running is not None and running.id == transaction_id:
        _confirm(running, port)
        running.given, running.stamp_s = True, stamp_s
        return
    if running is not None and _is_past(station, running, at_s):
        _record_ended(
            station,
            Transaction(
                id=transaction_id, connector=connector, row=point.row, meter_kwh=meter_kwh, began_s=at_s, ended_s=at_s
            ),
        )
        return
    if running is not None:
        end(station, running.id, at_s)
    fresh = _new(point, transaction_id, at_s, point.register.total_kwh if math.isnan(meter_kwh) else meter_kwh)
    fresh.given, fresh.port, fresh.stamp_s = True, port, stamp_s
    _open(station, point, fresh)


def register_at_start(station: StationState, connector: int, register_kwh: float, at_s: float) -> float:
    """Return what the connector's register was at a start that states one, NaN where it states none."""
    point = station.point(connector)
    if point is None or math.isnan(register_kwh):
        return math.nan
    return point.register.take(register_kwh, at_s, START_SLACK_KWH)


def take_named_id(
    station: StationState, point: ConnectorState, transaction_id: str, at_s: float, power_kw: float, *, port: int = 0
) -> None:
    """Take the transaction named by a reading at ``point``, as far as it proves anything."""
    running = station.transactions.get(point.connector)
    if running is not None and running.id == transaction_id:
        running.last_s = max(running.last_s, at_s)
        _confirm(running, port)
        _drop_challenger(station)
        return
    now_s = station.services.clock.now_s()
    if now_s - at_s > LATE_S or _runs_elsewhere(station, point, transaction_id):
        return
    over = find_ended(station, transaction_id)
    if running is None and over is None:
        fresh = _new(point, transaction_id, at_s, point.register.total_kwh)
        fresh.port = port
        _open(station, point, fresh)
    elif over is None or (at_s > over.ended_s + _REOPENED_AFTER_S and power_kw > DRAWS_KW):
        _challenge(station, point, transaction_id, at_s, over)


def record_needs(station: StationState, connector: int, wanted: Promise) -> None:
    """Record the charging needs of a car at ``connector``; kept where its transaction has not begun yet."""
    running, point = station.transactions.get(connector), station.point(connector)
    if running is None or point is None:
        station.note(early={**(station.particulars.early or {}), connector: wanted})
        return
    given_kwh = point.register.total_kwh - running.meter_kwh
    given_kwh = max(0.0, given_kwh)  # also where a register is not known
    _report_promise(station, running, replace(wanted, energy_kwh=wanted.energy_kwh + given_kwh))


def set_start_register(station: StationState, point: ConnectorState, begun_kwh: float = math.nan) -> None:
    """Give a session the register it starts from, once one is known.

    Args:
        station: Its station.
        point: Where it is.
        begun_kwh: The register at its start where a reading states that too, else NaN.
    """
    running, total_kwh = station.transactions.get(point.connector), point.register.total_kwh
    if running is None or math.isnan(total_kwh):
        return
    point.awaits_register = False
    taken_kwh = total_kwh - begun_kwh
    most_kwh = (
        point.nameplate.p_max_kw * 1.5 * max(point.register.at_s - running.began_s, 0.0) / 3600.0 + READING_SLACK_KWH
    )
    running.meter_kwh = begun_kwh if 0.0 <= taken_kwh <= most_kwh else total_kwh
    _report_start(station, running)


def end(station: StationState, transaction_id: str, at_s: float, meter_kwh: float = math.nan) -> None:
    """Record that a transaction is over: no power flows, and what was tied to it has lapsed."""
    transaction = find_running(station, transaction_id)
    if transaction is None:
        _end_unknown(station, transaction_id, at_s, meter_kwh)
        return
    _put(station, transaction.connector, None)
    transaction.ended_s = at_s
    _record_ended(station, transaction)
    point = station.point(transaction.connector)
    total_kwh = meter_kwh
    if point is not None:
        _stop_power(station, point, at_s)
        known = meter_kwh >= 0.0
        total_kwh = point.register.take(meter_kwh, at_s, STOP_SLACK_KWH) if known else point.register.total_kwh
    if installed_profiles.remove(station, transaction.row, tied=True):
        installed_profiles.report_limit(station, transaction.row)
    _report_end(station, transaction_id, transaction.row, at_s, total_kwh)


def id_of_start(station: StationState, connector: int, stamp: str, token: str, meter_wh: int) -> int:
    """Return the id of a 1.6 transaction: always the same for the same start.

    A start repeated after a lost link (mobilityhouse/ocpp#186) gets the same id from every process and
    after every restart, without keeping it. Only where the same data must mean another car, because
    the station's clock stands still and the transaction they meant is over, the time of day makes the difference.
    """
    words = f"{station.id}\0{connector}\0{stamp}\0{token}\0{meter_wh}"
    number = _number_of(words)
    now_s = station.services.clock.now_s()
    if find_ended(station, str(number)) is not None and not abs(parse_stamp(stamp) - now_s) < LONGEST_PAST_S:
        number = _number_of(f"{words}\0{now_s:.3f}")
    return number


def _runs_elsewhere(station: StationState, point: ConnectorState, transaction_id: str) -> bool:
    """Tell whether a transaction runs at another connector; a car is at one."""
    running = find_running(station, transaction_id)
    return running is not None and running.connector != point.connector


def _is_past(station: StationState, running: Transaction, at_s: float) -> bool:
    """Tell whether a start at ``at_s`` is a late report from before the running transaction."""
    return at_s < running.began_s - STAMP_S and station.services.clock.now_s() - at_s > LATE_S


def find_running(station: StationState, transaction_id: str) -> Transaction | None:
    """Return a running transaction by its id."""
    return next((one for one in station.transactions.values() if one.id == transaction_id), None)


def find_ended(station: StationState, transaction_id: str) -> Transaction | None:
    """Return a transaction that is over, if it is one of the last."""
    return next((one for one in station.ended if one.id == transaction_id), None)


def _confirm(running: Transaction, port: int) -> None:
    """Take a transaction for certain, and note where it runs."""
    running.port = port or running.port
    running.doubtful = False


def _new(point: ConnectorState, transaction_id: str, at_s: float, meter_kwh: float) -> Transaction:
    return Transaction(
        id=transaction_id,
        connector=point.connector,
        row=point.row,
        meter_kwh=meter_kwh,
        began_s=at_s,
        last_s=at_s,
        number=int(transaction_id) if transaction_id.isdecimal() else 0,
    )


def _challenge(
    station: StationState, point: ConnectorState, transaction_id: str, at_s: float, over: Transaction | None
) -> None:
    """Replace the running transaction by another id, or one that is over, once it has been named often enough."""
    known, now_s = station.particulars.challenger, station.services.clock.now_s()
    if known is None or (known.connector, known.id) != (point.connector, transaction_id):
        station.note(challenger=Challenger(point.connector, transaction_id, now_s))
        return
    known.count += 1
    running = station.transactions.get(point.connector)
    needed = _AGAINST_GIVEN if running is not None and running.given else _AGAINST_READ
    if known.count < needed.count or now_s - known.since_s < needed.lasting_s:
        return
    _drop_challenger(station)
    if running is not None:
        end(station, running.id, at_s)
    if over is not None:
        station.ended = tuple(one for one in station.ended if one is not over)
        over.ended_s, over.last_s = math.nan, at_s
    _open(station, point, over or _new(point, transaction_id, at_s, point.register.total_kwh))


def _open(station: StationState, point: ConnectorState, transaction: Transaction) -> None:
    _put(station, point.connector, transaction)
    _drop_challenger(station)
    point.awaits_register = math.isnan(transaction.meter_kwh)
    if transaction.began_s > point.power_s:
        point.begin_transaction(transaction.began_s)
    station.services.batcher.sample(point.row, Quantity.PLUGGED, 1.0, transaction.last_s)
    _report_start(station, transaction)
    waiting = station.particulars.early
    early = transaction.promise if waiting is None else waiting.pop(point.connector, transaction.promise)
    if early is not None:
        _report_promise(station, transaction, early)


def _drop_challenger(station: StationState) -> None:
    if station.particulars.challenger is not None:
        station.note(challenger=None)


def _stop_power(station: StationState, point: ConnectorState, at_s: float) -> None:
    """Report zero power from ``at_s`` on, also over a reading of the same second."""
    at_s = max(at_s, min(point.power_s, at_s + STAMP_S))
    station.services.batcher.sample(point.row, Quantity.POWER_KW, 0.0, at_s)
    asleep, point.pause, point.paused = point.asleep, None, False
    point.power_kw = 0.0
    if asleep:
        station.report_sleep(point)


def _end_unknown(station: StationState, transaction_id: str, at_s: float, meter_kwh: float) -> None:
    """Report the end of a transaction from before our time; unambiguous only with one connector."""
    if len(station.points) != 1 or find_ended(station, transaction_id) is not None:
        return
    connector, row = station.points[0].connector, station.points[0].row
    _record_ended(
        station,
        Transaction(id=transaction_id, connector=connector, row=row, meter_kwh=math.nan, began_s=at_s, ended_s=at_s),
    )
    _report_end(station, transaction_id, row, at_s, meter_kwh if meter_kwh >= 0.0 else math.nan)


def _record_ended(station: StationState, transaction: Transaction) -> None:
    station.ended = (*station.ended[1 - _KEPT_ENDED :], transaction)


def _report_start(station: StationState, transaction: Transaction) -> None:
    session_id = _session_id(station, transaction.id)
    station.services.batcher.session(
        SessionStarted(
            session_id=session_id, row=transaction.row, at_s=transaction.began_s, meter_kwh=transaction.meter_kwh
        )
    )


def _report_promise(station: StationState, transaction: Transaction, wanted: Promise) -> None:
    transaction.promise = wanted
    session_id = _session_id(station, transaction.id)
    station.services.batcher.session(SessionPromised(session_id=session_id, promise=wanted))


def _report_end(station: StationState, transaction_id: str, row: int, at_s: float, meter_kwh: float) -> None:
    event = SessionEnded(session_id=_session_id(station, transaction_id), row=row, at_s=at_s, meter_kwh=meter_kwh)
    station.services.batcher.session(event)


def _number_of(words: str) -> int:
    """Return a positive int32."""
    return (int.from_bytes(blake2b(words.encode(), digest_size=4).digest(), "big") & 0x7FFF_FFFF) or 1


def _put(station: StationState, connector: int, transaction: Transaction | None) -> None:
    """Keep the transaction that runs at a connector, ``None`` for none any more."""
    kept = {number: one for number, one in station.transactions.items() if number != connector}
    if transaction is not None:
        kept[connector] = transaction
    station.transactions = kept or NO_TRANSACTIONS


def _session_id(station: StationState, transaction_id: str) -> str:
    """Return the charging session of a transaction, unique in the fleet."""
    return f"{station.id}:{transaction_id}"
