"""Subjects of the bus, patterns over them, and which ones our processes use."""

from functools import lru_cache

from vpp.domain.errors import InputError

MAX_MESSAGE_BYTES = 1_000_000
"""A little under what NATS carries unless it is told otherwise (1 MiB)."""

ROOT = "vpp.v1"
LEADER = f"{ROOT}.leader"
"""Beacons of the leader: ``vpp serve`` tells every gateway of its epoch and of the fleet's size."""
BEATS = f"{ROOT}.beat"
"""Heartbeats of the gateways."""
DEFAULTS = f"{ROOT}.defaults"
"""Default values that have come into force, for the gateway a station will come to next."""


def uplink(epoch: int) -> str:
    """Return where gateways send what they hear to the leader of ``epoch``; a deposed one hears nothing more."""
    return f"{ROOT}.up.{epoch}"


def setpoints(gateway: str, incarnation: int) -> str:
    """Return where one life of one gateway takes instructions."""
    return f"{ROOT}.set.{gateway}.{incarnation:x}"


def inspection(gateway: str, incarnation: int) -> str:
    """Return where one life of one gateway is asked for the schedules that its devices hold."""
    return f"{ROOT}.inspect.{gateway}.{incarnation:x}"


def fleet(epoch: int) -> str:
    """Return where the leader of ``epoch`` hands out master data, a page a request."""
    return f"{ROOT}.fleet.{epoch}"


def defaults_in_force(epoch: int) -> str:
    """Return where the leader of ``epoch`` hands out the default values in force, a page a request."""
    return f"{ROOT}.inforce.{epoch}"


def memory(epoch: int) -> str:
    """Return where the leader of ``epoch`` keeps what gateways found in devices before their first write."""
    return f"{ROOT}.memory.{epoch}"


def check_subject(subject: str) -> None:
    """Raise InputError where ``subject`` is no sequence of plain words between dots."""
    words = subject.split(".")
    if not all(words) or any(word in {"*", ">"} or any(c.isspace() for c in word) for word in words):
        raise InputError("subject", subject, "words between dots, without wildcards or blanks")


def check_pattern(pattern: str) -> None:
    """Raise InputError where ``pattern`` is no subject in which words may be ``*`` and the last may be ``>``."""
    words = pattern.split(".")
    if not all(words) or ">" in words[:-1] or any(c.isspace() for c in pattern):
        raise InputError("pattern", pattern, "words between dots, '*' for any word, '>' at the end for the rest")


@lru_cache(maxsize=4096)
def matches(pattern: str, subject: str) -> bool:
    """Tell whether messages to ``subject`` reach a subscriber of ``pattern``."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(w in {"*", word} for w, word in zip(wanted, words, strict=True))
