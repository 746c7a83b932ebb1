"""Standing commitments of a simulation: a TOML file as the service reads it, or a short form that becomes one."""

from collections.abc import Mapping
from pathlib import Path

from vpp.domain.errors import InputError

_SHORT = {
    "kw": "power_kw",
    "price": "availability_cny_per_mw_h",
    "shortfall": "shortfall_cny_per_mw_h",
    "call": "call_cny_per_kwh",
    "minutes": "longest_call_minutes",
    "calls": "calls_a_day",
    "area": "area",
}
_ACCEPTED = "a TOML file, or kw=22000,hours=13-15+20-22,price=300"


def standing_file(text: str, out: Path) -> Path:
    """Return the file of standing commitments that a text names, or that was written for it into ``out``.

    Args:
        text: Path of a file, or ``kw=..,hours=FROM-UNTIL+FROM-UNTIL,price=..`` with optional ``shortfall``, ``call``,
            ``minutes``, ``calls`` and ``area``.
        out: Folder, which exists.

    Raises:
        InputError: It is neither.
    """
    if Path(text).is_file():
        return Path(text)
    pairs = dict(_pair(part) for part in text.split(","))
    unknown = sorted(pairs.keys() - _SHORT.keys() - {"hours"})
    if unknown or not {"kw", "hours", "price"} <= pairs.keys():
        raise InputError("--standing", text, _ACCEPTED)
    path = out / "standing.toml"
    path.write_text(_toml(pairs), encoding="utf-8")
    return path


def _pair(part: str) -> tuple[str, str]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals or not value:
        raise InputError("--standing", part, _ACCEPTED)
    return key, value


def _toml(pairs: Mapping[str, str]) -> str:
    lines = ["[[commitment]]", 'id = "standing"']
    for short, name in _SHORT.items():
        if short in pairs:
            lines.append(f"{name} = {_value(short, pairs[short])}")
    for span in pairs["hours"].split("+"):
        first, dash, last = span.partition("-")
        if not dash:
            raise InputError("--standing hours", span, "FROM-UNTIL, several of them with + between")
        lines += ["", "[[commitment.hours]]", f"from_hour = {_number('hours', first)}"]
        lines.append(f"until_hour = {_number('hours', last)}")
    return "\n".join(lines) + "\n"


def _value(short: str, text: str) -> str:
    if short == "area":
        return f'"{text}"'
    return text if short == "calls" and text.isdigit() else str(_number(short, text))


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--standing {name}", text, "a number") from None
