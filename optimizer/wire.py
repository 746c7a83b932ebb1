"""Problems and solutions as bytes: named little-endian arrays, nothing that could run code when read.

Between the planner and its solver they travel in frames: a kind byte, a length of eight bytes (big endian) and so many
bytes. Towards the solver: a problem. Back: ready (once), a solution, or the message of a ProblemError.

A payload is a length of eight bytes (little endian), a JSON directory of that length, then the arrays one after
another, each at a multiple of 64 bytes from where they begin. The directory holds plain values as they are, and of each
array its type, shape and place. Reading copies nothing: arrays are views of what came in, to be written to if it can.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from optimizer.problem.problem import (
    Band,
    Charging,
    Churn,
    Contracts,
    Flexible,
    Network,
    Problem,
    Regulation,
    Reserve,
    Solar,
    Storing,
)
from optimizer.problem.solution import GAP_RATIO, Method, Solution, Status, Warm
from optimizer.problem.validation import ProblemError

HEADER_BYTES = 9
READY, PROBLEM, SOLUTION, ERROR = b"R", b"P", b"S", b"E"

_PARTS = {
    "network": Network,
    "charging": Charging,
    "storing": Storing,
    "solar": Solar,
    "flexible": Flexible,
    "band": Band,
    "regulation": Regulation,
    "reserve": Reserve,
    "contracts": Contracts,
    "churn": Churn,
}
_PLACE = 64
_LENGTH = 8
_KINDS = "biuf"
_WARM = "warm"
Buffer = bytes | bytearray | memoryview


class Asked(TypedDict):
    """Arguments of ``optimizer.solve.solve`` beside the problem."""

    deadline_s: float
    gap_ratio: float
    method: Literal["auto"] | Method
    warm: Warm | None


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return b"".join([kind, len(payload).to_bytes(HEADER_BYTES - 1, "big"), payload])


def problem_bytes(
    problem: Problem,
    *,
    deadline_s: float,
    warm: Warm | None = None,
    method: str = "auto",
    gap_ratio: float = GAP_RATIO,
) -> bytes:
    """Return the problem, its deadline, the gap that is good enough and what to start from as bytes."""
    head = {"deadline_s": deadline_s, "gap_ratio": gap_ratio, "method": method}
    return _packed({**head, **_flat("", problem), **({} if warm is None else _flat(f"{_WARM}.", warm))})


def problem_from(data: Buffer) -> tuple[Problem, Asked]:
    """Return the problem, and the other arguments of ``optimizer.solve.solve``.

    Raises:
        ProblemError: The bytes are no problem, or its arrays make no sense together.
    """
    parts = _grouped(_unpacked(data))
    whole, warm = parts.pop("", {}), parts.pop(_WARM, None)
    try:
        asked = Asked(
            deadline_s=float(whole.pop("deadline_s")),
            gap_ratio=float(whole.pop("gap_ratio")),
            method=whole.pop("method"),
            warm=None if warm is None else Warm(**warm),
        )
        blocks = {part: _PARTS[part](**values) for part, values in parts.items()}
        return Problem(**whole, **blocks), asked
    except (TypeError, KeyError) as error:
        raise ProblemError("payload", error, "the fields of a problem") from error


def solution_bytes(solution: Solution) -> bytes:
    """Return the solution as bytes."""
    return _packed(_flat("", solution))


def solution_from(data: Buffer) -> Solution:
    """Return the solution."""
    parts = _grouped(_unpacked(data))
    values, warm = parts[""], parts.get(_WARM)
    return Solution(**{**values, "status": Status(values["status"]), "warm": None if warm is None else Warm(**warm)})


def _flat(prefix: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass instance
    flat: dict[str, Any] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if is_dataclass(item):
            flat |= _flat(f"{field.name}.", item)
        elif item is not None:
            flat[prefix + field.name] = item
    return flat


def _grouped(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        part, _, field = name.rpartition(".")
        parts.setdefault(part, {})[field] = value
    return parts


def _packed(values: Mapping[str, Any]) -> bytes:
    directory: dict[str, Any] = {}
    pieces: list[bytes | memoryview] = []
    at = 0
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            directory[name] = value.item() if isinstance(value, np.generic) else value
            continue
        array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        directory[name] = {"type": array.dtype.str, "shape": array.shape, "at": at}
        padding = -array.nbytes % _PLACE
        pieces += [array.reshape(-1).view(np.uint8).data, bytes(padding)]
        at += array.nbytes + padding
    head = json.dumps(directory).encode()
    head += b" " * (-(len(head) + _LENGTH) % _PLACE)
    return b"".join([len(head).to_bytes(_LENGTH, "little"), head, *pieces])


def _unpacked(data: Buffer) -> dict[str, Any]:
    """Return what ``_packed`` packed.

    Raises:
        ProblemError: The bytes are something else.
    """
    begin = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    try:
        directory = json.loads(bytes(data[_LENGTH:begin]))
        return {
            name: _array(data, begin, **value) if isinstance(value, dict) else value
            for name, value in directory.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ProblemError("payload", error, "arrays as optimizer.wire packs them") from error


def _array(data: Buffer, begin: int, *, type: str, shape: list[int], at: int) -> npt.NDArray[Any]:  # noqa: A002 - a key
    kind = np.dtype(type)
    if kind.kind not in _KINDS:
        raise ValueError(f"array of type {type}")
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(data, dtype=kind, count=count, offset=begin + at).reshape(shape)
