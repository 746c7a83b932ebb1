"""Fields of a JSON object, checked one by one; every error names the field with its full path."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeVar

import orjson

from vpp.domain.errors import FrameError, InputError

_Choice = TypeVar("_Choice")
MAX_BYTES = 1 << 20
"""Longest message that is read: some ten thousand devices."""
_UNKNOWN = re.compile(rb"\b(?:NaN|Infinity)\b")
LARGEST_NUMBER = 2**53 - 1
"""Largest integer that every JSON library reads exactly (RFC 7493, 2.2)."""
LARGEST_ID = 2**63 - 1
_MOST_DIGITS = len(str(LARGEST_ID))
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
_MOST = 1e15
"""No quantity of a device is larger."""


def _decoded(payload: bytes) -> object:
    """Return a decoded message; many libraries write NaN for what is not known, which JSON does not have.

    Raises:
        FrameError: It is no JSON either way.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        if not _UNKNOWN.search(payload):
            raise FrameError(f"not JSON: {error}") from None
    try:
        return json.loads(payload, parse_constant=_unknown)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from None


def _unknown(_word: str) -> None:
    """Return null for a number that is none."""


class Fields:
    """A JSON object and where it stands in its message.

    Args:
        content: The decoded object.
        path: Name of the object in its message, e.g. ``"devices[2]."``; empty at the top.
    """

    def __init__(self, content: Mapping[str, object], path: str = "") -> None:
        self._content = content
        self._path = path

    @classmethod
    def parse(cls, payload: bytes) -> "Fields":
        """Decode a message.

        Raises:
            FrameError: It is too long, not JSON, or not an object.
        """
        if len(payload) > MAX_BYTES:
            raise FrameError(f"message of {len(payload)} bytes; at most {MAX_BYTES} are read")
        content = _decoded(payload)
        if not isinstance(content, dict):
            raise FrameError(f"expected a JSON object, got {type(content).__name__}")
        return cls(content)

    def __contains__(self, field: str) -> bool:
        return field in self._content

    def entries(self, field: str) -> Iterator["Fields | InputError"]:
        """Yield the objects of a list, or the one there is; an element that is no object comes as the error it is.

        Raises:
            InputError: The field is not a list.
        """
        elements = self._content.get(field)
        if isinstance(elements, dict):
            elements = [elements]  # some encoders write a list of one as its element
        if not isinstance(elements, list):
            raise self.wrong(field, "a list of objects")
        for position, element in enumerate(elements):
            name = f"{field}[{position}]"
            yield Fields(element, f"{name}.") if isinstance(element, dict) else InputError(name, element, "an object")

    def text(self, field: str) -> str:
        """Return a string that is not empty; raises InputError."""
        value = self._content.get(field)
        if not isinstance(value, str) or not value:
            raise self.wrong(field, "a string that is not empty")
        return value

    def choice(self, field: str, choices: Mapping[str, _Choice]) -> _Choice:
        """Return what a word stands for; raises InputError."""
        value = self._content.get(field)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(field, f"one of {', '.join(choices)}")
        return choices[value]

    def flag(self, field: str) -> bool:
        """Return true or false; raises InputError."""
        value = self._content.get(field)
        if not isinstance(value, bool):
            raise self.wrong(field, "true or false")
        return value

    def is_one(self, field: str) -> bool:
        """Return whether an object stands where a list belongs."""
        return isinstance(self._content.get(field), dict)

    def likely_flag(self, field: str) -> tuple[bool, bool]:
        """Return true or false, and whether it had to be read out of a word or a number; raises InputError."""
        value = self._content.get(field)
        if isinstance(value, bool):
            return value, False
        word = value.lower() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
        if word not in _FLAGS:
            raise self.wrong(field, "true or false")
        return _FLAGS[word], True

    def whole(self, field: str, *, least: int = 0) -> int:
        """Return an integer from ``least`` to ``LARGEST_NUMBER``; raises InputError."""
        value = self._content.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_NUMBER:
            raise self.wrong(field, f"an integer from {least} to {LARGEST_NUMBER}")
        return value

    def identity(self, field: str) -> int:
        """Return an id from 1 to ``LARGEST_ID``, a number or a text of its decimal digits; raises InputError."""
        value = self._content.get(field)
        if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
            raise self.wrong(field, f"an integer from 1 to {LARGEST_ID}, or a text of its digits")
        return value

    def number(self, field: str, *, least: float = -math.inf, most: float = math.inf) -> float:
        """Return a number, NaN for null or a field that is not there; raises InputError."""
        value = self._content.get(field)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
            raise self.wrong(field, "a number, or null")
        if not least <= value <= most:
            raise self.wrong(field, f"a number from {least} to {most}, or null")
        return float(value)

    def at_s(self, field: str) -> float:
        """Return the epoch seconds of an ISO-8601 instant with offset; raises InputError."""
        value = self._content.get(field)
        try:
            at = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise self.wrong(field, "an ISO-8601 instant with offset, e.g. 2026-07-01T18:00:00+08:00")
        return at.timestamp()

    def wrong(self, field: str, accepted: str) -> InputError:
        """Return the error that names a field of this object."""
        return InputError(f"{self._path}{field}", self._content.get(field), accepted)
