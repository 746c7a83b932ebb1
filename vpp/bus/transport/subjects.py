"""Subjects of the bus: those of our processes, and patterns over them."""

from functools import lru_cache

from vpp.domain.errors import InputError

MAX_MESSAGE_BYTES = 1_000_000
"""A little under the default limit of NATS (1 MiB)."""

ROOT = "vpp.v1"
LEADER = f"{ROOT}.leader"
"""Beacons of the leader: epoch and size of the fleet, for every gateway."""
BEATS = f"{ROOT}.beat"
"""Heartbeats of the gateways."""
DEFAULTS = f"{ROOT}.defaults"
"""Default values that have come into force, for the gateway a station may connect to next."""


def uplink(epoch: int) -> str:
    """Return the subject of uplinks to the leader of ``epoch``; a deposed one receives none."""
    return f"{ROOT}.up.{epoch}"


def setpoints(gateway: str, incarnation: int) -> str:
    """Return the subject of commands to one life of one gateway."""
    return f"{ROOT}.set.{gateway}.{incarnation:x}"


def inspection(gateway: str, incarnation: int) -> str:
    """Return the subject of questions to one life of one gateway for the schedules that its devices hold."""
    return f"{ROOT}.inspect.{gateway}.{incarnation:x}"


def fleet(epoch: int) -> str:
    """Return the subject of master data from the leader of ``epoch``, a page for each request."""
    return f"{ROOT}.fleet.{epoch}"


def defaults_in_force(epoch: int) -> str:
    """Return the subject of the default values in force from the leader of ``epoch``, a page for each request."""
    return f"{ROOT}.inforce.{epoch}"


def memory(epoch: int) -> str:
    """Return the subject of register values found before the first write, kept by the leader of ``epoch``."""
    return f"{ROOT}.memory.{epoch}"


def check_subject(subject: str) -> None:
    """Refuse what is not a sequence of plain words between dots; raises InputError."""
    words = subject.split(".")
    if not all(words) or any(word in {"*", ">"} or any(c.isspace() for c in word) for word in words):
        raise InputError("subject", subject, "words between dots, without wildcards or blanks")


def check_pattern(pattern: str) -> None:
    """Refuse what is not a subject in which words may be ``*`` and the last may be ``>``; raises InputError."""
    words = pattern.split(".")
    if not all(words) or ">" in words[:-1] or any(c.isspace() for c in pattern):
        raise InputError("pattern", pattern, "words between dots, '*' for any word, '>' at the end for the rest")


@lru_cache(maxsize=4096)
def matches(pattern: str, subject: str) -> bool:
    """Return whether messages to ``subject`` reach a subscriber of ``pattern``."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(w in {"*", word} for w, word in zip(wanted, words, strict=True))
