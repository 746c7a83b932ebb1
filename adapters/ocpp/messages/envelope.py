"""OCPP-J envelopes: the usual shape decoded in one go, and what can be read of all others."""

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
"""Raised by ``read_usual`` for any other frame; it only skips a payload, and bounds its own depth in that."""


class BrokenFrameError(FrameError):
    """Invalid JSON, or JSON nested too deep.

    Args:
        reason: Reason in metrics, ``json`` or ``nesting``.
        detail: Where and how, for the peer's log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parsed(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON of a bounded depth; raises BrokenFrameError for anything else."""
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
    """Return a message id; a number stands for its digits, an empty string for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
