"""OCPP-J frames as they come: the usual shape decoded in one go, and what can be read of all others."""

import re
from typing import Any

import msgspec
import orjson

from adapters.kit.json_depth import MAX_DEPTH, is_too_deep
from vpp.domain.errors import FrameError

LONGEST_ID = 36
_HEAD = re.compile(rb'\s*\[\s*([2-4])\s*,\s*"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,36})"')
"""Type and id of a frame of which more than these cannot be read."""


class CallFrame(msgspec.Struct, array_like=True, tag=2, gc=False, frozen=True, forbid_unknown_fields=True):
    """A CALL whose payload is not looked at yet."""

    id: str
    action: str
    payload: msgspec.Raw


class ResultFrame(msgspec.Struct, array_like=True, tag=3, gc=False, frozen=True, forbid_unknown_fields=True):
    """A CALLRESULT whose payload is not looked at yet."""

    id: str
    payload: msgspec.Raw


read_usual = msgspec.json.Decoder(CallFrame | ResultFrame).decode
UNUSUAL = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What ``read_usual`` raises for any other frame; a payload it only skips, and it minds its own depth in that."""


class BrokenFrameError(FrameError):
    """What is no JSON, or goes down too deep.

    Args:
        reason: What it is counted as, ``json`` or ``nesting``.
        detail: Where and how, for the peer's log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parsed(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON of a bounded depth; raises BrokenFrameError for what is none."""
    if is_too_deep(raw):
        raise BrokenFrameError("nesting", f"nested deeper than {MAX_DEPTH} levels")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BrokenFrameError("json", str(error)) from error


def glimpsed(raw: bytes) -> tuple[int, str]:
    """Return type and id at the head of a frame that cannot be parsed, 0 and an empty string where there are none."""
    found = _HEAD.match(raw)
    return (int(found[1]), found[2].decode()) if found else (0, "")


def id_of(value: object) -> str:
    """Return a message id; a number stands for its digits, an empty string for what is no id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
