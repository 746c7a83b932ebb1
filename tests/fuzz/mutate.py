"""Values and bytes made wrong, one step at a time."""

import json
import random
import re
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**40, 10**400),
    *(0.1, -0.0, 1e-320, 1e300, float("inf"), float("-inf"), float("nan"), 0.30000000000000004),
    *("", " ", "0", "-1", "NaN", "1e9", "1,5", "null", "\0", "\x1b[2J", "\ud800", "\ufeff", "\U0010ffff", "x" * 51),
    *("x" * 3000, "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00", "2025-02-30"),
    *("2025-07-01T18:00:00", "2025-07-01T18:00:00.123456789+08:00", "%00", "../..", "{}", "[]"),
    *([], {}, [[]], [None], {"": ""}, [[[[[[[[]]]]]]]], {"a": {"a": {"a": {}}}}),
)
"""What a field may hold that nobody expects there."""
_DEPTHS = (3, 30, 64, 200, 1500, 20_000)
_DEEP = re.compile(rb'"@deep(\d+)@"')
"""Stands for lists inside lists, which the encoder itself could not go down into."""
_LONGEST_REPEAT = 64
_BYTES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b'"',
    b"\\",
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b":",
    b"\r\n",
)


def mutated_json(rng: random.Random, value: Any, steps: int = 1) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON value with some of its nodes made wrong; the given one stays as it is."""
    for _ in range(steps):
        value = _replaced(rng, value)
    return value


def dumped(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return JSON that may hold what JSON forbids: NaN, lone surrogates, numbers of 400 digits."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return _DEEP.sub(lambda found: b"[" * int(found[1]) + b"]" * int(found[1]), data)


def mutated_bytes(rng: random.Random, data: bytes, steps: int = 1) -> bytes:
    """Return bytes with some of them flipped, cut out, repeated, swapped or put in."""
    for _ in range(steps):
        at = rng.randrange(len(data) + 1)
        upto = min(len(data), at + rng.randrange(1, 9))
        match rng.randrange(6):
            case 0:
                data = data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at:upto]) + data[upto:]
            case 1:
                data = data[:at] + data[upto:]
            case 2:
                data = data[:at] + data[at:upto] * rng.randrange(2, _LONGEST_REPEAT) + data[upto:]
            case 3:
                data = data[:at] + rng.choice(_BYTES) + data[at:]
            case 4:
                data = data[:at]
            case _:
                other = rng.randrange(len(data) + 1)
                data = data[:at] + data[other : other + upto - at] + data[upto:]
    return data


def nested(rng: random.Random) -> str:
    """Return what ``dumped`` writes as lists inside lists."""
    return f"@deep{rng.choice(_DEPTHS)}@"


def _replaced(rng: random.Random, value: Any) -> Any:  # noqa: ANN401, PLR0911 - any JSON, a way each
    """Return a value with one node somewhere inside it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {**value, rng.choice(("extra", "", "id", key.upper(), "\ud800")): rng.choice(ODD_VALUES)}
            case _:
                return {**value, key: _replaced(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        match rng.randrange(12):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + [value[at]] * rng.randrange(2, 9) + value[at + 1 :]
            case 2:
                return rng.sample(value, len(value))
            case _:
                return [*value[:at], _replaced(rng, value[at]), *value[at + 1 :]]
    return nested(rng) if rng.random() < 0.02 else rng.choice(ODD_VALUES)
