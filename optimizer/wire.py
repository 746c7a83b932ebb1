"""Problems and solutions as bytes: named arrays in the npz format, nothing that could run code when read.

Between the planner and its solver they travel in frames: a kind byte, a length of four bytes (big endian) and that many
bytes. Towards the solver: a problem. Back: ready (once), a solution, or the message of a ProblemError.
"""

import io
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.problem import Charging, Cut, Flexible, Network, Problem, Solar, Storing
from optimizer.solution import Solution, Status

HEADER_BYTES = 5
READY, PROBLEM, SOLUTION, ERROR = b"R", b"P", b"S", b"E"

_PARTS = {
    "network": Network,
    "charging": Charging,
    "storing": Storing,
    "solar": Solar,
    "flexible": Flexible,
    "cut": Cut,
}


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return kind + len(payload).to_bytes(HEADER_BYTES - 1, "big") + payload


def problem_bytes(problem: Problem, *, deadline_s: float) -> bytes:
    """Return the problem and its deadline as bytes."""
    return _packed({"deadline_s": deadline_s, **_flat("", problem)})


def problem_from(data: bytes) -> tuple[Problem, float]:
    """Return the problem and its deadline.

    Raises:
        ProblemError: The arrays make no sense together.
    """
    arrays = _unpacked(data)
    deadline_s = float(arrays.pop("deadline_s"))
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        part, _, field = name.rpartition(".")
        parts.setdefault(part, {})[field] = array if array.ndim else array.item()
    blocks = {part: _PARTS[part](**values) for part, values in parts.items() if part}
    return Problem(**parts[""], **blocks), deadline_s


def solution_bytes(solution: Solution) -> bytes:
    """Return the solution as bytes."""
    return _packed(_flat("", solution))


def solution_from(data: bytes) -> Solution:
    """Return the solution."""
    values: dict[str, Any] = {name: a if a.ndim else a.item() for name, a in _unpacked(data).items()}
    return Solution(**{**values, "status": Status(values["status"])})


def _flat(prefix: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass instance
    flat: dict[str, Any] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if is_dataclass(item):
            flat |= _flat(f"{field.name}.", item)
        elif item is not None:
            flat[prefix + field.name] = item
    return flat


def _packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpacked(data: bytes) -> dict[str, npt.NDArray[Any]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
