"""Programmes read from tables of a TOML file, every value checked by name."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from vpp.domain.errors import InputError
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.settlement.baselines.method_choice import OFFERED, OWN_METERS, MethodChoice
from vpp.settlement.baselines.reference_days import Adjustment, BaselineRules
from vpp.settlement.money.programme import FIRST_COMMITTED, PORTFOLIO, Programme
from vpp.settlement.money.settlement_terms import Band, BandRule, SettlementTerms

_KEYS = ("name", "version", "source", "methods", "quick_methods", "window", "settlement")
_WINDOW = {field.name for field in fields(BaselineRules)} - {"window_s"} | {"minutes"}
_SETTLEMENT = (
    "rule",
    "rule_version",
    "price_cny_per_kwh",
    "retained_ratio",
    "period_steps",
    "netting",
    "exclusivity",
    "bands",
)
_BAND = tuple(field.name for field in fields(Band))
_COUNTS = ("days", "min_days", "lookback_days", "before_steps")
_Member = TypeVar("_Member", bound=StrEnum)


def programme_of(table: Mapping[str, Any]) -> Programme:
    """Return the programme of a file's tables; what it leaves out is as shipped.

    Raises:
        InputError: A value is unknown, missing or out of its range; the field is named.
    """
    _known(table, _KEYS, "")
    rule_of = {key: _text(table, key) for key in ("name", "version", "source")}
    money = _table(table, "settlement")
    _known(money, _SETTLEMENT, "settlement.")
    return Programme(
        name=rule_of["name"],
        version=rule_of["version"],
        source=rule_of["source"],
        choice=_choice(table),
        rules=_rules(_table(table, "window")),
        terms=_terms(money, rule_of),
        netting=_only(money, "netting", PORTFOLIO),
        exclusivity=_only(money, "exclusivity", FIRST_COMMITTED),
    )


def _choice(table: Mapping[str, Any]) -> MethodChoice:
    shipped = MethodChoice()
    usual = dict(shipped.usual) | _methods(_table(table, "methods"), "methods")
    quick = dict(shipped.quick) | _methods(_table(table, "quick_methods"), "quick_methods")
    return MethodChoice(usual=usual, quick=quick)


def _methods(table: Mapping[str, Any], where: str) -> dict[ResourceClass, BaselineMethod]:
    found: dict[ResourceClass, BaselineMethod] = {}
    for name, value in table.items():
        cls = _member(ResourceClass, name, where)
        frozen = (BaselineMethod.SCHEDULE, BaselineMethod.METER_BEFORE) if cls in STORING else OFFERED
        allowed = (*frozen, *OWN_METERS.get(cls, ()))
        if value not in allowed:
            raise InputError(f"{where}.{name}", value, f"one of {', '.join(sorted(allowed))}")
        found[cls] = BaselineMethod(value)
    return found


def _rules(table: Mapping[str, Any]) -> BaselineRules:
    _known(table, sorted(_WINDOW), "window.")
    given: dict[str, Any] = {}
    for name, value in table.items():
        where = f"window.{name}"
        if name in _COUNTS:
            given[name] = _whole(value, where)
        elif name == "minutes":
            given["window_s"] = _number(value, where, 0.0, 1440.0) * SECONDS_PER_MINUTE
        elif name == "clip":
            given[name] = _clip(value, where)
        elif name == "adjustment":
            given[name] = _member(Adjustment, value, where)
        else:
            given[name] = _number(value, where, 0.0, 1.0)
    return BaselineRules(**given)


def _terms(table: Mapping[str, Any], rule_of: Mapping[str, str]) -> SettlementTerms:
    shipped = SettlementTerms()
    bands, steps = table.get("bands"), table.get("period_steps")
    rule = shipped.rule
    if bands is not None or steps is not None:
        rule = BandRule(
            name=_text({"rule": rule_of["name"], **table}, "rule"),
            version=_text({"rule_version": rule_of["version"], **table}, "rule_version"),
            bands=rule.bands if bands is None else tuple(_band(band, n) for n, band in enumerate(bands)),
            period_steps=rule.period_steps if steps is None else _whole(steps, "settlement.period_steps"),
            source=rule_of["source"],
        )
    price = table.get("price_cny_per_kwh", str(shipped.price_cny_per_kwh))
    kept = _decimal(table.get("retained_ratio", str(shipped.retained_ratio)), "settlement.retained_ratio")
    if kept > 1:
        raise InputError("settlement.retained_ratio", kept, "a ratio from 0 to 1")
    return SettlementTerms(
        rule=rule, price_cny_per_kwh=_decimal(price, "settlement.price_cny_per_kwh"), retained_ratio=kept
    )


def _band(table: object, number: int) -> Band:
    where = f"settlement.bands[{number}]"
    if not isinstance(table, Mapping):
        raise InputError(where, table, "a table with lo, pay_factor and, below the last band, hi")
    _known(table, _BAND, f"{where}.")
    missing = [name for name in ("lo", "pay_factor") if name not in table]
    if missing:
        raise InputError(f"{where}.{missing[0]}", None, "a number")
    return Band(**{name: _number(value, f"{where}.{name}", 0.0, float("inf")) for name, value in table.items()})


def _clip(value: object, where: str) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(("least", "greatest")):
        raise InputError(where, value, "two ratios, the lower one first")
    least, most = (_number(one, where, 0.0, 10.0) for one in value)
    if least > most:
        raise InputError(where, value, "two ratios, the lower one first")
    return least, most


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    unknown = sorted(set(table) - set(keys))
    if unknown:
        raise InputError(f"{where}{unknown[0]}", table[unknown[0]], f"one of the keys {', '.join(keys)}")


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise InputError(key, value, "a table")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(key, value, "a text that is not empty")
    return value


def _only(table: Mapping[str, Any], key: str, accepted: str) -> str:
    value = table.get(key, accepted)
    if value != accepted:
        raise InputError(f"settlement.{key}", value, accepted)
    return accepted


def _member(kind: type[_Member], value: object, where: str) -> _Member:
    for member in kind:
        if member.value == value:
            return member
    raise InputError(where, value, f"one of {', '.join(sorted(kind))}")


def _number(value: object, where: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(where, value, f"a number from {least:g} to {most:g}")
    return float(value)


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(where, value, "a whole number of at least 1")
    return value


def _decimal(value: object, where: str) -> Decimal:
    """Return an exact amount; text, since a float has no exact 0.1."""
    try:
        found = Decimal(value) if isinstance(value, str | int) and not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise InputError(where, value, 'an amount of at least 0 as text, e.g. "3.00"')
    return found
