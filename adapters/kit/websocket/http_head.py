"""Strict parsing of an HTTP request's head: whatever is ambiguous is refused (RFC 9112)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vpp.domain.errors import FrameError

_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) (HTTP/[0-9]\.[0-9])")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ONCE = frozenset({"host", "sec-websocket-key", "sec-websocket-version", "content-length"})
_JUDGED_LATER = "authorization"
"""A field whose faults are wrong credentials, whoever asks."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of an HTTP request; names of fields in lower case, repeated ones joined by commas."""

    method: str
    target: str
    headers: Mapping[str, str]
    version: str = "HTTP/1.1"


def parse_request(head: bytes) -> Request:
    """Return a request's head; raises FrameError for anything else."""
    first, *lines = head.decode("latin-1").split("\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        raise FrameError(f"no HTTP request: {first[:80]!r}")
    return Request(found[1], found[2], _fields(lines), found[3])


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the fields; raises FrameError for folded and malformed ones, and for two where there is one."""
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise FrameError(f"no header field: {line[:80]!r}")
        name, value = found[1].lower(), found[2]
        if name != _JUDGED_LATER and _CONTROL.search(value):
            raise FrameError(f"control characters in field {name}")
        if name in fields:
            if name in _ONCE:
                raise FrameError(f"field {name} comes twice")
            value = f"{fields[name]},{value}"
        fields[name] = value
    return fields
