"""Answers of Modbus devices that no device should give, to a link that also serves a sound one."""

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count

import structlog

from tests.conformance.modbus_parts import OddDevice, dialled, inverter, pv
from tests.fuzz.engine import Tally
from tests.fuzz.mutate import mutated_bytes
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

NAME = "modbus-answers"
SHARE = 0.05
_HOSTILE = 40
_SOUND_RATIO = 0.6
"""Answers that are left as they are, so that a device gets as far as being learnt, polled and written to."""
_ODD_WORDS = (0, 1, 0x8000, 0xFFFF, 0x7FFF, 0x5375, 103, 123, 0x7FC0, 0xFF80)


def inputs(rng: random.Random) -> Iterator[int]:
    """Iterate what makes one answer wrong, as a seed: the answer itself depends on what is asked."""
    while True:
        yield rng.getrandbits(48)


async def run(inputs: Iterator[int], tally: Tally) -> None:
    """Let hostile devices spoil their answers, one input each, until there are none left."""
    ended = asyncio.Event()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # thousands of losses
    try:
        await _let_them(inputs, tally, ended)
    finally:
        structlog.reset_defaults()


async def _let_them(inputs: Iterator[int], tally: Tally, ended: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(_hostile(inputs, ended).serving()) for _ in range(_HOSTILE)]
        sound = await stack.enter_async_context(inverter().serving())
        rows = [pv(f"127.0.0.1:{port}/1", f"hostile-{port}") for port in ports]
        line = await stack.enter_async_context(dialled(pv(f"127.0.0.1:{sound}/1"), *rows, poll_s=10.0, speed=20_000.0))
        for turn in count():
            if ended.is_set():
                break
            row = 1 + turn % _HOSTILE
            line.order(Layer.DISPATCH if turn % 3 else Layer.RELEASE, -20.0, 60.0, row=row)
            seen = len(line.ear.history(0, Quantity.POWER_KW))
            await line.ear.until(lambda seen=seen: len(line.ear.history(0, Quantity.POWER_KW)) > seen)  # type: ignore[misc]
            tally.heard(answered=line.ear.last(0, Quantity.POWER_KW) == -30.0)
            line.ear.samples.clear()
            line.ear.rejected.clear()
        tally.alive = len(line.link._tasks) == _HOSTILE + 1


def _hostile(inputs: Iterator[int], ended: asyncio.Event) -> OddDevice:
    device = inverter()
    # After each answer the connection ends: what is taken for no answer costs no waiting.
    device.hangs_up = True

    def spoil(answer: bytes) -> bytes:
        seed = next(inputs, None)
        if seed is None:
            ended.set()
            return answer
        return _spoilt(random.Random(seed), answer)  # noqa: S311 - repeatable

    device.alter = spoil
    return device


def _spoilt(rng: random.Random, answer: bytes) -> bytes:
    if rng.random() < _SOUND_RATIO:
        return answer
    return rng.choice(_WAYS)(rng, answer)


def _refused(rng: random.Random, answer: bytes) -> bytes:
    """Return an exception in place of an answer."""
    return answer[:4] + struct.pack(">H", 3) + answer[6:7] + bytes((answer[7] | 0x80, rng.randrange(256)))


def _other_words(rng: random.Random, answer: bytes) -> bytes:
    """Return an answer of the right shape with other registers in it."""
    head, body = answer[:7], answer[7:]
    if body[0] not in {3, 4}:
        return answer
    words = list(struct.unpack(f">{(len(body) - 2) // 2}H", body[2:]))
    for _ in range(rng.choice((1, 2, len(words)))):
        words[rng.randrange(len(words))] = rng.choice(_ODD_WORDS) if rng.random() < 0.7 else rng.getrandbits(16)
    return head + body[:2] + struct.pack(f">{len(words)}H", *words)


_WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _other_words,
    _other_words,
    _refused,
    lambda rng, answer: mutated_bytes(rng, answer, rng.choice((1, 1, 2, 8))),
    lambda rng, answer: struct.pack(">H", rng.getrandbits(16)) + answer[2:],
    lambda rng, answer: answer[:6] + bytes((rng.randrange(256),)) + answer[7:],
    lambda rng, answer: answer[:4] + struct.pack(">H", rng.getrandbits(16)) + answer[6:],
    lambda rng, answer: answer[: rng.randrange(len(answer))],
    lambda rng, _: rng.randbytes(rng.choice((1, 7, 8, 9, 260, 5000))),
    lambda rng, answer: answer + rng.randbytes(rng.randrange(1, 300)),
)
"""Ways to make an answer wrong."""
