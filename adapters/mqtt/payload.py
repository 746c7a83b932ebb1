"""Messages as JSON objects: units in the names, instants ISO-8601 with offset, null for unknown.

``telemetry``::

    {"at": "2026-07-01T18:00:00+08:00",
     "devices": [{"id": "ahu-1", "power_kw": 41.5, "energy_kwh": 1200.0, "soc": 0.4,
                  "p_min_kw": 10.0, "p_max_kw": 60.0, "limit_kw": 50.0, "online": true}]}

Only ``id`` and ``power_kw`` are required; a field that makes no sense is dropped alone, the rest counts. Every
``..._kw`` may come as ``..._w`` and ``energy_kwh`` as ``energy_wh``; both may come as long as they agree.
``"online": false`` says that the gateway has lost this one device, whose other fields are then not read. Power is load
positive: feeding in is negative.

``command``::

    {"commands": [{"id": 7, "device": "ahu-1", "layer": "dispatch", "power_kw": 20.0,
                   "until": "2026-07-01T18:05:00+08:00", "epoch": 3}]}

``id`` is an integer of 64 bits, from 1 up: a number below 2⁵³ and from there a text of its digits, so that no library
rounds it (RFC 7493, 2.2); an answer may use either. ``layer`` is ``default`` (``until`` null: it holds until replaced),
``dispatch`` (a lease that ends at ``until``) or ``release`` (the dispatch value ends now; ``power_kw`` and ``until``
null). A gateway applies an id once however often it arrives and refuses an epoch below the highest it has seen.

``outcome``::

    {"at": "...", "outcomes": [{"id": 7, "device": "ahu-1", "status": "rejected", "reason": "refused"}]}

``status`` is ``accepted`` or ``rejected``; ``reason`` one of ``_REASONS``.

``status``, retained: ``{"online": true, "at": "..."}``; the last will is ``{"online": false}``.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import orjson

from adapters.mqtt.fields import LARGEST_NUMBER, Fields
from adapters.mqtt.state_of_charge import LEAST_RATIO, MOST_RATIO
from vpp.domain.errors import InputError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.domain.timegrid import instant

_MEASURES = (
    (Quantity.POWER_KW, "power_kw", "power_w"),
    (Quantity.ENERGY_KWH, "energy_kwh", "energy_wh"),
    (Quantity.P_MIN_KW, "p_min_kw", "p_min_w"),
    (Quantity.P_MAX_KW, "p_max_kw", "p_max_w"),
    (Quantity.LIMIT_KW, "limit_kw", "limit_w"),
)
_PER_KILO = 1000.0
_AGREEMENT_RATIO = 1e-3
_AGREEMENT_KW = 1e-3
_LAYERS = {layer.name.lower(): layer for layer in Layer}
_REASONS = {
    "refused": (OutcomeStatus.REJECTED, Reason.REFUSED),
    "stale_epoch": (OutcomeStatus.REJECTED, Reason.REFUSED),
    "unsupported": (OutcomeStatus.REJECTED, Reason.UNSUPPORTED),
    "expired": (OutcomeStatus.REJECTED, Reason.EXPIRED),
    "superseded": (OutcomeStatus.REJECTED, Reason.EXPIRED),
    "not_connected": (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED),
}
"""Reasons a gateway may give, with their outcome; any other word counts as refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReading:
    """Reading of one device.

    Attributes:
        values: What is known, in kW, kWh and 0-1.
        per_cent: State of charge that was refused as outside 0-1, ``None`` where none was.
        healed: What was repaired and taken, by kind.
    """

    device: str
    values: dict[Quantity, float]
    online: bool = True
    per_cent: float | None = None
    healed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One instruction on its way to one device.

    Attributes:
        power_kw: NaN for ``Layer.RELEASE``.
        until_s: Epoch seconds at which the lease ends; infinite for the other layers.
    """

    id: int
    device: str
    layer: Layer
    power_kw: float
    until_s: float
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer of a gateway to one command."""

    id: int
    device: str
    status: OutcomeStatus
    reason: Reason


def parse_telemetry(payload: bytes) -> tuple[float, list[DeviceReading], list[InputError]]:
    """Return the instant, the readings that make sense and what is wrong with the others.

    Raises:
        FrameError: Not a JSON object.
        InputError: A field above the devices makes no sense.
    """
    message = Fields.parse(payload)
    at_s = message.at_s("at")
    readings: list[DeviceReading] = []
    lone = message.is_one("devices")
    faults: list[InputError] = []
    for entry in message.entries("devices"):
        try:
            reading = _reading(_sound(entry), faults)
        except InputError as error:
            faults.append(error)
            continue
        if reading is not None:
            readings.append(replace(reading, healed=("list_of_one", *reading.healed)) if lone else reading)
    return at_s, readings, faults


def telemetry(at_s: float, readings: Iterable[DeviceReading]) -> bytes:
    """Return the message of one site's devices."""
    names = {quantity: name for quantity, name, _ in _MEASURES} | {Quantity.SOC: "soc"}
    devices = []
    for reading in readings:
        shown = {names[q]: round(value, 6) for q, value in reading.values.items() if not math.isnan(value)}
        devices.append({"id": reading.device, "online": reading.online, "power_kw": None, **shown})
    return orjson.dumps({"at": _iso(at_s), "devices": devices})


def parse_commands(payload: bytes) -> tuple[list[Command], list[InputError]]:
    """Return the commands that make sense and what is wrong with the others; raises FrameError, InputError."""
    commands: list[Command] = []
    faults: list[InputError] = []
    for entry in Fields.parse(payload).entries("commands"):
        try:
            commands.append(_command(_sound(entry)))
        except InputError as error:
            faults.append(error)
    return commands, faults


def commands(batch: Iterable[Command]) -> bytes:
    """Return the message that carries instructions to one site."""
    return orjson.dumps(
        {
            "commands": [
                {
                    "id": _written(command.id),
                    "device": command.device,
                    "layer": command.layer.name.lower(),
                    "power_kw": None if math.isnan(command.power_kw) else command.power_kw,
                    "until": _iso(command.until_s) if math.isfinite(command.until_s) else None,
                    "epoch": command.epoch,
                }
                for command in batch
            ]
        }
    )


def parse_outcomes(payload: bytes) -> tuple[float, list[Answer], list[InputError]]:
    """Return the instant, the answers that make sense and what is wrong with the others.

    An answer whose id is sound but whose status is not counts as ``Reason.PROTOCOL``; raises FrameError, InputError.
    """
    message = Fields.parse(payload)
    at_s = message.at_s("at")
    answers: list[Answer] = []
    faults: list[InputError] = []
    for entry in message.entries("outcomes"):
        try:
            answers.append(_answer(_sound(entry)))
        except InputError as error:
            faults.append(error)
    return at_s, answers, faults


def outcomes(at_s: float, answers: Iterable[tuple[Command, str | None]]) -> bytes:
    """Return the message that answers commands; the second is the reason of a rejection, ``None`` where accepted."""
    return orjson.dumps(
        {
            "at": _iso(at_s),
            "outcomes": [
                {"id": _written(command.id), "device": command.device, "status": "accepted"}
                if reason is None
                else {"id": _written(command.id), "device": command.device, "status": "rejected", "reason": reason}
                for command, reason in answers
            ],
        }
    )


def parse_status(payload: bytes) -> tuple[bool, float | None]:
    """Return whether the site is online, and the instant of the status if given; raises FrameError, InputError."""
    message = Fields.parse(payload)
    return message.flag("online"), message.at_s("at") if "at" in message else None


def status(*, online: bool, at_s: float | None = None) -> bytes:
    """Return the retained message about a site; without an instant it can serve as last will."""
    message: dict[str, object] = {"online": online}
    if at_s is not None:
        message["at"] = _iso(at_s)
    return orjson.dumps(message)


def _sound(entry: Fields | InputError) -> Fields:
    if isinstance(entry, InputError):
        raise entry
    return entry


def _reading(entry: Fields, faults: list[InputError]) -> DeviceReading | None:
    """Return what is sound of a device's reading, ``None`` where nothing is; what is not is added to ``faults``."""
    device = entry.text("id")
    online, guessed = entry.likely_flag("online") if "online" in entry else (True, False)
    flagged: tuple[str, ...] = ("flag",) if guessed else ()
    if not online:
        return DeviceReading(device=device, values={}, online=False, healed=flagged)
    before = len(faults)
    if "power_kw" not in entry and "power_w" not in entry:
        faults.append(entry.wrong("power_kw", "a number or null"))
    try:
        values = {quantity: _kilo(entry, kilo, base) for quantity, kilo, base in _MEASURES}
        charge = entry.number("soc")
    except InputError:  # seldom: then field by field
        values = {quantity: _or_fault(partial(_kilo, entry, kilo, base), faults) for quantity, kilo, base in _MEASURES}
        charge = _or_fault(partial(entry.number, "soc"), faults)
    known = {quantity: value for quantity, value in values.items() if value == value}  # noqa: PLR0124 - not NaN
    per_cent: float | None = None
    if 0.0 <= charge <= 1.0:
        known[Quantity.SOC] = charge
    elif LEAST_RATIO <= charge <= MOST_RATIO:
        known[Quantity.SOC], flagged = min(max(charge, 0.0), 1.0), (*flagged, "soc_out_of_scale")
    elif not math.isnan(charge):
        faults.append(entry.wrong("soc", "a share from 0 to 1, or null" + (" (per cent?)" if charge > 1.0 else "")))
        per_cent = charge
    if not known and len(faults) > before and per_cent is None:
        return None
    return DeviceReading(device=device, values=known, per_cent=per_cent, healed=flagged)


def _or_fault(read: Callable[[], float], faults: list[InputError]) -> float:
    try:
        return read()
    except InputError as error:
        faults.append(error)
        return math.nan


def _kilo(entry: Fields, kilo_field: str, base_field: str) -> float:
    kilo = entry.number(kilo_field)
    base = entry.number(base_field) / _PER_KILO
    if math.isnan(kilo) or math.isnan(base):
        return base if math.isnan(kilo) else kilo
    if not math.isclose(kilo, base, rel_tol=_AGREEMENT_RATIO, abs_tol=_AGREEMENT_KW):
        raise entry.wrong(kilo_field, f"what {base_field} says as well, {base}, or only one of the two")
    return kilo


def _command(entry: Fields) -> Command:
    layer = entry.choice("layer", _LAYERS)
    power_kw = math.nan if layer is Layer.RELEASE else entry.number("power_kw")
    if layer is not Layer.RELEASE and math.isnan(power_kw):
        raise entry.wrong("power_kw", "a number")
    return Command(
        id=entry.identity("id"),
        device=entry.text("device"),
        layer=layer,
        power_kw=power_kw,
        until_s=entry.at_s("until") if layer is Layer.DISPATCH else math.inf,
        epoch=entry.whole("epoch"),
    )


def _answer(entry: Fields) -> Answer:
    identity, device = entry.identity("id"), entry.text("device")
    try:
        accepted = entry.choice("status", {"accepted": True, "rejected": False})
        meaning = (OutcomeStatus.ACCEPTED, Reason.NONE) if accepted else _rejection(entry)
    except InputError:
        meaning = (OutcomeStatus.REJECTED, Reason.PROTOCOL)
    return Answer(id=identity, device=device, status=meaning[0], reason=meaning[1])


def _written(identity: int) -> int | str:
    """Return an id as it is sent: a number as far as every library reads it exactly, else its digits."""
    return identity if identity <= LARGEST_NUMBER else str(identity)


def _rejection(entry: Fields) -> tuple[OutcomeStatus, Reason]:
    reason = entry.text("reason") if "reason" in entry else "refused"
    return _REASONS.get(reason, _REASONS["refused"])


def _iso(at_s: float) -> str:
    return instant(at_s).isoformat()
