"""Settings as text: description with range and default, values without secrets, faults in a line."""

from typing import get_args
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo

_BOUNDS = {"gt": "above", "ge": "at least", "le": "at most", "lt": "below"}


def described(field: FieldInfo) -> str:
    """Return a setting's description, its range where it is bounded, and its default."""
    bounds = [
        f"{word} {getattr(bound, name):g}"
        for bound in (*field.metadata, *_optional_bounds(field))
        for name, word in _BOUNDS.items()
        if hasattr(bound, name)
    ]
    limits = f" ({', '.join(bounds)})" if bounds else ""
    default = field.default
    shown = "unset" if default in {None, ""} else f"{default:g}" if isinstance(default, float) else str(default).lower()
    return f"{field.description}{limits} [default: {shown}]"


def _optional_bounds(field: FieldInfo) -> list[object]:
    """Return the bounds of a number that may be unset."""
    stated = [m for part in get_args(field.annotation) for m in getattr(part, "__metadata__", ())]
    return [bound for found in stated if isinstance(found, FieldInfo) for bound in found.metadata]


def masked(name: str, value: object) -> object:
    """Return a setting's value with secrets and passwords hidden."""
    if name == "api_token":
        return "***" if value else value
    if isinstance(value, str) and urlsplit(value).password:
        return value.replace(f":{urlsplit(value).password}@", ":***@")
    return value


def one_line(error: ValidationError) -> str:
    """Return the first fault of settings in a line: name, value, values that are accepted."""
    first = error.errors()[0]
    if not first["loc"]:  # settings that do not go together name themselves
        return str(first["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in first["loc"])
    return f"VPP_{name.upper()}: {first.get('input')!r} is not accepted; {first['msg']}"
